//! One seat's session at a gateway.

use super::{
    codec::{Status, Verdict},
    history::Past,
    inner::Inner,
    link::Conn,
    names::run_id,
    order::Order,
    turn::Running,
};
use crate::{
    Capabilities, Close, Recovery, Result, RuntimeSession, RuntimeState, Turn, TurnKey, TurnRequest,
    session::{Busy, silent_turn},
};
use async_trait::async_trait;
use party_core::Sent;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct OpenClawSession {
    pub(super) inner: Arc<Inner>,
    pub(super) capabilities: Capabilities,
}

#[async_trait]
impl RuntimeSession for OpenClawSession {
    fn state(&self) -> RuntimeState {
        self.inner.runtime_state()
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        let busy = Busy::take(&self.inner.life)?;
        self.capabilities.allow(&request)?;
        let order = Box::pin(Order::prepare(&self.inner, &request)).await?;
        let task = self.inner.life.work()?;
        let stop = self.inner.life.stop.child_token();
        let (events, turn) = silent_turn(stop.clone(), "a run of openclaw");
        let running = Running::new(Arc::clone(&self.inner), order, events, stop);
        // Its end is the reader's: it lives as long as the run does and its events are read.
        tokio::spawn(running.run(busy, task));
        Ok(turn)
    }

    /// A run that goes on without its host has a moment to end, and then is ended: nobody can answer the
    /// calls of its tools.
    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let _busy = Busy::take(&self.inner.life)?;
        let (inner, run) = (&self.inner, run_id(&self.inner.spec, turn));
        let conn = inner.ways.operator.conn(inner.setup.patience.connect).await?;
        let Some((token, mut past)) = inner.last_session(&conn).await? else { return Ok(Recovery::NotSeen) };
        if past.is_active() {
            wait(inner, &conn, &run).await;
            past = Past::read(&conn, &token.key, inner.setup.patience.answer).await?;
        }
        let end = Instant::now() + inner.setup.patience.stop;
        // What a run said last is written down a moment after its end.
        while !past.is_active() && past.has(&run) && past.verdict(&run).is_none() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(200)).await;
            past = Past::read(&conn, &token.key, inner.setup.patience.answer).await?;
        }
        let mut was_stopped = false;
        while past.is_active() && Instant::now() < end {
            let params = json!({"sessionKey": token.key, "runId": run});
            let aborted = conn.ask("chat.abort", params, inner.setup.patience.answer).await?;
            was_stopped |= aborted.payload("to stop a run")?["aborted"] == true;
            tokio::time::sleep(Duration::from_millis(200)).await;
            past = Past::read(&conn, &token.key, inner.setup.patience.answer).await?;
        }
        Ok(match past.verdict(&run) {
            // It was stopped here, by nobody's wish: it can be done again.
            Some(Verdict { status: Status::Cancelled, .. }) if was_stopped => Recovery::Unknown,
            Some(verdict) => {
                inner.began(&token, Sent::Delta);
                Recovery::Ended(inner.ended(verdict, Sent::Delta))
            }
            None if past.has(&run) || past.is_active() || was_stopped => Recovery::Unknown,
            None => Recovery::NotSeen,
        })
    }

    async fn close(&self, how: Close) -> Result<()> {
        self.inner.life.end(how).await;
        Ok(())
    }
}

/// Waits for the end of a run, as long as one may take that was told to.
async fn wait(inner: &Inner, conn: &Conn, run: &str) {
    let (stop, answer) = (inner.setup.patience.stop, inner.setup.patience.answer);
    let params = json!({"runId": run, "timeoutMs": stop.as_millis() as u64});
    if let Err(error) = conn.ask("agent.wait", params, stop + answer).await {
        tracing::debug!(%error, "a run could not be waited for");
    }
}
