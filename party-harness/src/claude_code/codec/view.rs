//! A look into a JSON text that is known to be whole: values are found, not built.

use super::{scan::next_quote_or_escape, unescape::Text};
use serde_json::value::RawValue;

/// A JSON value as the text that it is. Whoever asks it for another kind of value gets none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The value of a whole JSON text; checked here, once, and nowhere below.
    pub(super) fn checked(text: &'a str) -> Option<Self> {
        serde_json::from_str::<&RawValue>(text).ok().map(|raw| Self(raw.get()))
    }

    /// A part of a text that was checked.
    pub(super) const fn part(text: &'a str) -> Self {
        Self(text)
    }

    pub(super) const fn get(self) -> &'a str {
        self.0
    }

    pub(super) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The fields of an object, by name.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields(Walk::into(self.0, b'{'))
    }

    /// The last field of this name.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        self.fields().filter(|(field, _)| *field == name).last().map(|(_, value)| value)
    }

    /// The values of an array.
    pub(super) fn items(self) -> Option<Items<'a>> {
        self.0.starts_with('[').then(|| Items(Walk::into(self.0, b'[')))
    }

    /// Whether it holds anything: neither null nor an empty object or array.
    pub(super) fn is_filled(self) -> bool {
        match self.0.as_bytes().first() {
            Some(b'{') => self.fields().next().is_some(),
            Some(b'[') => self.items().is_some_and(|mut items| items.next().is_some()),
            _ => self.0 != "null",
        }
    }

    pub(super) fn text(self) -> Option<Text<'a>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(Text::escaped(inner))
    }

    pub(super) fn string(self) -> Option<String> {
        Some(self.text()?.to_cow().into_owned())
    }

    pub(super) fn bool(self) -> Option<bool> {
        self.0.parse().ok()
    }

    pub(super) fn u64(self) -> Option<u64> {
        self.0.parse().ok()
    }

    pub(super) fn i64(self) -> Option<i64> {
        self.0.parse().ok()
    }

    pub(super) fn f64(self) -> Option<f64> {
        let is_number = self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        is_number.then(|| self.0.parse().ok())?
    }
}

/// The fields of an object. Names are as they are written; none that is read here needs an escape.
#[derive(Debug)]
pub(super) struct Fields<'a>(Walk<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.value()?.get();
        let name = name.get(1..name.len().checked_sub(1)?)?;
        Some((name, self.0.value()?))
    }
}

/// The values of an array.
#[derive(Debug)]
pub(super) struct Items<'a>(Walk<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.value()
    }
}

/// Goes from value to value over what stands between them.
#[derive(Debug)]
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Into a container; what is none is empty.
    fn into(text: &'a str, opening: u8) -> Self {
        let is_one = text.as_bytes().first() == Some(&opening);
        Self { text, at: if is_one { 1 } else { text.len() } }
    }

    /// The next value; none at the container's end.
    fn value(&mut self) -> Option<Json<'a>> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at)?, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') {
            self.at += 1;
        }
        let start = self.at;
        self.at = match bytes.get(start)? {
            b'"' => end_of_string(bytes, start),
            b'{' | b'[' => end_of_container(bytes, start),
            b'}' | b']' => return None,
            _ => end_of_word(bytes, start),
        };
        self.text.get(start..self.at).map(Json)
    }
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(next) = next_quote_or_escape(bytes, at) {
        if bytes.get(next) == Some(&b'"') {
            return next + 1;
        }
        at = next + 2;
    }
    bytes.len()
}

fn end_of_container(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
    bytes[start..].iter().position(ends).map_or(bytes.len(), |length| start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#" { "a" : [1, "]\"}", {"b":[]} ,null] ,"c":-2.5,"d":true, "e" : "\\" ,"a":{} } "#;

    #[test]
    fn fields_and_items_are_found_between_all_kinds_of_values() {
        let json = Json::checked(TEXT).unwrap();
        let fields: Vec<_> = json.fields().map(|(name, value)| (name, value.get())).collect();
        let first = r#"[1, "]\"}", {"b":[]} ,null]"#;
        assert_eq!(fields, [("a", first), ("c", "-2.5"), ("d", "true"), ("e", r#""\\""#), ("a", "{}")]);
        let items: Vec<_> = Json(first).items().unwrap().map(Json::get).collect();
        assert_eq!(items, ["1", r#""]\"}""#, r#"{"b":[]}"#, "null"]);
        assert_eq!(json.field("a").map(Json::get), Some("{}"), "the last of a name counts");
    }

    #[test]
    fn values_of_another_kind_are_none() {
        let json = Json::checked(TEXT).unwrap();
        let number = json.field("c").unwrap();
        assert_eq!((number.f64(), number.u64(), number.bool()), (Some(-2.5), None, None));
        assert!(number.text().is_none() && number.items().is_none() && number.fields().next().is_none());
        assert_eq!(Json("\"inf\"").f64(), None);
        let filled = |text| Json(text).is_filled();
        assert!(filled("[0]") && filled("{\"a\":1}") && filled("\"\""));
        assert!(!filled("null") && !filled("[ ]") && !filled("{}"));
    }

    #[test]
    fn what_is_no_json_is_no_value() {
        for text in ["", "{", "{\"a\":}", "[1,]", "\"\u{1}\"", "{} {}"] {
            assert!(Json::checked(text).is_none(), "{text}");
        }
    }
}
