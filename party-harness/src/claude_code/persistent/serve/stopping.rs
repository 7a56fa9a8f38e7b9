//! How a turn is stopped, ever less kindly: asked, then signalled, then killed.

use rustix::process::Signal;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Stopping {
    due: Instant,
    step: Step,
}

/// What was done last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Asked,
    Interrupted,
    Terminated,
    Killed,
}

impl Stopping {
    /// The CLI was asked.
    pub(super) fn new(rung: Duration) -> Self {
        Self { due: Instant::now() + rung, step: Step::Asked }
    }

    /// It is killed.
    pub(super) fn killed(rung: Duration) -> Self {
        Self { due: Instant::now() + rung, step: Step::Killed }
    }

    /// When the next step is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Whether the process itself was told to end.
    pub(super) fn has_signalled(&self) -> bool {
        self.step > Step::Asked
    }

    pub(super) fn has_killed(&self) -> bool {
        self.step == Step::Killed
    }

    /// The next step: a signal, or the end.
    pub(super) fn climb(&mut self, rung: Duration) -> Option<Signal> {
        self.due = Instant::now() + rung;
        let (step, signal) = match self.step {
            Step::Asked => (Step::Interrupted, Some(Signal::INT)),
            Step::Interrupted => (Step::Terminated, Some(Signal::TERM)),
            Step::Terminated | Step::Killed => (Step::Killed, None),
        };
        self.step = step;
        signal
    }
}
