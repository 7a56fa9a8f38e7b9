//! What a group of batches comes to, in columns, and the statements that write it.

use super::{failure::Failure, link::Link, row::int};
use crate::{Batch, Snapshot, Wake, encoded::json};
use futures::join;
use party_core::{
    Author, BatchId, How, ItemId, NewRecord, Offset, Outlined, Place, RecordClass, Span, ThreadId,
};
use std::collections::{BTreeMap, BTreeSet};

const RECORDS: &str = r#"INSERT INTO record
        (session, "offset", bytes, v, class, kind, at, turn, author, items, ops, body)
    SELECT session, "offset", bytes, v, class, kind, at, turn, author, items::bigint[], ops, body
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::integer[], $5::smallint[], $6::text[], $7::bigint[],
        $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[])
        u (session, "offset", bytes, v, class, kind, at, turn, author, items, ops, body)"#;
const BATCHES: &str = "INSERT INTO batch (session, uid, hash, first, last)
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[])";
// In the order of their ids: others may bring the same ones, and wait for each other.
const ITEMS: &str = r#"INSERT INTO item (uid, id, session, "offset", body, written)
    SELECT u.*, (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) u"#;
const SHARED: &str = "INSERT INTO shared (item, session) SELECT * FROM unnest($1::bigint[], $2::bigint[])
    ON CONFLICT DO NOTHING";
const OPENED: &str = "INSERT INTO thread
        (id, session, uid, kind, state, parent, after, made, depth, head, compactions)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::smallint[], $6::bigint[],
        $7::bigint[], $8::bigint[], $9::smallint[], $10::bigint[], $11::integer[])";
const THREADS: &str = "UPDATE thread SET head = u.head, state = u.state, compactions = compactions + u.added
    FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::integer[]) u (id, head, state, added)
    WHERE thread.id = u.id";
const ENTRIES: &str = "INSERT INTO entry (thread, position, item, place, how)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])";
const SESSIONS: &str =
    "UPDATE session SET head = u.head, opened_at = coalesce(session.opened_at, u.opened_at),
        kind = coalesce(session.kind, u.kind), key = coalesce(session.key, u.key),
        parent = coalesce(session.parent, u.parent), partial = u.partial, changed = pg_current_xact_id(),
        wake = CASE WHEN u.wakes THEN u.wake ELSE session.wake END
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::boolean[],
        $8::boolean[], $9::bigint[]) u (id, head, opened_at, kind, key, parent, partial, wakes, wake)
    WHERE session.id = u.id";
const SNAPSHOTS: &str = r#"INSERT INTO snapshot (session, engine, "offset", state)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])
    ON CONFLICT (session) DO UPDATE SET engine = excluded.engine, "offset" = excluded."offset",
        state = excluded.state"#;
const COVER: &str = "UPDATE compaction SET covered_last = $3, covered_made = $4
    WHERE thread = $1 AND first >= $2 AND last <= $3 AND covered_last IS NULL";
const COMPACT: &str = "INSERT INTO compaction (thread, first, last, made, item) VALUES ($1, $2, $3, $4, $5)";

const STATEMENTS: [&str; 11] =
    [RECORDS, BATCHES, ITEMS, SHARED, OPENED, THREADS, ENTRIES, SESSIONS, SNAPSHOTS, COVER, COMPACT];

/// All that a group writes.
#[derive(Default)]
pub(super) struct Rows<'w> {
    pub(super) records: Records<'w>,
    pub(super) batches: Batches,
    /// Row, session, record and text of each new item.
    pub(super) items: BTreeMap<ItemId, (i64, i64, Offset, &'w str)>,
    /// Item and session.
    pub(super) shared: BTreeSet<(i64, i64)>,
    pub(super) opened: Opened,
    pub(super) threads: Threads,
    pub(super) entries: Entries,
    pub(super) sessions: Sessions<'w>,
    pub(super) compactions: Vec<Compacted>,
}

/// A range that is shown as a summary.
pub(super) struct Compacted {
    pub(super) thread: i64,
    pub(super) span: Span,
    pub(super) item: i64,
    pub(super) made: Place,
}

#[derive(Default)]
pub(super) struct Records<'w> {
    session: Vec<i64>,
    offset: Vec<i64>,
    bytes: Vec<i64>,
    v: Vec<i32>,
    class: Vec<i16>,
    kind: Vec<&'w str>,
    at: Vec<i64>,
    turn: Vec<Option<i64>>,
    author: Vec<Option<String>>,
    items: Vec<Option<String>>,
    ops: Vec<Option<&'w str>>,
    body: Vec<&'w str>,
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
    session: Vec<i64>,
    uid: Vec<[u8; 16]>,
    hash: Vec<[u8; 16]>,
    first: Vec<i64>,
    last: Vec<i64>,
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
    id: Vec<i64>,
    session: Vec<i64>,
    uid: Vec<[u8; 16]>,
    kind: Vec<String>,
    state: Vec<i16>,
    parent: Vec<Option<i64>>,
    after: Vec<Option<i64>>,
    made: Vec<i64>,
    depth: Vec<i16>,
    head: Vec<i64>,
    compactions: Vec<i32>,
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
    id: Vec<i64>,
    head: Vec<i64>,
    state: Vec<i16>,
    added: Vec<i32>,
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
    thread: Vec<i64>,
    position: Vec<i64>,
    item: Vec<i64>,
    place: Vec<i64>,
    how: Vec<Option<String>>,
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

    async fn write(&self, link: &Link) -> Result<(), Failure> {
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

    async fn write_snapshots(&self, link: &Link) -> Result<(), Failure> {
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

impl Rows<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.uid.is_empty()
    }

    /// How often a thread is compacted.
    pub(super) fn compactions_of(&self, thread: i64) -> i32 {
        let count = self.compactions.iter().filter(|compacted| compacted.thread == thread).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// Writes it all and commits, in one round trip where nothing is compacted.
    pub(super) async fn write(&self, link: &mut Link) -> Result<(), Failure> {
        link.prepare(&STATEMENTS).await?;
        for Compacted { thread, span, item, made } in &self.compactions {
            let (first, last, made) = (int(span.first), int(span.last), int(made.packed()));
            link.execute(COVER, &[thread, &first, &last, &made]).await?;
            link.execute(COMPACT, &[thread, &first, &last, &made, item]).await?;
        }
        if self.is_empty() {
            return link.commit().await;
        }
        let outcomes = join!(
            self.write_records(link),
            self.write_batches(link),
            self.write_items(link),
            self.write_threads(link),
            self.write_entries(link),
            self.sessions.write(link),
            self.sessions.write_snapshots(link),
            link.batch("COMMIT"),
        );
        outcomes.0.and(outcomes.1).and(outcomes.2).and(outcomes.3)?;
        outcomes.4.and(outcomes.5).and(outcomes.6).and(outcomes.7)?;
        link.in_transaction = false;
        Ok(())
    }

    async fn write_records(&self, link: &Link) -> Result<(), Failure> {
        let Records { session, offset, bytes, v, class, kind, at, turn, author, items, ops, body } =
            &self.records;
        link.execute(RECORDS, &[session, offset, bytes, v, class, kind, at, turn, author, items, ops, body])
            .await
            .map(drop)
    }

    async fn write_batches(&self, link: &Link) -> Result<(), Failure> {
        let Batches { session, uid, hash, first, last } = &self.batches;
        link.execute(BATCHES, &[session, uid, hash, first, last]).await.map(drop)
    }

    async fn write_items(&self, link: &Link) -> Result<(), Failure> {
        let uids: Vec<&[u8]> = self.items.keys().map(|item| &item.as_bytes()[..]).collect();
        let ids: Vec<i64> = self.items.values().map(|item| item.0).collect();
        let sessions: Vec<i64> = self.items.values().map(|item| item.1).collect();
        let offsets: Vec<i64> = self.items.values().map(|item| int(item.2.0)).collect();
        let bodies: Vec<&str> = self.items.values().map(|item| item.3).collect();
        let shared: (Vec<i64>, Vec<i64>) = self.shared.iter().copied().unzip();
        let items = async {
            match uids.is_empty() {
                true => Ok(0),
                false => link.execute(ITEMS, &[&uids, &ids, &sessions, &offsets, &bodies]).await,
            }
        };
        let shared = async {
            match shared.0.is_empty() {
                true => Ok(0),
                false => link.execute(SHARED, &[&shared.0, &shared.1]).await,
            }
        };
        let (items, shared) = join!(items, shared);
        items.and(shared).map(drop)
    }

    async fn write_threads(&self, link: &Link) -> Result<(), Failure> {
        let Opened { id, session, uid, kind, state, parent, after, made, depth, head, compactions } =
            &self.opened;
        let opened = async {
            match id.is_empty() {
                true => Ok(0),
                false => {
                    let params: &super::link::Params<'_> =
                        &[id, session, uid, kind, state, parent, after, made, depth, head, compactions];
                    link.execute(OPENED, params).await
                }
            }
        };
        let Threads { id, head, state, added } = &self.threads;
        let threads = async {
            match id.is_empty() {
                true => Ok(0),
                false => link.execute(THREADS, &[id, head, state, added]).await,
            }
        };
        let (opened, threads) = join!(opened, threads);
        opened.and(threads).map(drop)
    }

    async fn write_entries(&self, link: &Link) -> Result<(), Failure> {
        let Entries { thread, position, item, place, how } = &self.entries;
        if thread.is_empty() {
            return Ok(());
        }
        link.execute(ENTRIES, &[thread, position, item, place, how]).await.map(drop)
    }
}
