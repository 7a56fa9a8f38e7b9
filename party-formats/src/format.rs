//! Formats as data.

use crate::{FormatError, Intent};
use party_core::CloseReason;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How several agents talk to each other: data, so that it can be stored with the session, checked
/// before the start, and written by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Format {
    /// Its name.
    pub name: String,
    /// How many rounds a message gets, 1 to 5.
    #[serde(default = "one")]
    pub rounds: u32,
    /// How many seats of the initial fan-out have to speak for the matter to count as discussed.
    #[serde(default = "one")]
    pub quorum: u32,
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
    /// Intents by name.
    pub intents: BTreeMap<String, Intent>,
    /// Who gets a human's message in its private thread.
    #[serde(default)]
    pub human: Audience,
    /// Limits that keep discussions finite.
    #[serde(default)]
    pub limits: Limits,
    /// What happens when nobody runs and nothing is pending: the first trigger that can fire does.
    #[serde(default)]
    pub quiescence: Vec<Trigger>,
}

pub(crate) const fn one() -> u32 {
    1
}

/// What the format expects of a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Role {
    /// Stands in the system prompt of each seat of this role, behind the agent's own.
    #[serde(default)]
    pub prompt: String,
    /// Whether a human's message invokes it.
    #[serde(default = "yes")]
    pub fanout: bool,
    /// The intent that a human's message invokes it under.
    pub intent: String,
    /// The intent that another's share invokes it under; it does not react where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reacts: Option<String>,
    /// What of its turns others see.
    #[serde(default)]
    pub share: Shares,
    /// When they see it.
    #[serde(default)]
    pub release: Release,
    /// In whose private threads it appears; the feed has it in any case.
    #[serde(default)]
    pub to: Audience,
    /// Whether its money is set aside before anybody else spends.
    #[serde(default)]
    pub reserved: bool,
    /// How many seats of this role there may be.
    #[serde(default)]
    pub seats: Seats,
}

pub(crate) const fn yes() -> bool {
    true
}

/// How many seats a role may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Seats {
    /// At least so many.
    #[serde(default)]
    pub min: u16,
    /// At most so many.
    #[serde(default = "many")]
    pub max: u16,
}

const fn many() -> u16 {
    256
}

impl Default for Seats {
    fn default() -> Self {
        Self { min: 0, max: many() }
    }
}

/// What of a seat's turns others see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the engine must handle every way to share")]
pub enum Shares {
    /// The turn's final text.
    #[default]
    Final,
    /// What the `share` tool was called with.
    Tool,
    /// Nothing.
    Nothing,
}

/// When a share is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the engine must handle every release")]
pub enum Release {
    /// At once.
    #[default]
    Now,
    /// At quiescence, in roster order, so that nobody sees another's share of the same round.
    Barrier,
}

/// Whose private threads an item is delivered to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the engine must handle every audience")]
pub enum Audience {
    /// Everybody's.
    #[default]
    All,
    /// Nobody's.
    Nobody,
    /// Those of these roles.
    Roles(Vec<String>),
}

/// Limits that keep discussions finite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// How often a seat may react per human message. A format with reacting roles must set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactions: Option<u32>,
}

/// Something that happens at quiescence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Trigger {
    /// What it does.
    #[serde(rename = "do")]
    pub action: Action,
    /// What has to hold.
    #[serde(default, skip_serializing_if = "When::is_always")]
    pub when: When,
    /// How often per human message, at most. A next round fires as often as the format has rounds.
    #[serde(default = "one")]
    pub times: u32,
}

/// What a trigger does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::exhaustive_enums, reason = "the engine must handle every action")]
pub enum Action {
    /// Begins the next round: invokes every seat of a role, while rounds are left.
    NextRound {
        /// The role.
        role: String,
        /// Under this intent.
        intent: String,
    },
    /// Invokes every seat of a role.
    Invoke {
        /// The role.
        role: String,
        /// Under this intent.
        intent: String,
    },
    /// Closes the session.
    Close {
        /// As what.
        reason: CloseReason,
    },
}

/// What has to hold for a trigger; all that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct When {
    /// Whether as many spoke as the quorum asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<bool>,
    /// A seat of this role spoke since the human's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoke: Option<String>,
    /// No seat of this role spoke since the human's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
}

impl When {
    fn is_always(&self) -> bool {
        *self == Self::default()
    }
}

impl Format {
    /// The same format with another number of rounds.
    ///
    /// # Errors
    /// [`FormatError::OutOfRange`] unless it is 1 to 5.
    pub fn with_rounds(mut self, rounds: u32) -> Result<Self, FormatError> {
        self.rounds = rounds;
        self.in_range("rounds", rounds, 5, "1 to 5")?;
        Ok(self)
    }

    /// The same format with another quorum.
    ///
    /// # Errors
    /// [`FormatError::OutOfRange`] unless it is 1 to 256.
    pub fn with_quorum(mut self, quorum: u32) -> Result<Self, FormatError> {
        self.quorum = quorum;
        self.in_range("quorum", quorum, 256, "1 to 256")?;
        Ok(self)
    }

    /// The intents that a seat of this role can be called under, in alphabetical order.
    pub fn intents_of(&self, role: &str) -> BTreeSet<&str> {
        let calls = self.quiescence.iter().filter_map(|trigger| match &trigger.action {
            Action::NextRound { role: called, intent } | Action::Invoke { role: called, intent } => {
                (called == role).then_some(intent)
            }
            Action::Close { .. } => None,
        });
        let own = self.roles.get(role).into_iter();
        let own = own.flat_map(|role| role.fanout.then_some(&role.intent).into_iter().chain(&role.reacts));
        own.chain(calls).map(String::as_str).collect()
    }

    /// The same format with another timeout for every intent, in seconds; the time that an
    /// interrupted turn still has is cut to it.
    #[must_use]
    pub fn with_timeout_secs(mut self, timeout_secs: u32) -> Self {
        for intent in self.intents.values_mut() {
            intent.timeout_secs = timeout_secs;
            intent.grace_secs = intent.grace_secs.min(timeout_secs);
        }
        self
    }
}
