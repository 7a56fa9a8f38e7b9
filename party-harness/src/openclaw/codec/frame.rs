//! What a frame of the gateway is.

use crate::claude_code::codec::view::{Fields, Json};

/// A frame, as far as it is one.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Answer(Answer<'a>),
    Event(Event<'a>),
    /// JSON, but no frame that is known.
    Strange,
}

/// An answer to a request; method `agent` gets two.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) id: String,
    pub(crate) ok: bool,
    pub(crate) payload: Option<Json<'a>>,
    pub(crate) error: Option<Json<'a>>,
}

#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) name: String,
    pub(crate) payload: Option<Json<'a>>,
    /// Those of the payload, of an event that tells of a run.
    pub(super) fields: Fields<'a>,
}

impl<'a> Frame<'a> {
    /// Reads a frame; `None` where the text is no JSON object.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        Fields::read(text).map(|fields| Self::of(&fields))
    }

    pub(super) fn of(fields: &Fields<'a>) -> Self {
        let string = |name| fields.get(name).and_then(Json::string);
        let (payload, error) = (filled(fields, "payload"), filled(fields, "error"));
        match string("type").as_deref() {
            Some("res") => match string("id") {
                Some(id) => {
                    let ok = fields.get("ok").and_then(Json::bool).unwrap_or(error.is_none());
                    Self::Answer(Answer { id, ok, payload, error })
                }
                None => Self::Strange,
            },
            Some("event") => match string("event") {
                Some(name) => {
                    let is_told = matches!(name.as_str(), "agent" | "chat");
                    let fields = payload.filter(|_| is_told).map(Json::fields).unwrap_or_default();
                    Self::Event(Event { name, payload, fields })
                }
                None => Self::Strange,
            },
            _ => Self::Strange,
        }
    }
}

/// A field that is there and not null.
pub(super) fn filled<'a>(fields: &Fields<'a>, name: &str) -> Option<Json<'a>> {
    fields.get(name).filter(|value| value.get() != "null")
}

impl Answer<'_> {
    /// A text of the payload.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.payload?.field(name)?.string()
    }
}

impl Event<'_> {
    /// The run that it tells of; none for all else, whatever it is about.
    pub(crate) fn run(&self) -> Option<String> {
        self.fields.get("runId")?.string()
    }
}
