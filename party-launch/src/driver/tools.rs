//! Tool calls: committed and decided before they are answered.

use super::Driver;
use crate::{Result, attempt::OpenCalls, log::now, request::Request};
use party_core::{NewRecord, ToolCalled};
use party_harness::{ToolCall, ToolPort, ToolReply, async_trait};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// The port that all doors lead to. It does not keep the driver alive.
#[derive(Debug)]
pub(crate) struct Port {
    requests: mpsc::WeakSender<Request>,
    calls: Arc<OpenCalls>,
}

impl Port {
    pub(crate) fn new(requests: &mpsc::Sender<Request>) -> Self {
        Self { requests: requests.downgrade(), calls: Arc::default() }
    }

    /// The calls that came through it and are not answered.
    pub(super) const fn calls(&self) -> &Arc<OpenCalls> {
        &self.calls
    }
}

#[async_trait]
impl ToolPort for Port {
    async fn call(&self, call: ToolCall) -> ToolReply {
        let gone = || ToolReply::error("the conversation is over");
        let _open = self.calls.call(call.key);
        let Some(requests) = self.requests.upgrade() else { return gone() };
        let (reply, answer) = oneshot::channel();
        if requests.send(Request::Tool { call, reply }).await.is_err() {
            return gone();
        }
        answer.await.unwrap_or_else(|_| gone())
    }
}

/// So many calls one turn may make; an agent that goes on is refused without a record.
const MOST_CALLS: usize = 1_000;

impl Driver {
    /// Records the call, decides on it, commits both, and answers then.
    pub(super) async fn tool_call(
        &mut self,
        call: ToolCall,
        reply: oneshot::Sender<ToolReply>,
    ) -> Result<()> {
        let ToolCall { key, id, name, arguments } = call;
        let current = self.log.engine.turn(key.turn).is_some_and(|turn| turn.attempt == key.attempt);
        if !current || key.session != self.log.session() {
            let _ = reply.send(ToolReply::error("the turn has ended"));
            return Ok(());
        }
        let answered = |driver: &Self| {
            let turn = driver.log.engine.turn(key.turn)?;
            turn.answer(key.attempt, &id)
                .map(|(text, is_error)| ToolReply { text: text.clone(), is_error: *is_error })
        };
        // A runtime that lost the connection asks again under the same id.
        if answered(self).is_none() {
            let calls = self.log.engine.turn(key.turn).map_or(0, |turn| turn.calls.len());
            if calls >= MOST_CALLS {
                let _ =
                    reply.send(ToolReply::error(format!("a turn may call tools {MOST_CALLS} times; end it")));
                return Ok(());
            }
            let event =
                ToolCalled { turn: key.turn, attempt: key.attempt, call: id.clone(), tool: name, arguments };
            self.log.commit(vec![NewRecord::new(now(), &event.into()).in_turn(key.turn)]).await?;
        }
        let _ = reply.send(answered(self).unwrap_or_else(|| ToolReply::error("the turn has ended")));
        Ok(())
    }
}
