//! Turns that the server was asked for and that nobody hears.

use super::Order;
use crate::{
    Error, TurnEnd,
    core::{Cost, Failure, Outcome, Sent, Usage},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// How long an end may take for which there is no time.
pub(super) const NOW: Duration = Duration::from_secs(1);

/// The server may have been asked to start the turn.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) generation: u64,
    pub(super) sent: Sent,
    /// The server was ended for it: nothing of the turn runs any more.
    pub(super) is_over: bool,
}

impl Order {
    /// Done when the turn is to be stopped, and has had its time for that.
    pub(super) async fn out_of_time(&self) {
        self.stop.cancelled().await;
        let now = async {
            self.inner.life.kill.cancelled().await;
            sleep(NOW).await;
        };
        let _ = timeout(self.inner.hub.setup.limits.stop, now).await;
    }

    /// Ends a turn that the server was asked for and that is not heard: it may run, and cost something.
    pub(super) async fn abandon(&self, asked: &Asked) {
        self.inner.remember(None, None);
        if asked.is_over {
            return;
        }
        self.stop.cancel();
        let ended = tokio::select! {
            ended = self.silenced() => ended,
            () = self.out_of_time() => false,
        };
        if !ended {
            let (hub, generation) = (Arc::clone(&self.inner.hub), asked.generation);
            // Goes on where there is no time to wait for it.
            let condemned = tokio::spawn(async move { hub.condemn(generation).await });
            let _ = timeout(self.inner.hub.setup.limits.stop, condemned).await;
        }
    }

    /// The end of a turn of which nothing was heard.
    pub(super) fn unheard(&self, error: &Error, asked: &Asked) -> TurnEnd {
        let is_stopped = self.stop.is_cancelled();
        let (outcome, failure) =
            if is_stopped { (Outcome::Cancelled, None) } else { (Outcome::Failed, Some(Failure::Died)) };
        let reason = if is_stopped { "interrupted".to_owned() } else { error.to_string() };
        TurnEnd {
            outcome,
            text: None,
            usage: Usage::default(),
            cost: Cost::Unknown,
            reason: Some(reason),
            failure,
            sent: asked.sent,
            token: None,
        }
    }

    /// Whether the turn was found and stopped.
    async fn silenced(&self) -> bool {
        let Ok(link) = self.inner.hub.link(&self.inner.spec.env).await else { return false };
        let Ok(Some(started)) = self.found(&link).await else { return false };
        let params = json!({"threadId": started.thread, "turnId": started.turn});
        link.request("turn/interrupt", params).await.is_ok()
    }
}
