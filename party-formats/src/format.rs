//! Formats as data.

use party_core::{CloseReason, Usd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is wrong with a format, or with a team for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A name that the format does not define.
    #[error("format `{format}`: {place} names {what} `{name}`, which is not defined; defined: {known}")]
    Undefined {
        /// The format.
        format: String,
        /// Where the name stands, such as `roles.judge.intent`.
        place: String,
        /// What it should name: `role`, `intent` or `tool`.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that are defined.
        known: String,
    },
    /// A number outside of its range.
    #[error("format `{format}`: {place} is {value}, expected {expected}")]
    OutOfRange {
        /// The format.
        format: String,
        /// The field.
        place: String,
        /// Its value.
        value: u64,
        /// What is expected, in words.
        expected: &'static str,
    },
    /// A loop of invocations that nothing ends.
    #[error("format `{format}`: no bound for {cycle}; set limits.reactions")]
    Unbounded {
        /// The format.
        format: String,
        /// The loop.
        cycle: String,
    },
    /// Too few or too many seats of a role.
    #[error("format `{format}` wants {expected} with role `{role}`, the team has {found}")]
    SeatCount {
        /// The format.
        format: String,
        /// The role.
        role: String,
        /// What is expected, in words.
        expected: String,
        /// How many there are.
        found: usize,
    },
    /// A budget that does not let a seat speak.
    #[error("a budget of {cap} USD leaves no room for a turn at {per_turn} USD each")]
    NoRoom {
        /// The budget.
        cap: Usd,
        /// What each turn sets aside.
        per_turn: Usd,
    },
    /// Two seats of one name.
    #[error("two seats are named `{name}`")]
    DuplicateSeat {
        /// The name.
        name: String,
    },
}

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

const fn one() -> u32 {
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

const fn yes() -> bool {
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

/// Which of several waiting invocations goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the queue has these four levels")]
pub enum Priority {
    /// Before all others.
    Critical,
    /// Before normal ones.
    High,
    /// As things come.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

/// What becomes of an invocation of a seat for which one of the same intent waits already. A
/// running turn is never changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::exhaustive_enums, reason = "the queue must handle every way")]
pub enum Coalesce {
    /// Both stay.
    Keep,
    /// One stays, called for by what called for either.
    #[default]
    Merge,
    /// The newer one stays.
    Replace,
}

/// What one invocation runs under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Intent {
    /// Told to the agent behind the conversation, at render time; never stored in a thread.
    /// `{round}`, `{rounds}` and `{absent}` are filled in.
    #[serde(default)]
    pub instruction: String,
    /// The tools offered, and no others.
    #[serde(default)]
    pub tools: Vec<String>,
    /// How many shares one turn may make through the `share` tool.
    #[serde(default = "one")]
    pub shares: u32,
    /// Which of several waiting invocations goes first.
    #[serde(default)]
    pub priority: Priority,
    /// What becomes of a second one that waits.
    #[serde(default)]
    pub coalesce: Coalesce,
    /// An attempt that takes longer is interrupted, in seconds.
    #[serde(default = "two_minutes")]
    pub timeout_secs: u32,
    /// What it still finishes within this time after the interrupt counts, in seconds.
    #[serde(default = "ten_seconds")]
    pub grace_secs: u32,
}

const fn two_minutes() -> u32 {
    120
}

const fn ten_seconds() -> u32 {
    10
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

    /// Checks that every name is defined and every number in its range.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), FormatError> {
        self.in_range("rounds", self.rounds, 5, "1 to 5")?;
        self.in_range("quorum", self.quorum, 256, "1 to 256")?;
        for (name, role) in &self.roles {
            self.validate_role(name, role)?;
        }
        for (name, intent) in &self.intents {
            self.validate_intent(name, intent)?;
        }
        self.known_roles("human", &self.human)?;
        for (index, trigger) in self.quiescence.iter().enumerate() {
            self.validate_trigger(index, trigger)?;
        }
        Ok(())
    }

    fn validate_role(&self, name: &str, role: &Role) -> Result<(), FormatError> {
        self.known_intent(&format!("roles.{name}.intent"), &role.intent)?;
        if let Some(intent) = &role.reacts {
            self.known_intent(&format!("roles.{name}.reacts"), intent)?;
            if self.limits.reactions.is_none() {
                let cycle = format!("role `{name}`, which reacts to others that react to it");
                return Err(FormatError::Unbounded { format: self.name.clone(), cycle });
            }
        }
        self.known_roles(&format!("roles.{name}.to"), &role.to)
    }

    fn validate_intent(&self, name: &str, intent: &Intent) -> Result<(), FormatError> {
        for tool in &intent.tools {
            if crate::engine_tool(tool).is_none() {
                let place = format!("intents.{name}.tools");
                return Err(self.undefined(place, "tool", tool, crate::tools::names().collect()));
            }
        }
        self.in_range(&format!("intents.{name}.timeoutSecs"), intent.timeout_secs, 86_400, "1 to 86400")
    }

    fn validate_trigger(&self, index: usize, trigger: &Trigger) -> Result<(), FormatError> {
        let place = format!("quiescence[{index}]");
        if let Action::NextRound { role, intent } | Action::Invoke { role, intent } = &trigger.action {
            self.known_role(&format!("{place}.do.role"), role)?;
            self.known_intent(&format!("{place}.do.intent"), intent)?;
        }
        for role in trigger.when.spoke.iter().chain(&trigger.when.silent) {
            self.known_role(&format!("{place}.when"), role)?;
        }
        self.in_range(&format!("{place}.times"), trigger.times, 100, "1 to 100")
    }

    fn known_roles(&self, place: &str, audience: &Audience) -> Result<(), FormatError> {
        match audience {
            Audience::All | Audience::Nobody => Ok(()),
            Audience::Roles(roles) => roles.iter().try_for_each(|role| self.known_role(place, role)),
        }
    }

    pub(crate) fn known_role(&self, place: &str, role: &str) -> Result<(), FormatError> {
        if self.roles.contains_key(role) {
            return Ok(());
        }
        Err(self.undefined(place.to_owned(), "role", role, self.roles.keys().map(String::as_str).collect()))
    }

    fn known_intent(&self, place: &str, intent: &str) -> Result<(), FormatError> {
        if self.intents.contains_key(intent) {
            return Ok(());
        }
        Err(self.undefined(
            place.to_owned(),
            "intent",
            intent,
            self.intents.keys().map(String::as_str).collect(),
        ))
    }

    fn undefined(&self, place: String, what: &'static str, name: &str, known: Vec<&str>) -> FormatError {
        FormatError::Undefined {
            format: self.name.clone(),
            place,
            what,
            name: name.to_owned(),
            known: known.join(", "),
        }
    }

    fn in_range(&self, place: &str, value: u32, max: u32, expected: &'static str) -> Result<(), FormatError> {
        if (1..=max).contains(&value) {
            return Ok(());
        }
        Err(FormatError::OutOfRange {
            format: self.name.clone(),
            place: place.to_owned(),
            value: value.into(),
            expected,
        })
    }
}
