//! One pass over a line that checks that it is a JSON object, and finds its fields on the way. It
//! may refuse what is whole, such as an object nested very deeply; serde_json is asked then.

use super::view::Json;
use memchr::memchr2;

/// Deeper than any line of the CLI; a line must not exhaust the stack.
const DEEPEST: usize = 64;

/// Most strings are short: they are searched eight bytes at a time, and only what is longer with
/// a call that is faster once it runs.
const SHORT: usize = 6;

const LOW: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = LOW << 7;

type Field<'a> = (&'a str, Json<'a>);

/// The fields of an object, and those of its `message`.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) fields: Vec<Field<'a>>,
    pub(super) message: Vec<Field<'a>>,
}

/// Finds the fields of the object that `text` is; `None` where it is none that is read here.
pub(super) fn object(text: &str) -> Option<Found<'_>> {
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0 };
    let mut found = Found { fields: Vec::with_capacity(32), message: Vec::new() };
    scan.space();
    scan.fields(DEEPEST, Some(&mut found.fields), Some(&mut found.message))?;
    scan.space();
    (scan.at == text.len()).then_some(found)
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Keeps the fields, and those of a field `message`, where they are asked for.
    fn fields(
        &mut self,
        depth: usize,
        mut kept: Option<&mut Vec<Field<'a>>>,
        mut message: Option<&mut Vec<Field<'a>>>,
    ) -> Option<()> {
        self.take(b'{')?;
        self.space();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            let name = self.at + 1;
            self.string()?;
            let name = name..self.at - 1;
            self.space();
            self.take(b':')?;
            self.space();
            let value = self.at;
            match (message.as_deref_mut(), self.peek()) {
                (Some(message), Some(b'{')) if self.bytes.get(name.clone()) == Some(b"message") => {
                    message.clear();
                    self.fields(depth - 1, Some(message), None)?;
                }
                _ => self.value(depth)?,
            }
            if let Some(kept) = &mut kept {
                kept.push((self.text.get(name)?, Json::part(self.text.get(value..self.at)?)));
            }
            self.space();
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    fn items(&mut self, depth: usize) -> Option<()> {
        self.take(b'[')?;
        self.space();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.space();
            self.value(depth)?;
            self.space();
            if self.take(b',').is_none() {
                return self.take(b']');
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => self.fields(depth.checked_sub(1)?, None, None),
            b'[' => self.items(depth.checked_sub(1)?),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            self.at = next_special(self.bytes, self.at)?;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                // A control character.
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let length = match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
            }
            _ => return None,
        };
        self.at += length;
        Some(())
    }
}

/// The next quote, backslash or control character.
fn next_special(bytes: &[u8], start: usize) -> Option<usize> {
    let special = |byte: &u8| (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20);
    let mut at = start;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let found = has_byte(word, b'"') | has_byte(word, b'\\') | control;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
        // The compiler makes a few instructions of this.
        while at >= start + 8 * SHORT
            && let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<64>)
            && !block.iter().fold(false, |any, byte| any | special(byte))
        {
            at += 64;
        }
    }
    bytes.get(at..)?.iter().position(special).map(|next| at + next)
}

/// The next quote or backslash, in what was checked before.
pub(super) fn next_quote_or_escape(bytes: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..SHORT {
        let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) else { break };
        let word = u64::from_le_bytes(*word);
        let found = has_byte(word, b'"') | has_byte(word, b'\\');
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    memchr2(b'"', b'\\', bytes.get(at..)?).map(|next| at + next)
}

/// The high bit of each byte that is `byte`; the lowest of them is exact.
const fn has_byte(word: u64, byte: u8) -> u64 {
    let zeros = word ^ (LOW * byte as u64);
    zeros.wrapping_sub(LOW) & !zeros & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    /// Objects with everything, and what becomes of them when any byte is another.
    const WHOLE: [&str; 4] = [
        r#" { "a" : [1, -0.5e+10, "]\"}\u00eF\ud83d", {"b":[]} ,null] ,"c":0,"d":true, "e":false }  "#,
        r#"{"":"","long":"0123456789012345678901234567890123456789é漢012345678\n\\","x":{"y":{}}}"#,
        "{}",
        r#"{"n":[0.1,1e5,2E-3,-1,[],{"z":[[]]}]}"#,
    ];

    fn agrees(text: &str) {
        let ours = object(text).is_some();
        let theirs = serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().starts_with('{'));
        assert_eq!(ours, theirs, "{text}");
    }

    #[test]
    fn it_takes_what_serde_json_takes_and_nothing_else() {
        for whole in WHOLE {
            assert!(object(whole).is_some(), "{whole}");
            for at in 0..whole.len() {
                for byte in (0..128_u8).map(char::from) {
                    let Some((head, tail)) = whole.split_at_checked(at) else { continue };
                    let mut rest = tail.chars();
                    rest.next();
                    agrees(&format!("{head}{byte}{}", rest.as_str()));
                    agrees(&format!("{head}{byte}{tail}"));
                }
                whole.get(..at).into_iter().for_each(agrees);
            }
        }
    }

    #[test]
    fn it_hands_out_the_fields() {
        let fields = |text| object(text).unwrap().fields.into_iter().map(|(name, value)| (name, value.get()));
        let fields: Vec<_> = fields(WHOLE[0]).collect();
        let first = r#"[1, -0.5e+10, "]\"}\u00eF\ud83d", {"b":[]} ,null]"#;
        assert_eq!(fields, [("a", first), ("c", "0"), ("d", "true"), ("e", "false")]);
    }

    #[test]
    fn it_hands_out_the_fields_of_the_message() {
        let found = object(r#"{"message":{"a":{"message":1}},"b":{"message":{"c":2}}}"#).unwrap();
        assert_eq!(
            found.message.iter().map(|(name, value)| (*name, value.get())).collect::<Vec<_>>(),
            [("a", r#"{"message":1}"#)]
        );
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(&nested(DEEPEST)).is_some());
        assert!(object(&nested(DEEPEST + 1)).is_none());
    }
}
