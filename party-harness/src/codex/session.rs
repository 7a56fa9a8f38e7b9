//! One seat's session with Codex.

use super::{
    inner::{Busy, Inner, closed},
    recover,
    shape::Shape,
    turn::{Begun, Command, Order},
};
use crate::{
    Answer, Capabilities, Close, Error, ErrorKind, Recovery, RequestId, Result, RuntimeSession, RuntimeState,
    Steered, Turn, TurnControl, TurnEvent, TurnKey, TurnRequest,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many events may wait for their reader.
const EVENTS: usize = 64;

/// How many messages and answers to a running turn may wait for it.
const COMMANDS: usize = 16;

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
        let busy = Busy::take(&self.inner)?;
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
        let busy = Busy::take(&self.inner)?;
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
    let (events, receiver) = mpsc::channel(EVENTS);
    let (commands, told) = mpsc::channel(COMMANDS);
    let (begun, begins) = oneshot::channel();
    let stop = inner.stop.child_token();
    let control = Arc::new(Control { commands, stop: stop.clone() });
    let (inner, held) = (Arc::clone(inner), inner.turn_token()?);
    let order = Order { inner, request, shape, events, commands: told, stop, begun: Some(begun), busy, held };
    Ok((order, Turn::new(stream_of(receiver), control), begins))
}

fn stream_of(receiver: mpsc::Receiver<TurnEvent>) -> stream::BoxStream<'static, TurnEvent> {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

/// What a host tells a running turn by.
#[derive(Debug)]
struct Control {
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
}

#[async_trait]
impl TurnControl for Control {
    async fn steer(&self, text: String) -> Result<Steered> {
        if text.trim().is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "there is nothing to tell the agent"));
        }
        let (reply, replied) = oneshot::channel();
        // A turn that is over hears nothing any more.
        if self.commands.send(Command::Steer(text, reply)).await.is_err() {
            return Ok(Steered::TooLate);
        }
        replied.await.unwrap_or(Ok(Steered::TooLate))
    }

    async fn answer(&self, request: RequestId, answer: Answer) -> Result<()> {
        let _ = self.commands.send(Command::Answer(request, answer)).await;
        Ok(())
    }

    async fn interrupt(&self) -> Result<()> {
        self.stop.cancel();
        Ok(())
    }
}
