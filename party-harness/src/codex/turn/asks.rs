//! What the runtime asks before it acts, and who answers.

use crate::{
    Answer as Decision, RawJson, RequestId,
    codex::link::{Answer, Link},
};
use serde_json::json;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// How many questions may wait for the host.
const MOST: usize = 64;

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Of a command or a change of files.
    Approval,
    /// Of an MCP server.
    Elicitation,
}

impl Form {
    pub(super) fn allow(self) -> Answer {
        Answer::Result(match self {
            Self::Approval => json!({"decision": "accept"}),
            Self::Elicitation => json!({"action": "accept", "content": {}}),
        })
    }

    pub(super) fn deny(self) -> Answer {
        Answer::Result(match self {
            Self::Approval => json!({"decision": "decline"}),
            Self::Elicitation => json!({"action": "decline"}),
        })
    }
}

#[derive(Debug)]
struct Question {
    id: RawJson,
    form: Form,
    /// The item that it is about.
    item: String,
    due: Instant,
    /// Answered already, but for telling the model why.
    denied: bool,
}

/// Questions that wait for the host, and why those were denied that were.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<RequestId, Question>,
    denied: BTreeMap<String, String>,
}

impl Questions {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.open.values().filter(|question| !question.denied).map(|question| question.due).min()
    }

    /// Files a question; `None` where it waits already, or too many do.
    pub(super) fn file(&mut self, id: RawJson, form: Form, item: String, due: Instant) -> Option<RequestId> {
        let request = RequestId(id.get().trim_matches('"').to_owned());
        if self.open.len() >= MOST || self.open.contains_key(&request) {
            return None;
        }
        self.open.insert(request.clone(), Question { id, form, item, due, denied: false });
        Some(request)
    }

    pub(super) fn is_open(&self, id: &RawJson) -> bool {
        self.open.values().any(|question| &question.id == id)
    }

    /// Allows at once. Says whether a denial is to be explained first.
    pub(super) fn decide(&mut self, link: &Link, request: &RequestId, decision: &Decision) -> bool {
        let Some(question) = self.open.get_mut(request).filter(|question| !question.denied) else {
            return false;
        };
        match decision {
            Decision::Allow => {
                link.answer(&question.id, &question.form.allow());
                self.open.remove(request);
                false
            }
            Decision::Deny { why } => {
                question.denied = true;
                self.denied.insert(question.item.clone(), why.clone());
                true
            }
        }
    }

    /// Denies, now that it is explained.
    pub(super) fn deny(&mut self, link: &Link, request: &RequestId) {
        if let Some(question) = self.open.remove(request) {
            link.answer(&question.id, &question.form.deny());
        }
    }

    /// Those that have waited too long.
    pub(super) fn overdue(&self) -> Vec<RequestId> {
        let now = Instant::now();
        let is_late = |question: &Question| !question.denied && question.due <= now;
        self.open
            .iter()
            .filter(|(_, question)| is_late(question))
            .map(|(request, _)| request.clone())
            .collect()
    }

    /// Why an item was denied.
    pub(super) fn why(&self, item: &str) -> Option<&str> {
        self.denied.get(item).map(String::as_str)
    }

    /// The server no longer waits for the answer.
    pub(super) fn settle(&mut self, id: &RawJson) -> Option<RequestId> {
        let request = self.open.iter().find(|(_, question)| &question.id == id)?.0.clone();
        self.open.remove(&request);
        Some(request)
    }

    pub(super) fn end(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.open).into_keys().collect()
    }
}
