//! The control protocol: what the CLI asks its host in the middle of a turn, and how it answers.

use super::{Decoded, Decoder, head::Head, read::Read, seen::Kind, view::Json};
use crate::RawJson;

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

impl Decoder {
    pub(super) fn asked(&mut self, head: &Head<'_>) -> Option<Read> {
        let id = head.string("request_id")?;
        let what = request(head.field("request")?)?;
        self.control(Kind::Asked, Control::Asked { id, what })
    }

    pub(super) fn answered(&mut self, head: &Head<'_>) -> Option<Read> {
        let [mut id, mut subtype, mut answer, mut error] = [None; 4];
        for (name, value) in head.field("response")?.fields().iter() {
            match name {
                "request_id" => id = Some(value),
                "subtype" => subtype = Some(value),
                "response" => answer = Some(value),
                "error" => error = Some(value),
                _ => {}
            }
        }
        let (id, subtype) = (id?.string()?, subtype?.string()?);
        let answer = match subtype.as_str() {
            "success" => Ok(answer.map_or_else(RawJson::null, RawJson::from)),
            _ => Err(error.and_then(Json::string).unwrap_or(subtype)),
        };
        self.control(Kind::Answered, Control::Answered { id, answer })
    }

    pub(super) fn withdrawn(&mut self, head: &Head<'_>) -> Option<Read> {
        let id = head.string("request_id")?;
        self.control(Kind::Withdrawn, Control::Withdrawn { id })
    }

    fn control(&mut self, kind: Kind, control: Control) -> Option<Read> {
        let (Control::Asked { id, .. } | Control::Answered { id, .. } | Control::Withdrawn { id }) = &control;
        if self.lines.insert(kind, id) {
            self.out.push(Decoded::Control(control));
        }
        Some(Read::Handled)
    }
}

/// `None` where it has no subtype; one that does not fit its subtype is unknown.
fn request(request: Json<'_>) -> Option<ControlRequest> {
    let subtype = request.field("subtype")?.string()?;
    let string = |name| request.field(name).and_then(Json::string);
    let raw = |name| request.field(name).map(RawJson::from);
    let input = || raw("input").unwrap_or_else(RawJson::null);
    let known = match subtype.as_str() {
        "can_use_tool" => string("tool_name").map(|tool| ControlRequest::CanUseTool {
            tool,
            input: input(),
            call: string("tool_use_id"),
        }),
        "mcp_message" => string("server_name")
            .zip(raw("message"))
            .map(|(server, message)| ControlRequest::Mcp { server, message }),
        "hook_callback" => {
            string("callback_id").map(|callback| ControlRequest::Hook { callback, input: input() })
        }
        _ => None,
    };
    Some(known.unwrap_or(ControlRequest::Unknown { subtype }))
}
