//! The control protocol: what the CLI asks its host in the middle of a turn, and how it answers.

use super::{Decoded, Decoder, seen::Kind};
use crate::RawJson;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A line of the control protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Control {
    /// The CLI asks, and waits for an answer of this id.
    Asked {
        /// Names the question.
        id: String,
        /// What it asks.
        what: ControlRequest,
    },
    /// The CLI no longer waits.
    Withdrawn {
        /// The question.
        id: String,
    },
    /// The CLI answers a request of the host.
    Answered {
        /// The request.
        id: String,
        /// The answer; an error in the CLI's words.
        answer: Result<RawJson, String>,
    },
}

/// What the CLI asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlRequest {
    /// Whether it may use a tool of its own.
    CanUseTool {
        /// The tool.
        tool: String,
        /// Its arguments.
        input: RawJson,
        /// The call's id.
        call: Option<String>,
    },
    /// A message to a server that lives in the host.
    Mcp {
        /// The server.
        server: String,
        /// The JSON-RPC message.
        message: RawJson,
    },
    /// A hook that the host has registered.
    Hook {
        /// The name that the host gave it.
        callback: String,
        /// What happened.
        input: RawJson,
    },
    /// Anything else.
    Unknown {
        /// Its subtype.
        subtype: String,
    },
}

#[derive(Deserialize)]
struct Asking<'a> {
    request_id: String,
    #[serde(borrow)]
    request: Question<'a>,
}

#[derive(Deserialize)]
struct Question<'a> {
    subtype: String,
    #[serde(default)]
    tool_name: Option<String>,
    #[serde(default)]
    tool_use_id: Option<String>,
    #[serde(default)]
    server_name: Option<String>,
    #[serde(default)]
    callback_id: Option<String>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(default, borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Answering<'a> {
    #[serde(borrow)]
    response: Reply<'a>,
}

#[derive(Deserialize)]
struct Reply<'a> {
    request_id: String,
    subtype: String,
    #[serde(default, borrow)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Withdrawing {
    request_id: String,
}

impl Decoder {
    pub(super) fn asked(&mut self, line: &[u8]) -> Option<()> {
        let Asking { request_id: id, request } = serde_json::from_slice(line).ok()?;
        let null = || RawJson::from(serde_json::Value::Null);
        let input = || request.input.map_or_else(null, RawJson::from);
        let what = match (request.subtype.as_str(), &request) {
            ("can_use_tool", Question { tool_name: Some(tool), tool_use_id, .. }) => {
                ControlRequest::CanUseTool { tool: tool.clone(), input: input(), call: tool_use_id.clone() }
            }
            ("mcp_message", Question { server_name: Some(server), message: Some(message), .. }) => {
                ControlRequest::Mcp { server: server.clone(), message: (*message).into() }
            }
            ("hook_callback", Question { callback_id: Some(callback), .. }) => {
                ControlRequest::Hook { callback: callback.clone(), input: input() }
            }
            (subtype, _) => ControlRequest::Unknown { subtype: subtype.to_owned() },
        };
        if self.lines.insert(Kind::Asked, &id) {
            self.out.push(Decoded::Control(Control::Asked { id, what }));
        }
        Some(())
    }

    pub(super) fn answered(&mut self, line: &[u8]) -> Option<()> {
        let Answering { response: reply } = serde_json::from_slice(line).ok()?;
        let null = || RawJson::from(serde_json::Value::Null);
        let answer = match reply.subtype.as_str() {
            "success" => Ok(reply.response.map_or_else(null, RawJson::from)),
            subtype => Err(reply.error.unwrap_or_else(|| subtype.to_owned())),
        };
        if self.lines.insert(Kind::Answered, &reply.request_id) {
            self.out.push(Decoded::Control(Control::Answered { id: reply.request_id, answer }));
        }
        Some(())
    }

    pub(super) fn withdrawn(&mut self, line: &[u8]) -> Option<()> {
        let Withdrawing { request_id: id } = serde_json::from_slice(line).ok()?;
        if self.lines.insert(Kind::Withdrawn, &id) {
            self.out.push(Decoded::Control(Control::Withdrawn { id }));
        }
        Some(())
    }
}
