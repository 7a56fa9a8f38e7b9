//! One process of the CLI for many turns of a session, and the control protocol with it.
//!
//! ```text
//! turn(request) ──Order──> Owner ──> Serving ──events──> Turn
//!                            │          │ ▲
//!                 starts, keeps, ends   │ └─ steer, answer, interrupt
//!                            ▼          ▼
//!                          Live: stdin, stdout, exit ── codec ── lines, mcp, receipts (pure)
//! ```
//!
//! One task, the owner, has the process and serves turns one after another. While a turn runs, one
//! `select` reads, writes, relays, and runs the tools' calls: nothing that it awaits can depend on
//! something else that it has to do. Bounds: events wait in a channel, and nothing is read while that
//! is full, but answers go on being written; 64 calls run at once, and 64 questions wait. Reading never
//! waits for writing, as the CLI may do both in turn: one that leaves 256 lines unread is ended.

mod asked;
mod calls;
mod child;
mod gate;
mod lines;
mod live;
mod mcp;
mod owner;
mod receipts;
mod relay;
mod serve;
mod shape;

use super::inner::Inner;
use crate::{
    Result, Turn, TurnEvent, TurnRequest,
    session::{Busy, Command, closed, told_turn},
};
use owner::Owner;
use shape::Shape;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The door to the task that owns the session's process. Dropping it ends the process, once a running
/// turn is over.
#[derive(Debug)]
pub(super) struct Persistent {
    orders: mpsc::Sender<Order>,
}

/// A turn that is to be served.
#[derive(Debug)]
struct Order {
    request: TurnRequest,
    shape: Shape,
    events: mpsc::Sender<TurnEvent>,
    commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
    /// Told once the turn runs, or why it does not.
    begun: Option<oneshot::Sender<Result<()>>>,
    busy: Busy,
}

impl Persistent {
    pub(super) fn new(inner: &Arc<Inner>, idle: Duration) -> Self {
        let (orders, receiver) = mpsc::channel(1);
        // It ends with this door, or when the session is closed, which waits for its process.
        tokio::spawn(Owner::new(Arc::clone(inner), idle, receiver).run());
        Self { orders }
    }

    pub(super) async fn turn(&self, inner: &Inner, request: TurnRequest, busy: Busy) -> Result<Turn> {
        let shape = Shape::of(&inner.spec, &request)?;
        let stop = inner.life.stop.child_token();
        let (events, commands, turn) = told_turn(stop.clone());
        let (begun, begins) = oneshot::channel();
        let order = Order { request, shape, events, commands, stop, begun: Some(begun), busy };
        self.orders.send(order).await.map_err(|_| closed())?;
        begins.await.map_err(|_| closed())??;
        Ok(turn)
    }
}
