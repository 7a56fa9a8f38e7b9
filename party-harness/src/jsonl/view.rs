//! A look into a JSON text: serde_json finds the values, and none of them is built.

use super::unescape::{Text, without_halves};
use crate::RawJson;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// A JSON value as the text that it is. Whoever asks it for another kind of value gets none.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Json<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Json<'a> {
    /// The value of a whole JSON text.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What a type reads of a whole JSON text; `None` where that is no object or not of its shape.
    pub(crate) fn read_as<T: Deserialize<'a>>(text: &'a str) -> Option<T> {
        // An array would be taken for the fields in their order.
        let is_object = text.trim_ascii_start().starts_with('{');
        is_object.then(|| serde_json::from_str(text).ok())?
    }

    pub(crate) fn get(self) -> &'a str {
        self.0.get()
    }

    /// The fields of an object.
    pub(crate) fn fields(self) -> Fields<'a> {
        Fields::read(self.get()).unwrap_or_default()
    }

    /// The last field of this name.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        self.fields().get(name)
    }

    /// The values of an array.
    pub(crate) fn items(self) -> Option<Vec<Self>> {
        serde_json::from_str(self.get()).ok()
    }

    /// Whether it holds anything: neither null nor an empty object or array.
    pub(crate) fn is_filled(self) -> bool {
        match self.get().as_bytes().first() {
            Some(b'{') => !self.fields().0.is_empty(),
            Some(b'[') => self.items().is_some_and(|items| !items.is_empty()),
            _ => self.get() != "null",
        }
    }

    pub(crate) fn text(self) -> Option<Text<'a>> {
        unquoted(self.get()).map(Text::escaped)
    }

    /// A text, copied only where it has escapes.
    pub(crate) fn cow(self) -> Option<Cow<'a, str>> {
        self.text().map(Text::to_cow)
    }

    pub(crate) fn string(self) -> Option<String> {
        self.cow().map(Cow::into_owned)
    }

    pub(crate) fn bool(self) -> Option<bool> {
        self.get().parse().ok()
    }

    pub(crate) fn u64(self) -> Option<u64> {
        self.get().parse().ok()
    }

    pub(crate) fn i64(self) -> Option<i64> {
        self.get().parse().ok()
    }

    pub(crate) fn f64(self) -> Option<f64> {
        self.get().parse().ok()
    }
}

impl From<Json<'_>> for RawJson {
    fn from(json: Json<'_>) -> Self {
        raw(json.get())
    }
}

/// A whole JSON text that is handed on.
pub(crate) fn raw(text: &str) -> RawJson {
    RawJson::trusted(&without_halves(text))
}

/// The text of a frame that came as `text`, or stands there as `field` of a recording's line.
pub(crate) fn own(text: &str, field: &str) -> RawJson {
    let fields = Fields::read(text).unwrap_or_default();
    let recorded = fields.get("dir").and_then(|_| fields.get(field));
    raw(recorded.map_or(text.trim(), Json::get))
}

/// The fields of an object in their order. Names are as they are written; none that is read here
/// needs an escape.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(&'a str, Json<'a>)>);

impl<'a> Fields<'a> {
    /// Of a whole JSON text; `None` where it is no object.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The last field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Json<'a>> {
        self.0.iter().rfind(|(field, _)| *field == name).map(|(_, value)| *value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        self.0.iter().copied()
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(32);
        // Names as they are written may hold half of a surrogate pair, as texts do.
        while let Some((name, value)) = map.next_entry::<Json<'_>, _>()? {
            fields.push((unquoted(name.get()).unwrap_or_default(), value));
        }
        Ok(Fields(fields))
    }
}

/// The fields of an object; none of any other value. It saves a look at the text where the value stands
/// in an object that is read anyway.
pub(crate) fn fields_of_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
    deserializer.deserialize_any(OfAny)
}

struct OfAny;

impl<'de> Visitor<'de> for OfAny {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        InOrder.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Fields::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Fields::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Fields::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Fields::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Fields::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Fields::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Fields::default())
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        r#" { "a" : [1, "]\"}\ud83d", {"b":[]} ,null] ,"c":-2.5,"d":true, "e" : "\\" ,"\ud83d":0,"a":{} } "#;

    #[test]
    fn fields_and_items_are_found_between_all_kinds_of_values() {
        let json = Json::read(TEXT).unwrap();
        let fields = json.fields();
        let read: Vec<_> = fields.iter().map(|(name, value)| (name, value.get())).collect();
        let first = r#"[1, "]\"}\ud83d", {"b":[]} ,null]"#;
        let rest = [("c", "-2.5"), ("d", "true"), ("e", r#""\\""#), (r"\ud83d", "0"), ("a", "{}")];
        assert_eq!(read, [[("a", first)].as_slice(), &rest].concat());
        let items = Json::read(first).unwrap().items().unwrap();
        let items: Vec<_> = items.into_iter().map(Json::get).collect();
        assert_eq!(items, ["1", r#""]\"}\ud83d""#, r#"{"b":[]}"#, "null"]);
        assert_eq!(json.field("a").map(Json::get), Some("{}"), "the last of a name counts");
    }

    #[test]
    fn values_of_another_kind_are_none() {
        let json = Json::read(TEXT).unwrap();
        let number = json.field("c").unwrap();
        assert_eq!((number.f64(), number.u64(), number.bool()), (Some(-2.5), None, None));
        assert!(number.text().is_none() && number.items().is_none() && number.fields().0.is_empty());
        let read = |text| Json::read(text).unwrap();
        assert_eq!((read("\"inf\"").f64(), read("null").f64()), (None, None));
        let filled = |text| read(text).is_filled();
        assert!(filled("[0]") && filled("{\"a\":1}") && filled("\"\""));
        assert!(!filled("null") && !filled("[ ]") && !filled("{}"));
    }

    #[test]
    fn only_an_object_has_fields_whatever_stands_there() {
        for text in ["null", "true", "-1", "7", "2.5", "\"a\\n\"", "[1, [{}]]", "{}"] {
            let fields = fields_of_any(&mut serde_json::Deserializer::from_str(text)).unwrap();
            assert_eq!(fields.iter().count(), 0, "{text}");
        }
        let text = r#"{"a": {"b": 1}, "c": [2]}"#;
        let fields = fields_of_any(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!(fields.get("a").map(Json::get), Some(r#"{"b": 1}"#));
        assert_eq!(fields.get("c").map(Json::get), Some("[2]"));
    }

    #[test]
    fn what_is_no_json_is_no_value() {
        for text in ["", "{", "{\"a\":}", "[1,]", "\"\u{1}\"", "{} {}"] {
            assert!(Json::read(text).is_none() && Fields::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn an_object_is_read_however_deeply_it_is_nested() {
        let text = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let value = Fields::read(&text).unwrap().get("a").unwrap();
        assert_eq!(value.items().unwrap().len(), 1);
    }
}
