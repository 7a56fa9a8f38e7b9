//! What becomes of a turn whose connection is gone.

use super::{
    Serving,
    begin::{LOOKED_AT, turns},
    broken,
    stop::Stopping,
};
use crate::{
    codex::{
        codec::{TurnView, Verdict},
        link::{Link, Trouble},
    },
    core::Failure,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// How long lies between two tries at first; twice as long each time, up to a limit.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a look at the thread tells.
enum Look {
    /// The turn goes on, and is heard again.
    Runs,
    Over(Box<Verdict>),
    /// The connection went again, or there is none yet.
    Again(String),
}

impl Serving {
    /// Makes another connection and looks what became of the turn: it goes on, or this is its end.
    pub(super) async fn lost(&mut self) -> Option<Verdict> {
        self.bill.missed();
        if self.at.inbox.overrun().is_cancelled() {
            self.at.inbox = self.at.link.hear(&self.at.thread);
            self.stop(Some(("too much waits for the host to read it".to_owned(), Failure::Other)));
            self.stopping.iter_mut().for_each(Stopping::deafened);
            return None;
        }
        let (mut why, may_pass) = self.at.link.end();
        if !may_pass {
            return Some(self.out_of_order(&why).await);
        }
        let patience = self.order.inner.hub.setup.limits.reconnect;
        let (end, mut pause) = (Instant::now() + patience, PAUSE.0);
        loop {
            let (stop, waits) = (self.order.stop.clone(), self.end_of_wait(end));
            let is_stopping = self.stopping.is_some();
            let looked = tokio::select! {
                biased;
                () = stop.cancelled(), if !is_stopping => None,
                looked = timeout_at(waits, Box::pin(self.look())) => Some(looked),
            };
            match looked {
                // The turn is stopped by the next connection, if that comes in time.
                None => {
                    self.stop(None);
                    continue;
                }
                Some(Ok(Look::Runs)) => return None,
                Some(Ok(Look::Over(verdict))) => return Some(*verdict),
                Some(Ok(Look::Again(again))) => why = again,
                Some(Err(_)) => {}
            }
            if Instant::now() + pause >= self.end_of_wait(end) || self.order.events.is_closed() {
                // The turn may run: a later one is not to come into it.
                self.order.inner.remember(None, None);
                let reason = format!("codex cannot be reached again: {why}");
                return Some(broken(&mut self.run, reason, Failure::Died));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// A turn that is being stopped waits no longer than for that.
    fn end_of_wait(&self, end: Instant) -> Instant {
        self.stopping.as_ref().map_or(end, |stopping| stopping.end().min(end))
    }

    async fn look(&mut self) -> Look {
        let inner = Arc::clone(&self.order.inner);
        let link = match inner.hub.link(&inner.spec.env).await {
            Ok(link) => link,
            Err(error) => return Look::Again(error.to_string()),
        };
        let inbox = link.hear(&self.at.thread);
        let looked = self.look_by(&link).await;
        match looked {
            Ok(Some(verdict)) => Look::Over(Box::new(verdict)),
            Ok(None) => {
                inner.remember(Some(self.token()), Some(&link));
                (self.at.link, self.at.inbox) = (link, inbox);
                Look::Runs
            }
            Err(Trouble::Refused { why, .. }) => {
                inner.remember(None, None);
                let reason = format!("the turn's thread is gone: {why}");
                Look::Over(Box::new(broken(&mut self.run, reason, Failure::Died)))
            }
            Err(trouble) => Look::Again(trouble.to_string()),
        }
    }

    /// The turn's end where it has one. A turn that does not run and has no end was cut off.
    async fn look_by(&mut self, link: &Arc<Link>) -> Result<Option<Verdict>, Trouble> {
        let status = self.order.resume(link, &self.at.thread).await?;
        self.order.inner.remember(Some(self.token()), Some(link));
        let listed = turns(link, &self.at.thread, LOOKED_AT).await?;
        let own = listed.into_iter().find(|turn| turn.id == self.at.turn);
        let view = own.as_ref().and_then(|own| serde_json::from_str::<TurnView<'_>>(&own.json).ok());
        match view.as_ref().and_then(TurnView::status) {
            Some("completed" | "failed" | "interrupted") => {
                self.at.link = Arc::clone(link);
                Ok(Some(self.run.judge(view.as_ref())))
            }
            _ if status == "active" => Ok(None),
            _ => {
                let reason = "codex was killed in the middle of the turn";
                Ok(Some(broken(&mut self.run, reason, Failure::Died)))
            }
        }
    }

    /// The server sent what cannot be read on. The turn is not left running unheard.
    async fn out_of_order(&mut self, why: &str) -> Verdict {
        let inner = Arc::clone(&self.order.inner);
        let params = serde_json::json!({"threadId": self.at.thread, "turnId": self.at.turn});
        let stop = async {
            let link = inner.hub.link(&inner.spec.env).await.ok()?;
            self.at.link = Arc::clone(&link);
            link.request("turn/interrupt", params).await.ok()
        };
        let stopped = tokio::time::timeout(inner.hub.setup.limits.stop, stop).await;
        let token = matches!(stopped, Ok(Some(_))).then(|| self.token());
        inner.remember(token, None);
        broken(&mut self.run, why, Failure::Other)
    }
}
