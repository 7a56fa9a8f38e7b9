//! The calls of the host's tools that run now.

use crate::{ToolCall, ToolPort, ToolReply};
use futures::FutureExt as _;
use serde_json::Value;
use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};
use tokio::task::JoinSet;

/// How many calls run at once. The CLI itself runs ten tools at a time.
const MOST: usize = 64;

/// Calls run beside the reader, each in a task of its own: none of them can hold it up or end it.
/// Dropping them ends them; a call that is over for the runtime is over for the host.
#[derive(Debug, Default)]
pub(super) struct Calls {
    tasks: JoinSet<(String, ToolReply)>,
    /// By the id of the control request: the JSON-RPC id, which the answer repeats.
    open: BTreeMap<String, Value>,
}

impl Calls {
    /// Starts a call; `false` where too many run.
    pub(super) fn begin(
        &mut self,
        port: &Arc<dyn ToolPort>,
        request: String,
        id: Value,
        call: ToolCall,
    ) -> bool {
        if self.tasks.len() >= MOST {
            return false;
        }
        self.open.insert(request.clone(), id);
        let port = Arc::clone(port);
        self.tasks.spawn(async move {
            let reply = AssertUnwindSafe(port.call(call)).catch_unwind().await;
            (request, reply.unwrap_or_else(|_| ToolReply::error("the tool failed")))
        });
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next call that is done, for its control request: its JSON-RPC id and its reply. `None`
    /// where nobody waits for it any more, or none runs. Safe to cancel.
    pub(super) async fn done(&mut self) -> Option<(String, Value, ToolReply)> {
        let (request, reply) = self.tasks.join_next().await?.ok()?;
        let id = self.open.remove(&request)?;
        Some((request, id, reply))
    }

    /// Ends all calls: the control requests and JSON-RPC ids of those that are waited for.
    pub(super) fn end(&mut self) -> BTreeMap<String, Value> {
        std::mem::take(self).open
    }

    /// The runtime no longer waits for the answer to this control request.
    pub(super) fn forget(&mut self, request: &str) {
        self.open.remove(request);
    }

    /// The runtime no longer waits for the answer to this JSON-RPC request.
    pub(super) fn forget_id(&mut self, id: &Value) {
        self.open.retain(|_, open| open != id);
    }
}
