//! Sessions of all that a log can hold, at random.

use party_bus::{Batch, Bus, BusExt as _, ErrorKind, Label, MemoryBus, conformance::Sample};
use party_core::{
    Author, BatchId, How, Item, ItemId, NewRecord, Offset, Op, RecordClass, SessionId, ThreadId, ThreadKind,
    Timestamp, TurnId,
};
use proptest::prelude::*;
use serde_json::{json, value::RawValue};
use std::sync::Arc;

/// What is written next. Numbers name threads and places; what does not fit is refused and left out.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A person says something.
    Say(bool, String),
    /// An agent says something, which is added to threads.
    Add(Vec<u8>, String),
    /// An item of another session is added to a thread.
    Borrow(u8),
    /// An item is brought, and added by a later record.
    Later(u8),
    Branch(u8, u64),
    Compact(u8, u64, u64),
    Tangent(u8, u64),
    Resolve,
    Trace(String),
    /// What a newer version writes.
    Newer(u8),
}

pub(crate) fn step(most: usize) -> impl Strategy<Value = Step> {
    let thread = 0..4_u8;
    prop_oneof![
        2 => (any::<bool>(), text(most)).prop_map(|(who, text)| Step::Say(who, text)),
        5 => (prop::collection::vec(thread.clone(), 1..3), text(most)).prop_map(|(to, text)| Step::Add(to, text)),
        1 => thread.clone().prop_map(Step::Borrow),
        1 => thread.clone().prop_map(Step::Later),
        2 => (thread.clone(), 0..6_u64).prop_map(|(from, after)| Step::Branch(from, after)),
        2 => (thread.clone(), 1..4_u64, 1..5_u64).prop_map(|(thread, first, last)| Step::Compact(thread, first, last)),
        1 => (thread.clone(), 1..4_u64).prop_map(|(thread, anchor)| Step::Tangent(thread, anchor)),
        1 => Just(Step::Resolve),
        2 => text(most).prop_map(Step::Trace),
        1 => thread.prop_map(Step::Newer),
    ]
}

/// Some as long as `most`, so that a copy takes several batches.
fn text(most: usize) -> impl Strategy<Value = String> {
    prop_oneof![4 => any::<String>(), 1 => Just("x".repeat(most)), 4 => "[a-z \\n\\\\\"]{1,20}"]
}

/// A session of the steps, on a store that has another one beside it.
pub(crate) struct Written {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) session: SessionId,
    pub(crate) threads: Vec<ThreadId>,
    sample: Sample,
    borrowed: ItemId,
    made: u64,
}

impl Written {
    pub(crate) async fn of(steps: &[Step]) -> Self {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new());
        let mut other = Sample::opened(&bus).await;
        let borrowed = Item::message(ItemId::derive(&[b"borrowed"]), Author::System, at(1), "A format.");
        let borrowed_id = borrowed.id;
        other.write([record(RecordClass::Decision, "brought").with_item(borrowed)]).await.unwrap();
        let mut sample = Sample::new(&bus).await;
        let threads = [b"a", b"b"].map(|name| ThreadId::derive(&[name])).to_vec();
        let open = |thread: &ThreadId| Op::Open { thread: *thread, kind: ThreadKind::Private };
        let opened =
            threads.iter().map(open).fold(record(RecordClass::Decision, "opened"), NewRecord::with_op);
        let label = Label { kind: "council".into(), key: "today".into(), parent: Some(other.session) };
        let receipt = bus.append(sample.batch([opened]).labelled(label)).await.unwrap();
        sample.head = receipt.last;
        let session = sample.session;
        let mut written = Self { bus, session, threads, sample, borrowed: borrowed_id, made: 0 };
        for step in steps {
            written.take(step).await;
        }
        written
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Say(is_ann, text) => return self.say(if *is_ann { "ann" } else { "bob" }, text).await,
            Step::Later(thread) => {
                let item = self.item(Author::System, "later");
                let id = item.id;
                self.write(record(RecordClass::Report, "brought").with_item(item)).await;
                self.write(record(RecordClass::Decision, "added").with_op(self.add(&[*thread], id))).await;
            }
            Step::Add(to, text) => {
                let item = self.item(Author::agent("Mary"), text);
                let add = self.add(to, item.id);
                self.write(record(RecordClass::Decision, "delivered").with_item(item).with_op(add)).await;
            }
            Step::Borrow(thread) => {
                let add = self.add(&[*thread], self.borrowed);
                self.write(record(RecordClass::Decision, "delivered").with_op(add)).await;
            }
            Step::Branch(from, after) => {
                let (thread, from) = (self.new_thread(), self.thread(*from));
                let branch = Op::Branch { thread, kind: ThreadKind::Private, from, after: *after };
                self.change(thread, branch).await;
            }
            Step::Compact(thread, first, last) => {
                let item = self.item(Author::agent("Mary"), "In short.");
                let thread = self.thread(*thread);
                let compact = Op::Compact { thread, first: *first, last: *last, item: item.id };
                self.write(record(RecordClass::Decision, "compacted").with_item(item).with_op(compact)).await;
            }
            Step::Tangent(parent, anchor) => {
                let (thread, parent) = (self.new_thread(), self.thread(*parent));
                self.change(thread, Op::Tangent { thread, parent, anchor: *anchor }).await;
            }
            Step::Resolve => {
                let (thread, item) = (self.thread(255), self.item(Author::agent("Mary"), "So."));
                let resolve = Op::Resolve { thread, items: vec![item.id] };
                self.write(record(RecordClass::Decision, "resolved").with_item(item).with_op(resolve)).await;
            }
            Step::Trace(text) => {
                let mut traced = record(RecordClass::Trace, "traced").in_turn(TurnId(Offset(1)));
                traced.body = RawValue::from_string(json!({ "thinking": text }).to_string()).unwrap();
                self.write(traced).await;
            }
            Step::Newer(thread) => self.newer(*thread).await,
        }
    }

    async fn newer(&mut self, thread: u8) {
        self.made += 1;
        let id = ItemId::derive(&[b"newer", &self.made.to_be_bytes()]);
        let item = json!({
            "id": id, "author": { "type": "robot", "model": 7 }, "kind": "hologram", "createdAt": at(3),
            "content": [{ "type": "scent", "of": "pine" }, { "type": "text", "text": "hi", "mood": null }], "weight": 1.5,
        });
        let item: Item = serde_json::from_value(item).unwrap();
        let how: How = serde_json::from_value(json!({ "type": "beamed", "by": "Scotty" })).unwrap();
        let add = Op::Add { threads: vec![self.thread(thread)], item: id, how };
        let mut newer = record(RecordClass::Decision, "teleported").with_item(item).with_op(add);
        newer.v = 9;
        let body = "{\"z\": 1e400,  \"a\":\"\\u00e9 é \\u0000\", \"n\":123456789012345678901234567890}";
        newer.body = RawValue::from_string(body.into()).unwrap();
        self.write(newer).await;
    }

    async fn say(&mut self, name: &str, text: &str) {
        let author = Author::human(name);
        let item = self.item(author.clone(), text);
        let id = BatchId::derive(&[item.id.as_bytes()]);
        let said = record(RecordClass::Input, "messagePosted").with_item(item);
        let receipt = self.bus.append(Batch::input(self.session, id, author, vec![said])).await.unwrap();
        self.sample.head = receipt.last;
    }

    async fn change(&mut self, thread: ThreadId, op: Op) {
        if self.write(record(RecordClass::Decision, "changed").with_op(op)).await {
            self.threads.push(thread);
        }
    }

    /// Whether it fits.
    async fn write(&mut self, record: NewRecord) -> bool {
        match self.sample.write([record]).await {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::Invalid => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn add(&self, threads: &[u8], item: ItemId) -> Op {
        let threads = threads.iter().map(|thread| self.thread(*thread)).collect();
        Op::Add { threads, item, how: How::Delivered { from: None } }
    }

    fn item(&mut self, author: Author, text: &str) -> Item {
        self.made += 1;
        let id = ItemId::derive(&[self.session.as_bytes(), &self.made.to_be_bytes()]);
        Item::message(id, author, at(2), text)
    }

    fn new_thread(&self) -> ThreadId {
        ThreadId::derive(&[b"thread", &(self.threads.len() as u64).to_be_bytes()])
    }

    fn thread(&self, number: u8) -> ThreadId {
        let last = self.threads.len() - 1;
        self.threads[usize::from(number).min(last)]
    }
}

pub(crate) fn record(class: RecordClass, kind: &str) -> NewRecord {
    let mut record = party_bus::conformance::note(class, kind);
    record.kind = kind.into();
    record
}

pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A session as a file.
pub(crate) async fn exported(bus: &Arc<dyn Bus>, session: SessionId) -> Vec<u8> {
    let mut file = Vec::new();
    bus.export(session, &mut file).await.unwrap();
    file
}
