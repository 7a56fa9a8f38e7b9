//! The rows of a group of batches in columns, as the server takes many at once.

use super::{failure::Failure, link::Link, row::int};
use crate::{Batch, Snapshot, Wake, encoded::json};
use party_core::{Author, BatchId, How, NewRecord, Offset, Outlined, Place, RecordClass, Span, ThreadId};
use std::collections::BTreeMap;

pub(super) const SESSIONS: &str =
    "UPDATE session SET head = u.head, opened_at = coalesce(session.opened_at, u.opened_at),
        kind = coalesce(session.kind, u.kind), key = coalesce(session.key, u.key),
        parent = coalesce(session.parent, u.parent), partial = u.partial, changed = pg_current_xact_id(),
        wake = CASE WHEN u.wakes THEN u.wake ELSE session.wake END
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::boolean[],
        $8::boolean[], $9::bigint[]) u (id, head, opened_at, kind, key, parent, partial, wakes, wake)
    WHERE session.id = u.id";
pub(super) const SNAPSHOTS: &str = r#"INSERT INTO snapshot (session, engine, "offset", state)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])
    ON CONFLICT (session) DO UPDATE SET engine = excluded.engine, "offset" = excluded."offset",
        state = excluded.state"#;

/// A range that is shown as a summary.
pub(super) struct Compacted {
    pub(super) thread: i64,
    pub(super) span: Span,
    pub(super) item: i64,
    pub(super) made: Place,
}

#[derive(Default)]
pub(super) struct Records<'w> {
    pub(super) session: Vec<i64>,
    pub(super) offset: Vec<i64>,
    pub(super) bytes: Vec<i64>,
    pub(super) v: Vec<i32>,
    pub(super) class: Vec<i16>,
    pub(super) kind: Vec<&'w str>,
    pub(super) at: Vec<i64>,
    pub(super) turn: Vec<Option<i64>>,
    pub(super) author: Vec<Option<String>>,
    pub(super) items: Vec<Option<String>>,
    pub(super) ops: Vec<Option<&'w str>>,
    pub(super) body: Vec<&'w str>,
}

impl<'w> Records<'w> {
    pub(super) fn push(
        &mut self,
        (session, offset, bytes): (i64, Offset, u64),
        record: &'w NewRecord,
        author: Option<&Author>,
        items: Vec<i64>,
        ops: Option<&'w str>,
    ) {
        self.session.push(session);
        self.offset.push(int(offset.0));
        self.bytes.push(int(bytes));
        self.v.push(record.v.into());
        self.class.push(record.class as i16);
        self.kind.push(&record.kind);
        self.at.push(record.at.as_micros());
        self.turn.push(record.turn.map(|turn| int(turn.0.0)));
        self.author.push(author.filter(|_| record.class == RecordClass::Input).map(json));
        let list = || items.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        self.items.push((!items.is_empty()).then(|| format!("{{{}}}", list())));
        self.ops.push(ops);
        self.body.push(record.body.get());
    }
}

#[derive(Default)]
pub(super) struct Batches {
    pub(super) session: Vec<i64>,
    pub(super) uid: Vec<[u8; 16]>,
    pub(super) hash: Vec<[u8; 16]>,
    pub(super) first: Vec<i64>,
    pub(super) last: Vec<i64>,
}

impl Batches {
    pub(super) fn push(&mut self, session: i64, id: BatchId, hash: &[u8; 16], first: Offset, last: Offset) {
        self.session.push(session);
        self.uid.push(*id.as_bytes());
        self.hash.push(*hash);
        self.first.push(int(first.0));
        self.last.push(int(last.0));
    }
}

#[derive(Default)]
pub(super) struct Opened {
    pub(super) id: Vec<i64>,
    pub(super) session: Vec<i64>,
    pub(super) uid: Vec<[u8; 16]>,
    pub(super) kind: Vec<String>,
    pub(super) state: Vec<i16>,
    pub(super) parent: Vec<Option<i64>>,
    pub(super) after: Vec<Option<i64>>,
    pub(super) made: Vec<i64>,
    pub(super) depth: Vec<i16>,
    pub(super) head: Vec<i64>,
    pub(super) compactions: Vec<i32>,
}

impl Opened {
    pub(super) fn push(
        &mut self,
        (id, session, uid): (i64, i64, ThreadId),
        parent: Option<i64>,
        compactions: i32,
        outlined: &Outlined,
    ) {
        self.id.push(id);
        self.session.push(session);
        self.uid.push(*uid.as_bytes());
        self.kind.push(outlined.kind.to_string());
        self.state.push(outlined.state as i16);
        self.parent.push(parent);
        self.after.push(outlined.origin.map(|origin| int(origin.after)));
        self.made.push(int(outlined.made.packed()));
        self.depth.push(i16::try_from(outlined.depth).unwrap_or(i16::MAX));
        self.head.push(int(outlined.head));
        self.compactions.push(compactions);
    }
}

#[derive(Default)]
pub(super) struct Threads {
    pub(super) id: Vec<i64>,
    pub(super) head: Vec<i64>,
    pub(super) state: Vec<i16>,
    pub(super) added: Vec<i32>,
}

impl Threads {
    pub(super) fn push(&mut self, id: i64, compactions: i32, outlined: &Outlined) {
        self.id.push(id);
        self.head.push(int(outlined.head));
        self.state.push(outlined.state as i16);
        self.added.push(compactions);
    }
}

#[derive(Default)]
pub(super) struct Entries {
    pub(super) thread: Vec<i64>,
    pub(super) position: Vec<i64>,
    pub(super) item: Vec<i64>,
    pub(super) place: Vec<i64>,
    pub(super) how: Vec<Option<String>>,
}

impl Entries {
    pub(super) fn push(&mut self, thread: i64, position: u64, item: i64, place: Place, how: &How) {
        self.thread.push(thread);
        self.position.push(int(position));
        self.item.push(item);
        self.place.push(int(place.packed()));
        self.how.push((*how != How::Said).then(|| json(how)));
    }
}

/// What becomes of the sessions' own rows, by their number.
#[derive(Default)]
pub(super) struct Sessions<'w>(BTreeMap<i64, Moved<'w>>);

struct Moved<'w> {
    last: Offset,
    first: &'w Batch,
    partial: bool,
    wake: Option<Wake>,
    snapshot: Option<&'w Snapshot>,
}

impl<'w> Sessions<'w> {
    pub(super) fn take(&mut self, id: i64, batch: &'w Batch, last: Offset) {
        let first = || Moved { last, first: batch, partial: false, wake: None, snapshot: None };
        let moved = self.0.entry(id).or_insert_with(first);
        moved.last = last;
        moved.partial = batch.partial;
        moved.wake = batch.wake.or(moved.wake);
        moved.snapshot = batch.snapshot.as_ref().or(moved.snapshot);
    }

    fn column<T>(&self, of: impl Fn(&Moved<'w>) -> T) -> Vec<T> {
        self.0.values().map(of).collect()
    }

    pub(super) async fn write(&self, link: &Link) -> Result<(), Failure> {
        let ids: Vec<i64> = self.0.keys().copied().collect();
        let labels = self.column(|moved| moved.first.label.as_ref());
        let kinds: Vec<_> = labels.iter().map(|label| label.map(|label| label.kind.as_str())).collect();
        let keys: Vec<_> = labels.iter().map(|label| label.map(|label| label.key.as_str())).collect();
        let parents: Vec<_> = labels
            .iter()
            .map(|label| label.and_then(|label| label.parent).map(|id| *id.as_bytes()))
            .collect();
        let opened = self.column(|moved| moved.first.records.first().map(|record| record.at.as_micros()));
        link.execute(
            SESSIONS,
            &[
                &ids,
                &self.column(|moved| int(moved.last.0)),
                &opened,
                &kinds,
                &keys,
                &parents,
                &self.column(|moved| moved.partial),
                &self.column(|moved| moved.wake.is_some()),
                &self.column(|moved| moved.wake.and_then(wake)),
            ],
        )
        .await
        .map(drop)
    }

    pub(super) async fn write_snapshots(&self, link: &Link) -> Result<(), Failure> {
        let with: Vec<(i64, &Snapshot)> =
            self.0.iter().filter_map(|(id, moved)| Some((*id, moved.snapshot?))).collect();
        if with.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = with.iter().map(|(id, _)| *id).collect();
        let engines: Vec<&str> = with.iter().map(|(_, snapshot)| snapshot.engine.as_str()).collect();
        let offsets: Vec<i64> = with.iter().map(|(_, snapshot)| int(snapshot.offset.0)).collect();
        let states: Vec<&[u8]> = with.iter().map(|(_, snapshot)| snapshot.state.as_slice()).collect();
        link.execute(SNAPSHOTS, &[&ids, &engines, &offsets, &states]).await.map(drop)
    }
}

/// A wake as its column keeps it.
pub(super) const fn wake(wake: Wake) -> Option<i64> {
    match wake {
        Wake::Now => Some(i64::MIN),
        Wake::At(at) => Some(at.as_micros()),
        Wake::Idle => None,
    }
}
