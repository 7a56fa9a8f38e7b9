//! What the user sees: records as JSON, or opinions and synthesis, or a canvas.

use crate::{
    again,
    args::Args,
    progress::Progress,
    values::{Show, Told},
};
use party_core::{CloseReason, Event, Record, SessionId, Usd};
use party_examples::{Output, note, printable, record_line};
use party_launch::{Said, Transcript};
use std::{collections::BTreeSet, io, path::PathBuf};

const SCRIPTED: &str = "scripted personas speak from a file; no model is asked (--harness claude asks one)";

pub(crate) struct Shown {
    show: Show,
    store: PathBuf,
    transcript: Transcript,
    cap: Option<Usd>,
    progress: Progress,
    output: Output,
}

impl Shown {
    pub(crate) fn new(show: Show, session: SessionId, store: PathBuf) -> Self {
        let progress = Progress::new(show.told == Told::Records);
        let (transcript, output) = (Transcript::new(session), Output::default());
        Self { show, store, transcript, cap: None, progress, output }
    }

    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.transcript.closed
    }

    pub(crate) fn begin(&self) {
        self.remark(&format!("session {} in {}", self.transcript.session, self.store.display()));
    }

    /// Says something that whoever reads records does not need.
    pub(crate) fn remark(&self, line: &str) {
        if self.show.told != Told::Records {
            self.progress.suspend(|| note(line));
        }
    }

    pub(crate) fn take(&mut self, record: &Record) {
        self.progress.take(record);
        if let Ok(Event::SessionOpened(event)) = record.event() {
            self.cap = event.budget.map(|budget| budget.cap);
            if event.seats.iter().any(|seat| seat.harness == "scripted") {
                self.remark(SCRIPTED);
            }
        }
        let said = self.transcript.take(record).cloned();
        let line = match self.show.told {
            Told::Records => Some(record_line(record)),
            Told::Opinions => said.map(|said| self.told(&said)),
            Told::Canvas => None,
        };
        if let Some(line) = line {
            // Where nobody reads any more, the council still goes on to its end: it is stored.
            let output = &mut self.output;
            self.progress.suspend(|| output.line(&line));
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

    /// Says who was absent, what it cost, where it is stored, and how to see it again or go on.
    pub(crate) fn end(&self, closed: Option<CloseReason>, args: &Args) {
        self.absences();
        let cost = self.transcript.cost_in_words();
        let (session, store) = (self.transcript.session, self.store.display());
        match closed {
            Some(CloseReason::Finished) => self.remark(&format!("ended: finished; cost: {cost}")),
            Some(_) => self.remark(&format!("cost: {cost}")),
            None => note(&format!("interrupted; cost so far: {cost}")),
        }
        match closed {
            Some(_) => self.remark(&format!(
                "stored in {store}; show it with:\n  {}",
                again::show(session, &self.store)
            )),
            None => note(&format!(
                "stored in {store}; go on with:\n  {}",
                again::go_on(session, &self.store, args)
            )),
        }
        if let Some(cap) = self.cap.filter(|cap| closed.is_some() && self.transcript.cost > *cap) {
            let cost = self.transcript.cost;
            note(&format!(
                "cost {cost} USD is above the budget of {cap} USD: runtimes reported more than they had reserved"
            ));
        }
    }

    /// A judge that was asked again is absent once.
    fn absences(&self) {
        let mut named = BTreeSet::new();
        for (round, absence) in &self.transcript.absences {
            if named.insert((round, absence.seat)) {
                let absence = printable(&self.transcript.absence_in_words(absence));
                self.remark(&format!("absent in round {round}: {absence}"));
            }
        }
    }

    /// Writes what is written at the end.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let canvas = || printable(&self.transcript.to_markdown());
        if self.show.told == Told::Canvas {
            self.output.line(canvas().trim_end());
        }
        if let Some(file) = &self.show.canvas {
            std::fs::write(file, canvas()).map_err(|error| named(&error, "cannot write", file))?;
        }
        self.output.finish()
    }
}

fn named(error: &io::Error, what: &str, file: &std::path::Path) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", file.display()))
}
