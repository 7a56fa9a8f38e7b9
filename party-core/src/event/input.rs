//! Inputs: what anybody may write. They are filed, and a decision acts on them.

use crate::{ItemId, TurnId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// Somebody said something; the item and its author stand in the record's envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct MessagePosted {
    /// What was said.
    pub item: ItemId,
}

/// Somebody asks the session to do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_structs, reason = "events are built by engines and drivers of other crates")]
pub struct Commanded {
    /// What is asked for.
    pub command: Command,
}

/// What can be asked of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "the engine must handle every command: a forgotten arm must not compile"
)]
pub enum Command {
    /// End all running turns and close the session as aborted.
    Stop,
    /// Close the session once it has come to rest; messages behind it are not acted on.
    Close,
    /// Answer what a running turn's runtime asks. Acted on before anything that waits in front of it,
    /// since the turn waits too.
    Answer {
        /// The turn.
        turn: TurnId,
        /// The question, by the runtime's name of it.
        request: String,
        /// The answer.
        answer: Permission,
    },
    /// A command of a newer writer, kept as it came. It is refused.
    #[serde(untagged)]
    Unknown(Value),
}

/// Whether a runtime may use the tool that it asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "a driver must pass on every answer")]
pub enum Permission {
    /// It may.
    Allow,
    /// It may not.
    Deny {
        /// Why, for the model.
        why: String,
    },
}

const KNOWN_COMMANDS: [&str; 3] = ["stop", "close", "answer"];

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// What the derived reader takes for unknown may be a known command that does not fit, which is an
/// error.
impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let command = Self::deserialize(deserializer)?;
        let Self::Unknown(value) = &command else { return Ok(command) };
        match value.get("type").and_then(Value::as_str) {
            None => Err(D::Error::custom("a command has a `type`, which is a text")),
            Some(tag) if KNOWN_COMMANDS.contains(&tag) => Err(D::Error::custom(format!(
                "the command `{tag}` does not fit: a field is missing or of another type"
            ))),
            Some(_) => Ok(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_kept_and_one_that_does_not_fit_is_an_error() {
        let newer = r#"{"to":"Mars","type":"teleport"}"#;
        let command: Command = serde_json::from_str(newer).unwrap();
        assert!(matches!(command, Command::Unknown(_)));
        assert_eq!(serde_json::to_string(&command).unwrap(), newer);
        let misfit = r#"{"type":"answer","turn":7,"request":"q1","answer":{"type":"perhaps"}}"#;
        let error = serde_json::from_str::<Command>(misfit).unwrap_err().to_string();
        assert!(error.starts_with("the command `answer` does not fit"), "{error}");
        assert!(serde_json::from_str::<Command>("\"stop\"").is_err());
    }
}
