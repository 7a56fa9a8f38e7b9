//! What all kinds of lines have; all other fields pass unseen until somebody asks for them.

use super::{
    unescape::Text,
    view::{Fields, Json},
};
use std::borrow::Cow;

/// The fields of a line, wherever in the line they stand: their order is not stable.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) subtype: Option<Cow<'a, str>>,
    pub(super) uuid: Option<Cow<'a, str>>,
    pub(super) session: Option<Cow<'a, str>>,
    pub(super) by_sub_agent: bool,
    /// Written by the CLI, or read back from the transcript.
    pub(super) is_echo: bool,
    /// The line itself.
    pub(super) line: &'a str,
    pub(super) fields: Fields<'a>,
}

impl<'a> Head<'a> {
    /// `None` where the line is no JSON object.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let fields = Fields::read(line)?;
        let mut head = Self { line: line.trim_ascii(), ..Self::default() };
        for (name, value) in fields.iter() {
            head.take(name, value);
        }
        Some(Self { fields, ..head })
    }

    fn take(&mut self, name: &str, value: Json<'a>) {
        let text = || value.text().map(Text::to_cow);
        match name {
            "type" => self.kind = text(),
            "subtype" => self.subtype = text(),
            "uuid" => self.uuid = text().filter(|id| !id.is_empty()),
            "session_id" => self.session = text().filter(|id| !id.is_empty()),
            "parent_tool_use_id" => self.by_sub_agent = value.text().is_some(),
            "isSynthetic" | "isReplay" => self.is_echo |= value.bool() == Some(true),
            _ => {}
        }
    }

    /// The last field of this name.
    pub(super) fn field(&self, name: &str) -> Option<Json<'a>> {
        self.fields.get(name)
    }

    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.field(name)?.string()
    }

    /// The fields of the message.
    pub(super) fn message(&self) -> Fields<'a> {
        self.field("message").map(Json::fields).unwrap_or_default()
    }
}
