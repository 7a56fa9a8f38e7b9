//! JSON that is passed on as it came.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::{fmt, sync::Arc};

/// A JSON text that nobody has taken apart: what a runtime said and an adapter only hands on, or what
/// a model gave a tool. Cheap to clone. Two are equal when their texts are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// Of a text that is known to be JSON.
    pub(crate) fn trusted(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn null() -> Self {
        Self::trusted("null")
    }

    /// The text.
    pub fn get(&self) -> &str {
        &self.0
    }

    /// Takes the text apart.
    ///
    /// # Errors
    /// Where it does not fit `T`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// The text as a tree; `null` where it cannot be one: halves of surrogate pairs, and more than 128
    /// levels. For showing only; whoever acts on it asks [`parse`](Self::parse).
    pub fn value(&self) -> Value {
        self.parse().unwrap_or_default()
    }
}

impl From<Value> for RawJson {
    fn from(value: Value) -> Self {
        Self(serde_json::to_string(&value).expect("names in a tree are text").into())
    }
}

impl From<&RawValue> for RawJson {
    fn from(value: &RawValue) -> Self {
        Self(value.get().into())
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|value| Self(value.get().into()))
    }
}
