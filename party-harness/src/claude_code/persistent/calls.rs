//! The calls of the host's tools that run now.

use crate::{ToolCall, ToolPort, ToolReply};
use futures::FutureExt as _;
use serde_json::Value;
use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};
use tokio::task::{AbortHandle, JoinSet};

/// How many calls run at once. The CLI itself runs ten tools at a time.
const MOST: usize = 64;

/// Calls run beside the reader, each in a task of its own: none of them can hold it up or end it.
/// Dropping them ends them; a call that is over for the runtime is over for the host.
#[derive(Debug, Default)]
pub(super) struct Calls {
    tasks: JoinSet<(String, ToolReply)>,
    /// By the id of the control request: the JSON-RPC id, which the answer repeats, and the task.
    open: BTreeMap<String, (Value, AbortHandle)>,
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
        let (port, name) = (Arc::clone(port), request.clone());
        let task = self.tasks.spawn(async move {
            let reply = AssertUnwindSafe(port.call(call)).catch_unwind().await;
            (name, reply.unwrap_or_else(|_| ToolReply::error("the tool failed")))
        });
        self.open.insert(request, (id, task));
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next call that is done, for its control request: its JSON-RPC id and its reply. `None`
    /// where nobody waits for it any more, or none runs. Safe to cancel.
    pub(super) async fn done(&mut self) -> Option<(String, Value, ToolReply)> {
        let (request, reply) = self.tasks.join_next().await?.ok()?;
        let (id, _) = self.open.remove(&request)?;
        Some((request, id, reply))
    }

    /// Ends all calls: the control requests and JSON-RPC ids of those that are waited for.
    pub(super) fn end(&mut self) -> BTreeMap<String, Value> {
        std::mem::take(self).open.into_iter().map(|(request, (id, _))| (request, id)).collect()
    }

    /// The runtime no longer waits for the answer to this control request: the call ends.
    pub(super) fn forget(&mut self, request: &str) {
        if let Some((_, task)) = self.open.remove(request) {
            task.abort();
        }
    }

    /// The runtime no longer waits for the answer to this JSON-RPC request: the call ends.
    pub(super) fn forget_id(&mut self, id: &Value) {
        self.open.retain(|_, (open, task)| {
            let waits = open != id;
            if !waits {
                task.abort();
            }
            waits
        });
    }
}
