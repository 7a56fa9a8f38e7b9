//! Names of things: sessions, items, threads, batches; and places in a log.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id: expected `{prefix}_` and 32 hexadecimal digits")]
#[non_exhaustive]
pub struct ParseIdError {
    /// What was to be read as an id.
    pub text: String,
    /// The kind of id that was wanted, such as `session`.
    pub kind: &'static str,
    /// The prefix of that kind, such as `ses`.
    pub prefix: &'static str,
}

macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID; ids made by hosts are UUIDv7, derived ones UUIDv8.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The 16 bytes that storage keeps.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Reads the 16 bytes that storage keeps.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// An id that follows from `parts` alone: the same parts, the same id, on every machine.
            pub fn derive(parts: &[&[u8]]) -> Self {
                let mut hash = Sha256::new();
                hash.update($prefix.as_bytes());
                for part in parts {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                }
                let digest = hash.finalize();
                let mut bytes = [0; 16];
                bytes.copy_from_slice(&digest[..16]);
                Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let error = || ParseIdError { text: text.chars().take(80).collect(), kind: $kind, prefix: $prefix };
                let hex = text.strip_prefix(concat!($prefix, "_")).filter(|hex| hex.len() == 32).ok_or_else(error)?;
                Uuid::try_parse(hex).map(Self).map_err(|_| error())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

define_id!(
    /// Names a session: one party run and its log. Text form `ses_…`.
    SessionId, "session", "ses"
);
define_id!(
    /// Names an item. Text form `itm_…`.
    ItemId, "item", "itm"
);
define_id!(
    /// Names a thread. Text form `thr_…`.
    ThreadId, "thread", "thr"
);
define_id!(
    /// Names a batch of records, so that a retried write lands once. Text form `bat_…`.
    BatchId, "batch", "bat"
);

/// A place in a session's log: 1 is the first record, and there are no holes. 0 is "before all".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a number with a name")]
pub struct Offset(pub u64);

impl Offset {
    /// Before the first record.
    pub const START: Self = Self(0);

    /// The place `count` records further on.
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A seat's place in the roster of its session; the order of seats is roster order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a number with a name")]
pub struct SeatId(pub u16);

impl fmt::Display for SeatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a turn by the offset of its `turnStarted` record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "a number with a name")]
pub struct TurnId(pub Offset);

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_wrong_prefix_is_named() {
        let id = ItemId::derive(&[b"a", b"b"]);
        assert_eq!(id.to_string().parse::<ItemId>(), Ok(id));
        let error = SessionId::derive(&[]).to_string().parse::<ItemId>().unwrap_err();
        assert!(error.to_string().contains("is not a item id: expected `itm_`"));
    }

    #[test]
    fn derived_ids_depend_on_where_parts_are_cut() {
        assert_eq!(ItemId::derive(&[b"ab", b"c"]), ItemId::derive(&[b"ab", b"c"]));
        assert_ne!(ItemId::derive(&[b"ab", b"c"]), ItemId::derive(&[b"a", b"bc"]));
    }
}
