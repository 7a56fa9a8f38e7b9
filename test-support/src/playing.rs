//! The event stream of an answer.

use std::io;
use std::time::Duration;

use axum::body::Bytes;
use futures::stream::{self, Stream};

use crate::ModelTurn;
use crate::answer::{Answer, Step};
use crate::dialect::Dialect;
use crate::log::Flight;

/// An event stream under way.
#[derive(Debug)]
pub(crate) struct Playing {
    dialect: Dialect,
    turn: ModelTurn,
    steps: std::vec::IntoIter<Step>,
    sent: usize,
    flight: Flight,
}

impl Playing {
    pub(crate) fn new(dialect: Dialect, answer: Answer, flight: Flight) -> Self {
        let steps = dialect.script(&answer).into_iter();
        Self { dialect, turn: answer.turn, steps, sent: 0, flight }
    }

    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::unfold(Some(self), Self::next)
    }

    async fn next(state: Option<Self>) -> Option<(io::Result<Bytes>, Option<Self>)> {
        let mut state = state?;
        if state.turn.hang {
            std::future::pending::<()>().await;
        }
        while let Some(step) = state.steps.next() {
            match step {
                Step::Pause(milliseconds) => pause(milliseconds).await,
                Step::Gate => state.pass_gate().await,
                Step::Event(_) if state.turn.truncate_after.is_some_and(|limit| state.sent >= limit) => {
                    return state.cut().await;
                }
                Step::Event(event) => {
                    state.sent += 1;
                    return Some((Ok(state.dialect.framed(&event)), Some(state)));
                }
            }
        }
        if state.turn.sse_error.is_some() {
            return state.cut().await;
        }
        state.flight.finish("sent");
        None
    }

    async fn pass_gate(&self) {
        if let Some(gate) = &self.turn.gate {
            gate.pass().await;
        }
    }

    /// An error in the body makes the HTTP layer close the connection without the last chunk.
    async fn cut(mut self) -> Option<(io::Result<Bytes>, Option<Self>)> {
        // What was sent so far is flushed only while the body is pending.
        tokio::task::yield_now().await;
        self.flight.finish("cut");
        if self.turn.clean_end {
            return None;
        }
        Some((Err(io::ErrorKind::ConnectionAborted.into()), None))
    }
}

pub(crate) async fn pause(milliseconds: u64) {
    if milliseconds > 0 {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
}
