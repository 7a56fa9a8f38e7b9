//! What can be wrong with a format.

use crate::{Action, Audience, Completion, Format, Intent, Role, ToolChoice, Trigger};
use party_core::Usd;

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
    /// A name that no tool can have.
    #[error("format `{format}`: {place} names a tool `{name}`; a tool's name is 1 to 64 of A-Z a-z 0-9 _ -")]
    ToolName {
        /// The format.
        format: String,
        /// Where the name stands, such as `intents.speak.tools`.
        place: String,
        /// The name.
        name: String,
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
    /// Two fields that cannot both hold.
    #[error("format `{format}`: {place} {why}")]
    Contradiction {
        /// The format.
        format: String,
        /// The field.
        place: String,
        /// What it does not go with, in words that follow its name.
        why: &'static str,
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

impl Format {
    /// Checks that every name is defined and every number in its range. The host's tools are not known
    /// here, so of a tool only its name's form is checked; [`check_with`](crate::check_with) knows them.
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
        let triggers = u32::try_from(self.quiescence.len()).unwrap_or(u32::MAX);
        self.in_range("the number of triggers, plus one,", triggers.saturating_add(1), 101, "at most 101")?;
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
        if let Some(tool) = intent.tools.iter().find(|tool| !crate::is_tool_name(tool)) {
            let (format, place) = (self.name.clone(), format!("intents.{name}.tools"));
            return Err(FormatError::ToolName { format, place, name: tool.clone() });
        }
        self.in_range(&format!("intents.{name}.shares"), intent.shares, 100, "1 to 100")?;
        self.in_range(&format!("intents.{name}.timeoutSecs"), intent.timeout_secs, 86_400, "1 to 86400")?;
        let idle = intent.idle_secs.unwrap_or(1);
        self.in_range(&format!("intents.{name}.idleSecs"), idle, 86_400, "1 to 86400")?;
        self.validate_tool_choice(name, intent)?;
        self.validate_completion(name, intent)?;
        let nameless = |tool: &String| tool.trim().is_empty() || tool.chars().any(char::is_control);
        if intent.own_tools.iter().any(nameless) {
            return Err(
                self.contradiction(format!("intents.{name}.ownTools"), "holds what is no name of a tool")
            );
        }
        Ok(())
    }

    fn validate_tool_choice(&self, name: &str, intent: &Intent) -> Result<(), FormatError> {
        let place = format!("intents.{name}.toolChoice");
        match &intent.tool_choice {
            ToolChoice::Until(tool) if !intent.tools.contains(tool) => {
                let known = intent.tools.iter().map(String::as_str).collect();
                Err(self.undefined(format!("{place}.until"), "tool", tool, known))
            }
            ToolChoice::Until(tool) if !intent.offers(tool) => Err(self.contradiction(
                format!("{place}.until"),
                "names a tool of the host, which `mcp: false` does not offer",
            )),
            ToolChoice::Once if intent.offered().next().is_none() => {
                Err(self.contradiction(place, "is `once`, and the intent offers no tools"))
            }
            ToolChoice::Auto | ToolChoice::None | ToolChoice::Once | ToolChoice::Until(_) => Ok(()),
        }
    }

    fn validate_completion(&self, name: &str, intent: &Intent) -> Result<(), FormatError> {
        let most = intent.most_steps.unwrap_or(1);
        self.in_range(&format!("intents.{name}.mostSteps"), most, 1_000, "1 to 1000")?;
        let place = format!("intents.{name}.completion");
        match &intent.completion {
            Completion::ToolCall(tool) if !intent.offers(tool) => {
                Err(self.undefined(format!("{place}.toolCall"), "tool", tool, intent.offered().collect()))
            }
            Completion::Steps(steps) => self.in_range(&format!("{place}.steps"), *steps, 1_000, "1 to 1000"),
            Completion::NoToolCall | Completion::FirstStep | Completion::ToolCall(_) => Ok(()),
        }
    }

    fn contradiction(&self, place: String, why: &'static str) -> FormatError {
        FormatError::Contradiction { format: self.name.clone(), place, why }
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

    /// Checks that every tool is one of the engine's or of `host_tools`.
    pub(crate) fn known_tools(&self, host_tools: &[&str]) -> Result<(), FormatError> {
        for (name, intent) in &self.intents {
            let known = |tool: &str| crate::engine_tool(tool).is_some() || host_tools.contains(&tool);
            if let Some(tool) = intent.tools.iter().find(|tool| !known(tool)) {
                let place = format!("intents.{name}.tools");
                let mut known: Vec<&str> = crate::tools::names().collect();
                known.extend(host_tools);
                return Err(self.undefined(place, "tool", tool, known));
            }
        }
        Ok(())
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

    pub(crate) fn in_range(
        &self,
        place: &str,
        value: u32,
        max: u32,
        expected: &'static str,
    ) -> Result<(), FormatError> {
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
