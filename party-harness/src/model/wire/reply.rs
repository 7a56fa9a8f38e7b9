//! What came of a model call, as far as it was streamed.

use super::Answered;
use crate::{RawJson, model::fault::Fault};
use party_core::Usage;
use serde_json::{Value, value::RawValue};
use std::collections::BTreeSet;

/// So many tools may be called in one step; more is a model, or a server, gone wrong.
const MOST_CALLS: usize = 128;

/// The answer to a model call.
#[derive(Debug, Default)]
pub(in crate::model) struct Reply {
    /// What has to be given back in the next step, in order.
    pub(in crate::model) parts: Vec<Part>,
    pub(in crate::model) calls: Vec<Call>,
    /// Tokens, where the provider told them.
    pub(in crate::model) usage: Option<Usage>,
    pub(in crate::model) stop: Option<Stop>,
    /// The provider said that this is all, but for a count of tokens.
    pub(in crate::model) is_whole: bool,
    /// Nothing more comes.
    pub(in crate::model) is_over: bool,
}

/// A part of what the model said.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) enum Part {
    /// Words, with the provider's seal where it has one.
    Text(String, Option<String>),
    /// The call of this number, with the provider's seal.
    Call(usize, Option<String>),
    /// Something that is given back as it came, such as sealed reasoning.
    Kept(Value),
}

/// A tool that the model called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::model) struct Call {
    pub(in crate::model) id: String,
    pub(in crate::model) name: String,
    /// The arguments' text as the model wrote it.
    pub(in crate::model) arguments: String,
}

/// Something that is shown at once.
#[derive(Debug, PartialEq)]
pub(in crate::model) enum Piece {
    Text(String),
    Thinking(String),
    /// An event of a kind that is not known.
    Raw(RawJson),
}

impl Piece {
    /// How much the model wrote, in bytes.
    pub(in crate::model) const fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Thinking(text) => text.len(),
            Self::Raw(_) => 0,
        }
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) enum Stop {
    Done,
    /// It wrote as much as it may.
    Length,
    /// The conversation is as long as it may be.
    Context,
    /// The provider withheld the rest, for this reason.
    Withheld(String),
    /// The model wrote a call that cannot be read.
    BadCall,
}

impl Reply {
    /// All that the model said in words.
    pub(in crate::model) fn text(&self) -> String {
        let words = self.parts.iter().filter_map(|part| match part {
            Part::Text(text, _) => Some(text.as_str()),
            Part::Call(..) | Part::Kept(_) => None,
        });
        words.collect()
    }

    pub(super) fn say(&mut self, text: &str, seal: Option<&str>) -> Option<Piece> {
        match self.parts.last_mut() {
            Some(Part::Text(last, None)) if seal.is_none() => last.push_str(text),
            _ if text.is_empty() && seal.is_none() => return None,
            _ => self.parts.push(Part::Text(text.to_owned(), seal.map(str::to_owned))),
        }
        (!text.is_empty()).then(|| Piece::Text(text.to_owned()))
    }

    /// Begins a call, and gives its number.
    pub(super) fn call(&mut self, call: Call, seal: Option<&str>) -> Result<usize, Fault> {
        let number = self.calls.len();
        if number == MOST_CALLS {
            return Err(Fault::broken(format!("the model called more than {MOST_CALLS} tools at once")));
        }
        self.calls.push(call);
        self.parts.push(Part::Call(number, seal.map(str::to_owned)));
        Ok(number)
    }

    /// Gives every call an id that no other of this turn has: some providers have none, or count from
    /// the start in each answer.
    pub(in crate::model) fn name_calls(&mut self, taken: &mut BTreeSet<String>) {
        for call in &mut self.calls {
            let wish = if call.id.is_empty() { "call" } else { call.id.as_str() };
            let mut id = wish.to_owned();
            let mut n = taken.len();
            while id == "call" || !taken.insert(id.clone()) {
                n += 1;
                id = format!("{wish}_{n}");
            }
            call.id = id;
        }
    }
}

impl Call {
    /// The arguments as a value; why not, in words for the model.
    pub(in crate::model) fn value(&self) -> Result<Value, String> {
        if self.arguments.trim().is_empty() {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        match serde_json::from_str(&self.arguments) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err("the arguments are no JSON object; call the tool again with one".to_owned()),
            Err(error) => Err(format!("the arguments cannot be read as JSON ({error}); call the tool again")),
        }
    }

    /// The arguments for showing: as they came, or as a text where they are no JSON.
    pub(in crate::model) fn shown(&self) -> RawJson {
        match serde_json::from_str::<&RawValue>(self.arguments.trim()) {
            Ok(value) => value.into(),
            Err(_) if self.arguments.trim().is_empty() => {
                RawJson::from(Value::Object(serde_json::Map::new()))
            }
            Err(_) => RawJson::from(Value::String(self.arguments.clone())),
        }
    }

    pub(in crate::model) fn answered(&self, text: String, is_error: bool) -> Answered {
        Answered { id: self.id.clone(), name: self.name.clone(), text, is_error }
    }
}
