//! Attending a running turn until it ends, by itself or because it has to.

use super::{Attempt, broken, ended, pulse::Pulse};
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, FuturesUnordered},
};
use party_core::{Failure, Outcome};
use party_harness::{Answer, RequestId, Turn, TurnControl, TurnEnd, TurnEvent};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Why a turn is stopped.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Cancelled,
    Overdue(Duration),
    Idle(Duration),
}

impl Stop {
    const fn outcome(self) -> Outcome {
        match self {
            Self::Cancelled => Outcome::Cancelled,
            Self::Overdue(_) | Self::Idle(_) => Outcome::TimedOut,
        }
    }

    fn reason(self) -> String {
        match self {
            Self::Cancelled => "it was stopped".to_owned(),
            Self::Overdue(timeout) => format!("it took longer than {} s", timeout.as_secs()),
            Self::Idle(patience) => format!("it showed no sign of life for {} s", patience.as_secs()),
        }
    }

    /// What kind of failure it is, where the runtime does not know better.
    const fn failure(self) -> Option<Failure> {
        match self {
            Self::Idle(_) => Some(Failure::Idle),
            Self::Cancelled | Self::Overdue(_) => None,
        }
    }

    /// The end of a turn that did not end within its grace.
    fn end(self) -> TurnEnd {
        TurnEnd { failure: self.failure(), ..ended(self.outcome(), &self.reason()) }
    }

    /// A turn that finishes within its grace counts; one that was cut short ends as what cut it.
    fn judge(self, end: TurnEnd) -> TurnEnd {
        if end.outcome == Outcome::Completed {
            return end;
        }
        let failure = self.failure().or(end.failure);
        TurnEnd { outcome: self.outcome(), text: None, reason: Some(self.reason()), failure, ..end }
    }
}

/// A turn while it runs.
struct Attended {
    events: BoxStream<'static, TurnEvent>,
    control: Arc<dyn TurnControl>,
    /// What the runtime is being told; it may take its time, and the clocks go on.
    asides: FuturesUnordered<BoxFuture<'static, ()>>,
    pulse: Pulse,
    deadline: Instant,
    stopped: Option<Stop>,
}

impl Attempt {
    /// Passes the turn's events on until it ends. Stops come before events, so that a runtime that
    /// never pauses is stopped too.
    pub(super) async fn attend(&mut self, turn: Turn) -> TurnEnd {
        let mut turn = Attended {
            events: turn.events,
            control: turn.control,
            asides: FuturesUnordered::new(),
            pulse: Pulse::new(self.idle, std::mem::take(&mut self.asked)),
            deadline: Instant::now() + self.timeout,
            stopped: None,
        };
        loop {
            let runs = turn.stopped.is_none();
            let idle = turn.pulse.deadline().filter(|_| runs);
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if runs => turn.stop(Stop::Cancelled, self.grace),
                () = sleep_until(turn.deadline) => match turn.stopped {
                    Some(stopped) => return stopped.end(),
                    None => turn.stop(Stop::Overdue(self.timeout), self.grace),
                },
                () = sleep_until(idle.unwrap_or(turn.deadline)), if idle.is_some() => {
                    turn.stop(Stop::Idle(self.idle.unwrap_or_default()), self.grace);
                }
                Some(()) = turn.asides.next() => {}
                Some((request, answer)) = self.answers.recv() => turn.answer(request, answer),
                Ok(()) = self.calls.open.changed() => {
                    turn.pulse.calls(*self.calls.open.borrow_and_update());
                }
                event = turn.events.next() => match event {
                    Some(TurnEvent::Ended(end)) => {
                        return match turn.stopped {
                            Some(stopped) => stopped.judge(end),
                            None => end,
                        };
                    }
                    Some(event) => {
                        turn.pulse.event(&event);
                        self.tell(event).await;
                        // While the driver had no time to listen, nobody looked for signs of life.
                        turn.pulse.listened();
                    }
                    None => return broken(Failure::Died, "the runtime's stream ended without an end"),
                },
            }
        }
    }
}

impl Attended {
    /// Asks the runtime to stop; what it still finishes within the grace counts.
    fn stop(&mut self, stop: Stop, grace: Duration) {
        self.stopped = Some(stop);
        self.deadline = Instant::now() + grace;
        let control = Arc::clone(&self.control);
        let interrupt = async move {
            if let Err(error) = control.interrupt().await {
                tracing::debug!(%error, "the runtime was not interrupted");
            }
        };
        self.asides.push(interrupt.boxed());
    }

    fn answer(&mut self, request: RequestId, answer: Answer) {
        self.pulse.answered(&request);
        let control = Arc::clone(&self.control);
        let telling = async move {
            if let Err(error) = control.answer(request, answer).await {
                tracing::warn!(%error, "the runtime was not told the answer to its question");
            }
        };
        self.asides.push(telling.boxed());
    }
}
