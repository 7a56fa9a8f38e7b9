//! JSON strings as text. Half of a surrogate pair becomes U+FFFD: JavaScript writes such halves
//! where it cut a text, and they are no Unicode.

use memchr::memchr;
use std::{borrow::Cow, sync::Arc};

/// The inside of a JSON string that is known to be whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(&'a str);

/// A text that may still have to be copied to its final place, once its line is gone: a large line
/// and its text never stand in memory three times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Prose {
    Shared(Arc<str>),
    Own(String),
}

impl Prose {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Shared(text) => text,
            Self::Own(text) => text,
        }
    }

    pub(crate) fn share(self) -> Arc<str> {
        match self {
            Self::Shared(text) => text,
            Self::Own(text) => text.into(),
        }
    }
}

impl<'a> Text<'a> {
    pub(crate) const fn escaped(inner: &'a str) -> Self {
        Self(inner)
    }

    pub(crate) fn to_cow(self) -> Cow<'a, str> {
        if memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(self.0);
        }
        let mut text = String::with_capacity(self.0.len());
        for piece in Pieces(self.0) {
            match piece {
                Piece::Run(run) => text.push_str(run),
                Piece::Char(char) => text.push(char),
            }
        }
        Cow::Owned(text)
    }

    pub(crate) fn to_prose(self) -> Prose {
        match self.to_cow() {
            Cow::Borrowed(text) => Prose::Shared(text.into()),
            Cow::Owned(text) => Prose::Own(text),
        }
    }

    /// Whether it reads so, found without building it.
    pub(crate) fn is(self, text: &str) -> bool {
        let rest = Pieces(self.0).try_fold(text, |rest, piece| match piece {
            Piece::Run(run) => rest.strip_prefix(run),
            Piece::Char(char) => rest.strip_prefix(char),
        });
        rest == Some("")
    }
}

/// The JSON text with the halves of pairs replaced; borrowed where there are none. It stays as long
/// as it was.
pub(crate) fn without_halves(json: &str) -> Cow<'_, str> {
    let mut mended: Option<String> = None;
    let (mut at, mut kept) = (0, 0);
    while let Some(next) = json.get(at..).and_then(|rest| memchr(b'\\', rest.as_bytes())) {
        at += next;
        let rest = &json[at..];
        let (char, length) = escape(rest);
        if char == char::REPLACEMENT_CHARACTER && is_half(rest) {
            let text = mended.get_or_insert_with(|| String::with_capacity(json.len()));
            text.push_str(&json[kept..at]);
            text.push_str("\\ufffd");
            kept = at + length;
        }
        at += length;
    }
    match mended {
        Some(mut text) => {
            text.push_str(&json[kept..]);
            Cow::Owned(text)
        }
        None => Cow::Borrowed(json),
    }
}

fn is_half(rest: &str) -> bool {
    matches!(unit(rest), Some(0xD800..=0xDFFF))
}

enum Piece<'a> {
    Run(&'a str),
    Char(char),
}

struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let (piece, length) = match memchr(b'\\', self.0.as_bytes()) {
            Some(0) => {
                let (char, length) = escape(self.0);
                (Piece::Char(char), length)
            }
            Some(run) => (Piece::Run(&self.0[..run]), run),
            None => (Piece::Run(self.0), self.0.len()),
        };
        self.0 = self.0.get(length..).unwrap_or_default();
        Some(piece)
    }
}

/// The character of the escape that `rest` begins with, and how long the escape is.
fn escape(rest: &str) -> (char, usize) {
    let char = match rest.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return unicode(rest),
        Some(byte) => char::from(*byte),
        None => '\\',
    };
    (char, 2)
}

fn unicode(rest: &str) -> (char, usize) {
    let half = (char::REPLACEMENT_CHARACTER, 6);
    match (unit(rest), rest.get(6..).and_then(unit)) {
        (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
            let point = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            (char::from_u32(point).unwrap_or(half.0), 12)
        }
        (Some(point), _) => (char::from_u32(point).unwrap_or(half.0), 6),
        (None, _) => half,
    }
}

/// The code unit of the `\uXXXX` that `rest` begins with.
fn unit(rest: &str) -> Option<u32> {
    let digits = rest.get(..6)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_characters_and_halves_of_pairs_the_replacement_character() {
        for (inner, expected) in [
            ("plain \u{2028} 漢", "plain \u{2028} 漢"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"A\u00e9\u0000|", "Aé\0|"),
            (r"\ud83d\ude00 \\ud83d", "😀 \\ud83d"),
            (r"a\ud83d", "a\u{fffd}"),
            (r"\ude00\ud83d\ude00\ud83d\n", "\u{fffd}😀\u{fffd}\n"),
            (r"\uD83Dé", "\u{fffd}é"),
            ("", ""),
        ] {
            let text = Text::escaped(inner);
            assert_eq!(text.to_cow(), expected);
            assert!(text.is(expected) && !text.is("other") && !text.is(&format!("{expected}x")));
            assert_eq!(&*text.to_prose().share(), expected);
        }
    }

    #[test]
    fn a_json_text_is_mended_only_where_it_has_halves_of_pairs() {
        let whole = r#"{"a":"\ud83d\ude00 \\ud83d x \ufffd"}"#;
        assert!(matches!(without_halves(whole), Cow::Borrowed(text) if text == whole));
        assert_eq!(without_halves(r#"["a\ud83d","\\\ude00é"]"#), r#"["a\ufffd","\\\ufffdé"]"#);
    }
}
