//! One seat's session with Codex.

use super::{
    inner::Inner,
    recover,
    shape::Shape,
    turn::{Begun, Order},
};
use crate::{
    Capabilities, Close, Recovery, Result, RuntimeSession, RuntimeState, Turn, TurnKey, TurnRequest,
    session::{Busy, closed, told_turn},
};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) struct CodexSession {
    pub(super) inner: Arc<Inner>,
    pub(super) capabilities: Capabilities,
}

#[async_trait]
impl RuntimeSession for CodexSession {
    fn state(&self) -> RuntimeState {
        self.inner.runtime_state()
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        self.capabilities.allow(&request)?;
        let busy = Busy::take(&self.inner.life)?;
        let shape = Shape::of(&self.inner.hub.setup, &request)?;
        let (order, turn, begun) = order(&self.inner, request, shape, busy)?;
        // Who does not wait for it wants it no more.
        let wanted = order.stop.clone().drop_guard();
        // Its end is the reader's: it lives as long as its turn runs and its events are read.
        tokio::spawn(order.run());
        begun.await.map_err(|_| closed())??;
        wanted.disarm();
        Ok(turn)
    }

    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let busy = Busy::take(&self.inner.life)?;
        Box::pin(recover::recover(&self.inner, turn, busy)).await
    }

    async fn close(&self, how: Close) -> Result<()> {
        self.inner.end(how).await;
        Ok(())
    }
}

/// A turn that is going to be served, what its host holds of it, and the word that it has begun.
pub(super) fn order(
    inner: &Arc<Inner>,
    request: TurnRequest,
    shape: Shape,
    busy: Busy,
) -> Result<(Order, Turn, oneshot::Receiver<Begun>)> {
    let stop = inner.life.stop.child_token();
    let (events, commands, turn) = told_turn(stop.clone());
    let (begun, begins) = oneshot::channel();
    let (inner, held) = (Arc::clone(inner), inner.life.work()?);
    let order = Order { inner, request, shape, events, commands, stop, begun: Some(begun), busy, held };
    Ok((order, turn, begins))
}
