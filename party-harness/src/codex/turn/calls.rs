//! The host's tools, as the model calls them.

use crate::{
    RawJson, ToolCall, ToolPort, ToolReply,
    codex::link::{Answer, Link},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::task::{AbortHandle, Id, JoinSet};

/// How many calls of a turn run at once, and how many answers are kept for being asked again.
const MOST: usize = 64;

/// How many bytes of answers are kept, and how many of names. Asked again is what was not answered when
/// the connection broke: the last.
const BYTES: usize = 8 << 20;

/// What a call is answered by that was answered long ago.
const ANSWERED: &str = "this call was answered before; its answer is not kept";

/// Calls of a turn. Each is run once, however often the server asks: it asks again after a reconnect.
#[derive(Debug, Default)]
pub(super) struct Calls {
    running: JoinSet<ToolReply>,
    /// The call of each task.
    tasks: BTreeMap<Id, String>,
    /// The question that each call answers, and what would end it.
    asked: BTreeMap<String, (RawJson, Option<AbortHandle>)>,
    answers: BTreeMap<String, Answer>,
    /// The answers that are kept whole, the oldest first, with their sizes.
    whole: VecDeque<(String, usize)>,
    held: usize,
    named: usize,
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
        let is_full = self.answers.len() >= 64 * MOST || self.named + call.id.len() > BYTES;
        if self.running.len() >= MOST || is_full {
            return false;
        }
        self.named += call.id.len();
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
        let answer = told(&reply.text, !reply.is_error);
        link.answer(&id, &answer);
        self.keep(call, answer, reply.text.len());
    }

    fn keep(&mut self, call: &str, answer: Answer, bytes: usize) {
        self.answers.insert(call.to_owned(), answer);
        self.whole.push_back((call.to_owned(), bytes));
        self.held += bytes;
        while self.held > BYTES && self.whole.len() > 1 {
            let Some((oldest, bytes)) = self.whole.pop_front() else { return };
            self.held -= bytes;
            self.answers.insert(oldest, told(ANSWERED, false));
        }
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

fn told(text: &str, is_success: bool) -> Answer {
    let content = json!([{"type": "inputText", "text": text}]);
    Answer::Result(json!({"contentItems": content, "success": is_success}))
}
