//! What the agent said last.

use super::seen::{Kind, hash};
use std::sync::Arc;

/// The text blocks of the model's latest message, each with the line that it came in.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    message: Option<String>,
    texts: Vec<(Option<u64>, Arc<str>)>,
}

impl Answer {
    /// A message comes as one line per block, with one id.
    pub(super) fn begin(&mut self, message: Option<String>) {
        if self.message != message || message.is_none() {
            self.message = message;
            self.texts.clear();
        }
    }

    pub(super) fn say(&mut self, line: Option<&str>, text: Arc<str>) {
        self.texts.push((line.map(|line| hash(Kind::Line, line)), text));
    }

    /// Takes back what a line said.
    pub(super) fn withdraw(&mut self, line: &str) {
        let line = Some(hash(Kind::Line, line));
        self.texts.retain(|(said_in, _)| *said_in != line);
    }

    pub(super) const fn is_begun(&self) -> bool {
        self.message.is_some()
    }

    /// The last block: what a result repeats.
    pub(super) fn last(&self) -> Option<&Arc<str>> {
        self.texts.last().map(|(_, text)| text)
    }

    /// All of it; none where it is blank.
    pub(super) fn text(&self) -> Option<Arc<str>> {
        let text = match self.texts.as_slice() {
            [(_, text)] => Arc::clone(text),
            texts => texts.iter().map(|(_, text)| &**text).collect::<Vec<_>>().join("\n\n").into(),
        };
        Some(text).filter(|text| !text.trim().is_empty())
    }
}
