//! How a turn is stopped, and what waits too long.

use super::{Serving, abandon::NOW, broken};
use crate::{
    Answer as Decision,
    codex::codec::{Status, Verdict},
    core::Failure,
};
use std::time::Duration;
use tokio::time::Instant;

/// How long lies between two interrupts: a turn that is just beginning takes none.
pub(super) const AGAIN: Duration = Duration::from_millis(100);

/// How long the end of a turn is awaited that may have been missed.
const DEAF: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Stopping {
    /// When it has taken too long.
    end: Instant,
    /// When it is asked again.
    again: Option<Instant>,
    /// Whether the server took the last interrupt.
    taken: bool,
    /// The end may not be heard.
    is_deaf: bool,
    why: Option<(String, Failure)>,
}

impl Stopping {
    pub(super) fn new(patience: Duration, why: Option<(String, Failure)>) -> Self {
        Self { end: Instant::now() + patience, again: None, taken: false, is_deaf: false, why }
    }

    pub(super) const fn end(&self) -> Instant {
        self.end
    }

    pub(super) fn due(&self) -> Instant {
        self.again.map_or(self.end, |again| again.min(self.end))
    }

    pub(super) fn answered(&mut self, taken: bool) {
        self.taken |= taken;
        self.again = (!taken).then(|| Instant::now() + AGAIN);
        if taken && self.is_deaf {
            self.end = self.end.min(Instant::now() + DEAF);
        }
    }

    /// What the server said may have been missed, its end too.
    pub(super) const fn deafened(&mut self) {
        self.is_deaf = true;
    }
}

impl Serving {
    /// There is no more time: what does not end now is left to the server.
    pub(super) fn stop_now(&mut self) {
        self.stop(None);
        if let Some(stopping) = &mut self.stopping {
            stopping.end = stopping.end.min(Instant::now() + NOW);
        }
    }

    /// Something has taken too long; gives the turn's end where it is over by that.
    pub(super) async fn due(&mut self) -> Option<Verdict> {
        let now = Instant::now();
        let limits = self.order.inner.hub.setup.limits;
        if let Some(stopping) = &mut self.stopping {
            if stopping.end <= now {
                return Some(self.given_up().await);
            }
            stopping.again = None;
            self.interrupt();
            return None;
        }
        let overdue = self.questions.overdue();
        for request in &overdue {
            let why = format!("nobody answered within {} ms", limits.answer.as_millis());
            let deny = Decision::Deny { why: why.clone() };
            if self.questions.decide(&self.at.link, request, &deny) {
                self.push(crate::TurnEvent::PermissionWithdrawn { request: request.clone() });
                self.explain(request.clone(), &why);
            }
        }
        if overdue.is_empty() && self.due_at() <= now {
            let why = format!("codex gave no sign of life for {} ms", limits.idle.as_millis());
            self.stop(Some((why, Failure::Idle)));
        }
        None
    }

    /// The server does not end the turn. One that does not even answer is of no more use to anybody.
    async fn given_up(&mut self) -> Verdict {
        let is_mute = self.stopping.as_ref().is_some_and(|stopping| !stopping.taken);
        self.order.inner.remember(None, None);
        if is_mute && !self.at.link.gone().is_cancelled() {
            self.order.inner.hub.condemn(self.at.link.generation).await;
        }
        let cut = self.run.conclude();
        let (text, usage) = cut.map(|cut| (cut.text, cut.usage)).unwrap_or_default();
        let reason = Some("interrupted".to_owned());
        Verdict { status: Status::Interrupted, text, reason, failure: None, usage }
    }

    /// The end as the host is told it: what was asked to stop for a reason failed for that.
    pub(super) fn judged(&mut self, mut verdict: Verdict) -> Verdict {
        let Some(stopping) = self.stopping.take() else {
            // Nobody here asked for it: its server was killed, or somebody else stopped it.
            if verdict.status == Status::Interrupted {
                let usage = verdict.usage;
                verdict = broken(&mut self.run, "codex was stopped in the middle of the turn", Failure::Died);
                verdict.usage = usage;
            }
            return verdict;
        };
        match (verdict.status, stopping.why) {
            (Status::Answered | Status::Silent, _) => verdict,
            (_, Some((why, failure))) => {
                (verdict.status, verdict.failure, verdict.reason) =
                    (Status::Failed, Some(failure), Some(why));
                verdict
            }
            (_, None) => {
                let reason = Some("interrupted".to_owned());
                (verdict.status, verdict.failure, verdict.reason) = (Status::Interrupted, None, reason);
                verdict
            }
        }
    }
}
