//! Threads as the cases write and read them.

use super::sample::{Sample, delivery, fresh, note, say};
use crate::{Receipt, Result, Window, verify_session};
use party_core::{Author, Item, Op, RecordClass, ThreadId, ThreadKind, Timestamp};
use std::{fmt::Display, sync::Arc};

/// A thread's name that no other call gives.
pub(super) fn new_thread() -> ThreadId {
    ThreadId::derive(&[b"thread", &fresh()])
}

/// A summary of an agent, under a new id.
pub(super) fn summary(text: &str) -> Arc<Item> {
    let item = say(&Author::agent("Scribe"), text);
    Arc::new(Item::summary(item.id, item.author.clone(), Timestamp::from_micros(3_000_000), text))
}

impl Sample {
    /// Appends a decision with these ops.
    pub(super) async fn decide(&mut self, ops: impl IntoIterator<Item = Op>) -> Result<Receipt> {
        let mut record = note(RecordClass::Decision, "topology");
        record.ops = ops.into_iter().collect();
        self.write([record]).await
    }

    /// A new thread in which these texts were said.
    pub(super) async fn thread<T: Display>(&mut self, texts: impl IntoIterator<Item = T>) -> ThreadId {
        let thread = self.open_threads(1).await[0];
        self.say_all(&[thread], texts).await;
        thread
    }

    /// Says a text in each of the threads.
    pub(super) async fn say(&mut self, threads: &[ThreadId], text: &str) -> Arc<Item> {
        let item = say(&Author::agent("Mary"), text);
        self.write([delivery(&item, threads)]).await.expect("open threads take entries");
        item
    }

    pub(super) async fn say_all<T: Display>(
        &mut self,
        threads: &[ThreadId],
        texts: impl IntoIterator<Item = T>,
    ) {
        for text in texts {
            self.say(threads, &text.to_string()).await;
        }
    }

    pub(super) async fn branch(&mut self, from: ThreadId, after: u64) -> ThreadId {
        let thread = new_thread();
        let branch = Op::Branch { thread, kind: ThreadKind::Private, from, after };
        self.decide([branch]).await.expect("a branch at an entry");
        thread
    }

    pub(super) async fn tangent(&mut self, parent: ThreadId, anchor: u64) -> ThreadId {
        let thread = new_thread();
        let tangent = Op::Tangent { thread, parent, anchor };
        self.decide([tangent]).await.expect("a tangent at an entry");
        thread
    }

    pub(super) async fn compact(
        &mut self,
        thread: ThreadId,
        first: u64,
        last: u64,
        text: &str,
    ) -> Result<Receipt> {
        let summary = summary(text);
        let op = Op::Compact { thread, first, last, item: summary.id };
        self.write([note(RecordClass::Decision, "compacted").with_item(summary).with_op(op)]).await
    }

    /// What a window shows, as `position:text` with spaces between.
    pub(super) async fn texts(&self, window: Window) -> String {
        let page = self.bus.window(window).await.expect("a window of a thread");
        let shown = page.entries.iter().map(|entry| format!("{}:{}", entry.position, entry.item.text()));
        shown.collect::<Vec<_>>().join(" ")
    }

    pub(super) async fn shown(&self, thread: ThreadId) -> String {
        self.texts(Window::last(self.session, thread, 1_000)).await
    }

    pub(super) async fn archive(&self, thread: ThreadId) -> String {
        self.texts(Window::last(self.session, thread, 1_000).archive()).await
    }

    /// Lists and windows are what the log says.
    pub(super) async fn stands(&self) {
        let mut report = crate::Report::default();
        verify_session(&*self.bus, self.session, &mut report).await.expect("it can be read");
        assert_eq!(report.problems, []);
        assert_eq!((report.sessions, report.records), (1, self.head.0));
    }
}
