//! What a frame of the gateway is: found in its text, and left there.

use crate::jsonl::view::{Fields, Json, fields_of_any};
use serde::Deserialize;
use std::borrow::Cow;

/// A line: a frame as it came, or one within a recording's line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    pub(super) dir: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) note: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) frame: Option<Head<'a>>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Json<'a>>,
    #[serde(borrow)]
    id: Option<Json<'a>>,
    #[serde(borrow)]
    ok: Option<Json<'a>>,
    #[serde(borrow)]
    event: Option<Json<'a>>,
    #[serde(borrow)]
    payload: Option<Json<'a>>,
    #[serde(borrow)]
    error: Option<Json<'a>>,
}

impl<'a> Line<'a> {
    /// The line as the frame that it is.
    pub(super) fn into_head(self) -> Head<'a> {
        let Self { kind, id, ok, event, payload, error, .. } = self;
        Head { kind, id, ok, event, payload, error, ..Head::default() }
    }
}

/// What all frames have.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) id: Option<Json<'a>>,
    #[serde(borrow)]
    ok: Option<Json<'a>>,
    #[serde(borrow)]
    event: Option<Json<'a>>,
    #[serde(borrow)]
    payload: Option<Json<'a>>,
    #[serde(borrow)]
    error: Option<Json<'a>>,
    /// Of requests.
    #[serde(borrow)]
    pub(super) method: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) params: Option<Json<'a>>,
}

impl<'a> Head<'a> {
    pub(super) fn into_frame(self) -> Frame<'a> {
        let Self { id, ok, payload, error, .. } = self;
        match text(self.kind).as_deref() {
            Some("res") => text(id).map_or(Frame::Strange, |id| {
                let ok = ok.and_then(Json::bool).unwrap_or(error.is_none());
                Frame::Answer(Answer { id, ok, payload, error })
            }),
            Some("event") => text(self.event)
                .and_then(|name| Event::of(name, payload))
                .map_or(Frame::Strange, Frame::Event),
            _ => Frame::Strange,
        }
    }
}

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
    pub(crate) id: Cow<'a, str>,
    pub(crate) ok: bool,
    pub(crate) payload: Option<Json<'a>>,
    pub(crate) error: Option<Json<'a>>,
}

#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) payload: Option<Json<'a>>,
    /// What is read of the payload, of an event that tells of a run.
    pub(super) of_run: OfRun<'a>,
}

/// What events say of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct OfRun<'a> {
    #[serde(borrow)]
    run_id: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) seq: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) stream: Option<Json<'a>>,
    #[serde(borrow, deserialize_with = "fields_of_any")]
    pub(super) data: Fields<'a>,
    #[serde(borrow)]
    pub(super) state: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) message: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) stop_reason: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) error_message: Option<Json<'a>>,
    #[serde(borrow)]
    pub(super) error_detail: Option<Json<'a>>,
}

impl<'a> Frame<'a> {
    /// Reads a frame; `None` where the text is no JSON object, or none of a frame's shape.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        Json::read_as(text).map(Head::into_frame)
    }
}

/// A text, where it is one.
pub(super) fn text(json: Option<Json<'_>>) -> Option<Cow<'_, str>> {
    json?.cow()
}

/// A field that is there and not null.
pub(super) fn filled<'a>(fields: &Fields<'a>, name: &str) -> Option<Json<'a>> {
    fields.get(name).filter(|value| value.get() != "null")
}

impl<'a> Answer<'a> {
    /// Those of the payload.
    pub(crate) fn fields(&self) -> Fields<'a> {
        self.payload.map(Json::fields).unwrap_or_default()
    }
}

impl<'a> Event<'a> {
    /// `None` where it should tell of a run, and is of no known shape.
    fn of(name: Cow<'a, str>, payload: Option<Json<'a>>) -> Option<Self> {
        let is_told = matches!(&*name, "agent" | "chat");
        let of_run = match payload.filter(|_| is_told) {
            Some(payload) => Json::read_as(payload.get())?,
            None => OfRun::default(),
        };
        Some(Self { name, payload, of_run })
    }

    /// The run that it tells of; none for all else, whatever it is about.
    pub(crate) fn run(&self) -> Option<Cow<'a, str>> {
        text(self.of_run.run_id)
    }
}
