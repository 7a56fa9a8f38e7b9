//! What runs in the background: its end begins another turn in the same process.

use super::{
    head::Head,
    seen::{Kind, hash},
    view::Json,
};
use std::collections::BTreeSet;

/// More than this the CLI never runs at once.
const MOST: usize = 1024;

/// The tasks that run, as hashes of their ids.
#[derive(Debug, Clone, Default)]
pub(super) struct Tasks(BTreeSet<u64>);

impl Tasks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in a line of the kind `system`.
    pub(super) fn read(&mut self, subtype: &str, head: &Head<'_>) {
        let id = |id: Option<Json<'_>>| Some(hash(Kind::Task, id?.text()?.to_cow()));
        let one = || id(head.field("task_id"));
        match subtype {
            "background_tasks_changed" => {
                let tasks = head.field("tasks").and_then(Json::items).into_iter().flatten();
                self.0 = tasks.filter_map(|task| id(task.field("task_id"))).take(MOST).collect();
            }
            "task_started" if head.field("is_backgrounded").and_then(Json::bool) == Some(true) => {
                self.0.extend(one().filter(|_| self.0.len() < MOST));
            }
            "task_notification" => self.end(one()),
            "task_updated" if has_ended(head) => self.end(one()),
            _ => {}
        }
    }

    fn end(&mut self, id: Option<u64>) {
        if let Some(id) = id {
            self.0.remove(&id);
        }
    }
}

fn has_ended(head: &Head<'_>) -> bool {
    let status = head.field("patch").and_then(|patch| patch.field("status")).and_then(Json::string);
    matches!(status.as_deref(), Some("completed" | "failed" | "killed" | "stopped" | "cancelled"))
}
