//! Tool calls: committed and decided before they are answered.

use super::Driver;
use crate::{Result, attempt::CallCounts, log::now, request::Request, tool::MOST_BYTES};
use party_core::{NewRecord, ToolCalled};
use party_harness::{ToolCall, ToolPort, ToolReply, async_trait};
use serde_json::Value;
use std::{io, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// The port that all doors lead to. It does not keep the driver alive.
#[derive(Debug)]
pub(crate) struct Port {
    requests: mpsc::WeakSender<Request>,
    counts: Arc<CallCounts>,
}

impl Port {
    pub(crate) fn new(requests: &mpsc::Sender<Request>) -> Self {
        Self { requests: requests.downgrade(), counts: Arc::default() }
    }

    /// The calls that came through it and are not answered.
    pub(super) const fn counts(&self) -> &Arc<CallCounts> {
        &self.counts
    }
}

#[async_trait]
impl ToolPort for Port {
    async fn call(&self, call: ToolCall) -> ToolReply {
        let gone = || ToolReply::error("the conversation is over");
        if is_too_long(&call.arguments) {
            return ToolReply::error(format!(
                "the arguments of `{}` have more than {MOST_BYTES} bytes; give less",
                call.name
            ));
        }
        let _counted = self.counts.call(call.key);
        let Some(requests) = self.requests.upgrade() else { return gone() };
        let (reply, answer) = oneshot::channel();
        if requests.send(Request::Tool { call, reply }).await.is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }
}

/// Whether it has more than [`MOST_BYTES`] as JSON text. Counted here, in the task of whoever calls.
fn is_too_long(arguments: &Value) -> bool {
    serde_json::to_writer(Room(MOST_BYTES), arguments).is_err()
}

/// Takes so many bytes, and keeps none.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So many calls one turn may make; an agent that goes on is refused without a record.
const MOST_CALLS: usize = 1_000;

impl Driver {
    /// Records the call, decides on it and commits both. What the engine answers is told then; a tool of
    /// the host is started by the loop, and its answer told once it is committed.
    pub(super) async fn tool_call(
        &mut self,
        call: ToolCall,
        reply: oneshot::Sender<ToolReply>,
    ) -> Result<()> {
        let ToolCall { key, id, name, arguments } = call;
        let current = self.log.engine.turn(key.turn).filter(|turn| turn.attempt == key.attempt);
        let Some(turn) = current.filter(|_| key.session == self.log.session()) else {
            let _ = reply.send(ToolReply::error("the turn has ended"));
            return Ok(());
        };
        // A runtime that lost the connection asks again under the same id.
        if turn.tool_call(key.attempt, &id).is_none() {
            if turn.calls.len() >= MOST_CALLS {
                let refused = format!("a turn may call tools {MOST_CALLS} times; end it");
                let _ = reply.send(ToolReply::error(refused));
                return Ok(());
            }
            let mut records = self.lost_replies(key.turn, key.attempt);
            let event =
                ToolCalled { turn: key.turn, attempt: key.attempt, call: id.clone(), tool: name, arguments };
            records.push(NewRecord::new(now(), &event.into()).in_turn(key.turn));
            self.log.commit(records).await?;
        }
        self.await_answer((key.turn, key.attempt, id), reply);
        Ok(())
    }
}
