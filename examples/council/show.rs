//! What the user sees: records as JSON, or opinions and synthesis, or a canvas.

use crate::{args::Show, progress::Progress};
use party_core::{CloseReason, Record, SessionId};
use party_examples::{Output, printable, record_line};
use party_launch::{Said, Transcript};
use std::path::PathBuf;

const SCRIPTED: &str = "scripted personas speak from a file; no model is asked (--harness claude asks one)";

pub(crate) struct Shown {
    show: Show,
    store: PathBuf,
    transcript: Transcript,
    progress: Progress,
    output: Output,
}

impl Shown {
    pub(crate) fn new(show: Show, session: SessionId, store: PathBuf) -> Self {
        let progress = Progress::new(show == Show::Json);
        Self { show, store, transcript: Transcript::new(session), progress, output: Output::default() }
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.transcript.closed
    }

    pub(crate) fn begin(&self) {
        if self.show != Show::Json {
            eprintln!("session {} in {}", self.transcript.session, self.store.display());
        }
    }

    pub(crate) fn take(&mut self, record: &Record) {
        self.progress.take(record);
        let opens = self.transcript.seats.is_empty();
        let said = self.transcript.take(record).cloned();
        if self.show == Show::Json {
            self.output.line(&record_line(record));
            return;
        }
        if opens && self.transcript.seats.iter().any(|seat| seat.harness == "scripted") {
            self.progress.suspend(|| eprintln!("{SCRIPTED}"));
        }
        if let Some(said) = said.filter(|_| matches!(self.show, Show::Plain | Show::CanvasFile(_))) {
            let text = self.told(&said);
            let output = &mut self.output;
            self.progress.suspend(|| output.line(&text));
        }
    }

    fn told(&self, said: &Said) -> String {
        let heading = match said.seat {
            None => "Question".to_owned(),
            Some(seat) => {
                let role =
                    self.transcript.seats.get(usize::from(seat.0)).map_or("", |seat| seat.role.as_str());
                let kind =
                    if role == "judge" { "synthesis".to_owned() } else { format!("round {}", said.round) };
                format!("{} · {kind}", self.transcript.name(seat))
            }
        };
        printable(&format!("── {heading} ──\n{}\n", said.item.text().trim()))
    }

    /// Says how it ended, where it is stored, and how to see it again or go on.
    pub(crate) fn end(mut self, closed: Option<CloseReason>) -> std::io::Result<()> {
        let canvas = || printable(&self.transcript.to_markdown());
        match &self.show {
            Show::Json => return Ok(()),
            Show::Canvas => self.output.line(canvas().trim_end()),
            Show::CanvasFile(file) => {
                std::fs::write(file, canvas()).map_err(|error| named(&error, "cannot write", file))?;
            }
            Show::Plain => {}
        }
        for (round, absence) in &self.transcript.absences {
            eprintln!("absent in round {round}: {}", printable(&self.transcript.absence_in_words(absence)));
        }
        match closed {
            Some(reason) => eprintln!("ended: {reason}; cost: {}", self.transcript.cost_in_words()),
            None => eprintln!("interrupted; cost so far: {}", self.transcript.cost_in_words()),
        }
        let verb = if closed.is_some() { "show it" } else { "go on" };
        let (session, store) = (self.transcript.session, self.store.display().to_string());
        eprintln!(
            "stored in {store}; {verb} with:\n  cargo run --release --example council -- --resume {session} --store {}",
            quoted(&store)
        );
        Ok(())
    }
}

fn named(error: &std::io::Error, what: &str, file: &std::path::Path) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("{what} {}: {error}", file.display()))
}

/// The text as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
