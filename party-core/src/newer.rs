//! What a newer writer wrote: kept as it came, and written back.

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::Value;
use std::fmt;

/// A value of a kind that this version does not know, kept as JSON: the same value, though perhaps not
/// the same bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Newer(String);

impl Newer {
    /// The JSON.
    pub fn json(&self) -> &str {
        &self.0
    }
}

impl From<Value> for Newer {
    fn from(value: Value) -> Self {
        Self(value.to_string())
    }
}

impl fmt::Debug for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Newer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: Value = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Newer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

/// Refuses what the derived reader took for unknown and is none: it has no tag, or a known one.
pub(crate) fn check<T: Serialize, E: serde::de::Error>(
    unknown: &T,
    what: &str,
    tag: &str,
    known: &[&str],
) -> Result<(), E> {
    let value = serde_json::to_value(unknown).map_err(E::custom)?;
    match value.get(tag).and_then(Value::as_str) {
        None => Err(E::custom(format!("{what} has a `{tag}`, which is a text"))),
        Some(found) if known.contains(&found) => {
            Err(E::custom(format!("a `{found}` {what} does not fit: a field is missing or of another type")))
        }
        Some(_) => Ok(()),
    }
}

/// Reads and writes a tagged enum that is derived with `remote = "Self"` and has an untagged variant
/// `Unknown`: a tag that this version does not know is kept, a known one that does not fit is an error.
macro_rules! keep_unknown {
    ($type:ident, $what:literal, $tag:literal: [$($known:literal),* $(,)?]) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let read = Self::deserialize(deserializer)?;
                if let Self::Unknown(unknown) = &read {
                    $crate::newer::check(unknown, $what, $tag, &[$($known),*])?;
                }
                Ok(read)
            }
        }
    };
}
pub(crate) use keep_unknown;
