//! One seat's session at a gateway.

use super::{
    codec::{Status, Verdict},
    history::Past,
    inner::{Busy, Inner, closed},
    link::Conn,
    names::run_id,
    order::Order,
    turn::Running,
};
use crate::{
    Answer, Capabilities, Close, Error, ErrorKind, Recovery, RequestId, Result, RuntimeSession, RuntimeState,
    Steered, Turn, TurnControl, TurnEvent, TurnKey, TurnRequest,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use party_core::Sent;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// How many events may wait for their reader.
const EVENTS: usize = 64;

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
        let busy = Busy::take(&self.inner)?;
        self.capabilities.allow(&request)?;
        let order = Box::pin(Order::prepare(&self.inner, &request)).await?;
        let task = self.inner.turns.token();
        if self.inner.stop.is_cancelled() {
            return Err(closed());
        }
        let (events, receiver) = mpsc::channel(EVENTS);
        let stop = self.inner.stop.child_token();
        let running = Running::new(Arc::clone(&self.inner), order, events, stop.clone());
        // Its end is the reader's: it lives as long as the run does and its events are read.
        tokio::spawn(running.run(busy, task));
        Ok(Turn::new(stream_of(receiver), Arc::new(Stop(stop))))
    }

    /// A run that goes on without its host has a moment to end, and then is ended: nobody can answer the
    /// calls of its tools.
    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let _busy = Busy::take(&self.inner)?;
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
        self.inner.end(how).await;
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

fn stream_of(receiver: mpsc::Receiver<TurnEvent>) -> stream::BoxStream<'static, TurnEvent> {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

#[derive(Debug)]
struct Stop(CancellationToken);

#[async_trait]
impl TurnControl for Stop {
    async fn steer(&self, _: String) -> Result<Steered> {
        Err(Error::new(ErrorKind::Unsupported, "a run of openclaw takes no further messages here"))
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a run of openclaw asks nothing here"))
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}
