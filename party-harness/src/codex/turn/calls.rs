//! The host's tools, as the model calls them.

use crate::{
    RawJson, ToolCall, ToolPort, ToolReply,
    codex::link::{Answer, Link},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use tokio::task::{AbortHandle, Id, JoinSet};

/// How many calls of a turn run at once, and how many answers are kept for being asked again.
const MOST: usize = 64;

/// Calls of a turn. Each is run once, however often the server asks: it asks again after a reconnect.
#[derive(Debug, Default)]
pub(super) struct Calls {
    running: JoinSet<ToolReply>,
    /// The call of each task.
    tasks: BTreeMap<Id, String>,
    /// The question that each call answers, and what would end it.
    asked: BTreeMap<String, (RawJson, Option<AbortHandle>)>,
    answers: BTreeMap<String, Answer>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Runs a call, or gives the answer that it had. Whether it was taken.
    pub(super) fn begin(
        &mut self,
        port: &Arc<dyn ToolPort>,
        link: &Link,
        id: RawJson,
        call: ToolCall,
    ) -> bool {
        if let Some(answer) = self.answers.get(&call.id) {
            link.answer(&id, answer);
            return true;
        }
        if let Some((asked, _)) = self.asked.get_mut(&call.id) {
            *asked = id;
            return true;
        }
        if self.running.len() >= MOST || self.answers.len() >= 64 * MOST {
            return false;
        }
        let (port, name) = (Arc::clone(port), call.id.clone());
        let running = self.running.spawn(async move { port.call(call).await });
        self.tasks.insert(running.id(), name.clone());
        self.asked.insert(name, (id, Some(running)));
        true
    }

    /// The next call that has its answer, or has none because its tool fell over. Safe to cancel.
    pub(super) async fn done(&mut self) -> Option<(String, ToolReply)> {
        let (id, reply) = match self.running.join_next_with_id().await? {
            Ok(done) => done,
            Err(error) => (error.id(), ToolReply::error("the tool failed")),
        };
        Some((self.tasks.remove(&id)?, reply))
    }

    pub(super) fn answered(&mut self, link: &Link, call: &str, reply: &ToolReply) {
        let Some((id, _)) = self.asked.remove(call) else { return };
        let content = json!([{"type": "inputText", "text": reply.text}]);
        let answer = Answer::Result(json!({"contentItems": content, "success": !reply.is_error}));
        link.answer(&id, &answer);
        self.answers.insert(call.to_owned(), answer);
    }

    /// The server no longer waits for the answer.
    pub(super) fn forget(&mut self, id: &RawJson) {
        let gone = |(_, (asked, _)): &(&String, &mut (RawJson, Option<AbortHandle>))| asked == id;
        if let Some((call, (_, running))) = self.asked.iter_mut().find(gone) {
            running.take().inspect(|running| running.abort());
            let call = call.clone();
            self.asked.remove(&call);
        }
    }

    /// Nobody waits for answers any more.
    pub(super) fn end(&mut self) {
        self.running.abort_all();
        self.tasks.clear();
        self.asked.clear();
    }
}
