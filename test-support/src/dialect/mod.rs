//! The APIs by which a model is asked: the same answer, told in each.

mod anthropic;
mod chat;
mod gemini;
mod responses;
#[cfg(test)]
mod tests;

use axum::body::Bytes;
use axum::http::Uri;
use serde_json::Value;

use crate::answer::{Answer, Step};

/// An API of a model provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Anthropic,
    Chat,
    Responses,
    Gemini,
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) dialect: Dialect,
    /// Where the path says it, and not the body.
    pub(crate) model: Option<String>,
    pub(crate) streams: Option<bool>,
}

impl Asked {
    /// Of a path that asks a model for a turn. What stands before the API's own part does not matter.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let path = uri.path();
        let plain = |dialect| Some(Self { dialect, model: None, streams: None });
        if path == "/v1/messages" {
            plain(Dialect::Anthropic)
        } else if path.ends_with("/chat/completions") {
            plain(Dialect::Chat)
        } else if path.ends_with("/responses") {
            plain(Dialect::Responses)
        } else {
            let (model, method) = path.rsplit_once('/')?.1.split_once(':')?;
            let streams = match method {
                "streamGenerateContent" => true,
                "generateContent" => false,
                _ => return None,
            };
            Some(Self { dialect: Dialect::Gemini, model: Some(model.to_owned()), streams: Some(streams) })
        }
    }
}

impl Dialect {
    pub(crate) fn message(self, answer: &Answer) -> Value {
        match self {
            Self::Anthropic => anthropic::message(answer),
            Self::Chat => chat::message(answer),
            Self::Responses => responses::message(answer),
            Self::Gemini => gemini::message(answer),
        }
    }

    pub(crate) fn script(self, answer: &Answer) -> Vec<Step> {
        match self {
            Self::Anthropic => anthropic::script(answer),
            Self::Chat => chat::script(answer),
            Self::Responses => responses::script(answer),
            Self::Gemini => gemini::script(answer),
        }
    }

    pub(crate) fn error(self, status: u16, kind: &str, message: &str) -> Value {
        match self {
            Self::Anthropic => anthropic::error(kind, message),
            Self::Chat | Self::Responses => chat::error(kind, message),
            Self::Gemini => gemini::error(status, kind, message),
        }
    }

    /// An event as it goes over the wire; a bare text stands for itself.
    pub(crate) fn framed(self, event: &Value) -> Bytes {
        let data = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
        Bytes::from(match self {
            Self::Anthropic | Self::Responses => {
                format!("event: {}\ndata: {data}\n\n", event["type"].as_str().unwrap_or_default())
            }
            Self::Chat | Self::Gemini => format!("data: {data}\n\n"),
        })
    }

    /// The CLI of Anthropic asks its model for titles and the like, without tools.
    pub(crate) fn has_side_calls(self) -> bool {
        self == Self::Anthropic
    }
}
