//! The wire formats: how a model call is written, and what its event stream says. Pure.

mod anthropic;
mod gemini;
mod openai;
mod reply;
mod responses;

pub(super) use reply::{Call, Part, Piece, Reply, Stop};

use super::fault::Fault;
use crate::ToolSpec;
use serde_json::{Map, Value};

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's generateContent.
    Gemini,
    /// OpenAI's chat completions, which many others speak too.
    OpenAi,
    /// OpenAI's responses.
    Responses,
}

/// One model call.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) model: &'a str,
    pub(super) system: &'a str,
    pub(super) messages: &'a [Message],
    pub(super) tools: &'a [ToolSpec],
    /// The model has to call a tool.
    pub(super) is_forced: bool,
    /// The model may reason though it is offered tools; only OpenAI has models that may not.
    pub(super) may_reason: bool,
    pub(super) most_output: Option<u32>,
    /// The limit on output goes by the name that only OpenAI itself knows.
    pub(super) names_completion: bool,
    pub(super) temperature: Option<f32>,
}

/// One message of the conversation. Those of one side never stand side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// What the model is told: the answers of tools, then words.
    User(Vec<Answered>, String),
    /// What the model said.
    Model(Vec<Part>, Vec<Call>),
}

/// A call with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) text: String,
    pub(super) is_error: bool,
}

impl Wire {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic messages",
            Self::Gemini => "gemini generateContent",
            Self::OpenAi => "openai chat completions",
            Self::Responses => "openai responses",
        }
    }

    /// What stands behind the endpoint's own path.
    pub(super) fn path(self, model: &str) -> Vec<String> {
        let path: &[&str] = match self {
            Self::Anthropic => &["v1", "messages"],
            Self::Gemini => {
                let model = model.strip_prefix("models/").unwrap_or(model);
                return vec!["v1beta".into(), "models".into(), format!("{model}:streamGenerateContent")];
            }
            Self::OpenAi => &["chat", "completions"],
            Self::Responses => &["responses"],
        };
        path.iter().map(|&part| part.to_owned()).collect()
    }

    /// Where the models are listed.
    pub(super) fn models_path(self) -> Vec<String> {
        let path: &[&str] = match self {
            Self::Anthropic => &["v1", "models"],
            Self::Gemini => &["v1beta", "models"],
            Self::OpenAi | Self::Responses => &["models"],
        };
        path.iter().map(|&part| part.to_owned()).collect()
    }

    pub(super) const fn query(self) -> Option<&'static str> {
        match self {
            Self::Gemini => Some("alt=sse"),
            Self::Anthropic | Self::OpenAi | Self::Responses => None,
        }
    }

    /// The header that carries the key, and what stands before the key in it.
    pub(super) const fn key_header(self) -> (&'static str, &'static str) {
        match self {
            Self::Anthropic => ("x-api-key", ""),
            Self::Gemini => ("x-goog-api-key", ""),
            Self::OpenAi | Self::Responses => ("authorization", "Bearer "),
        }
    }

    pub(super) const fn version_header(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Anthropic => Some(("anthropic-version", "2023-06-01")),
            Self::Gemini | Self::OpenAi | Self::Responses => None,
        }
    }

    pub(super) fn body(self, ask: &Ask<'_>) -> Value {
        match self {
            Self::Anthropic => anthropic::body(ask),
            Self::Gemini => gemini::body(ask),
            Self::OpenAi => openai::body(ask),
            Self::Responses => responses::body(ask),
        }
    }

    pub(super) fn decoder(self) -> Decoder {
        match self {
            Self::Anthropic => Decoder::Anthropic(anthropic::Decoder::default()),
            Self::Gemini => Decoder::Gemini(gemini::Decoder::default()),
            Self::OpenAi => Decoder::OpenAi(openai::Decoder::default()),
            Self::Responses => Decoder::Responses(responses::Decoder::default()),
        }
    }
}

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) enum Decoder {
    Anthropic(anthropic::Decoder),
    Gemini(gemini::Decoder),
    OpenAi(openai::Decoder),
    Responses(responses::Decoder),
}

impl Decoder {
    /// Takes the data of one event.
    pub(super) fn event(&mut self, data: &str) -> Result<Vec<Piece>, Fault> {
        match self {
            Self::Anthropic(decoder) => decoder.event(data),
            Self::Gemini(decoder) => decoder.event(data),
            Self::OpenAi(decoder) => decoder.event(data),
            Self::Responses(decoder) => decoder.event(data),
        }
    }

    pub(super) const fn reply(&self) -> &Reply {
        match self {
            Self::Anthropic(decoder) => &decoder.reply,
            Self::Gemini(decoder) => &decoder.reply,
            Self::OpenAi(decoder) => &decoder.reply,
            Self::Responses(decoder) => &decoder.reply,
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        match self {
            Self::Anthropic(decoder) => decoder.reply,
            Self::Gemini(decoder) => decoder.reply,
            Self::OpenAi(decoder) => decoder.reply,
            Self::Responses(decoder) => decoder.reply,
        }
    }
}

/// An object of what is there.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect::<Map<_, _>>())
}

/// The arguments of a call as an object, for a wire that takes nothing else.
fn as_object(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        _ => Value::Object(Map::new()),
    }
}

/// A count of tokens; nothing where there is none.
fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests;
