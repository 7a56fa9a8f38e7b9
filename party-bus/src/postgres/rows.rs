//! All that a group of batches comes to, and the statements that write it.

use super::{
    columns::{Batches, Compacted, Entries, Opened, Records, SESSIONS, SNAPSHOTS, Sessions, Threads},
    failure::Failure,
    link::Link,
    row::int,
};
use futures::join;
use party_core::{ItemId, Offset};
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
