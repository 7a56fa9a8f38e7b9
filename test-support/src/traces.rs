//! What the code under test tells a subscriber of `tracing`.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::{self, DefaultGuard},
    field::{Field, Visit},
    span,
};

/// Everything that this thread traces while it lives, at every level, as text: one line for each span and
/// each event, with its level, its name and its fields.
#[derive(Debug)]
#[must_use = "what is traced is heard while this lives"]
pub struct Traces {
    lines: Lines,
    _here: DefaultGuard,
    _second: Dispatch,
}

impl Traces {
    /// Listens to this thread.
    pub fn listen() -> Self {
        let lines = Lines::default();
        // While there is one dispatcher, `tracing` asks the thread that comes by a place first whether anybody
        // wants to hear of it, and believes it for all: a thread of another test would say no. Of two it asks both.
        let second = Dispatch::new(lines.clone());
        let here = dispatcher::set_default(&Dispatch::new(lines.clone()));
        Self { lines, _here: here, _second: second }
    }

    /// What was heard until now.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<String>>);

impl Lines {
    fn line(&self, begin: String, record: impl FnOnce(&mut Fields)) {
        let mut fields = Fields(begin);
        record(&mut fields);
        fields.0.push('\n');
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&fields.0);
    }
}

fn name(metadata: &Metadata<'_>) -> String {
    format!("{} {}", metadata.level(), metadata.name())
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string never fails.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.line(name(span.metadata()), |fields| span.record(fields));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        self.line("later".to_owned(), |fields| values.record(fields));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.line(name(event.metadata()), |fields| event.record(fields));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
