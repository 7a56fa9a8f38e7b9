//! What the checks of a group of batches need to know, read in one round trip behind the locks.

use super::{
    failure::Failure,
    link::Link,
    named::Named,
    row::{parse, uid, uint},
    write::Write,
};
use crate::Tenure;
use futures::join;
use party_core::{
    BatchId, Compaction, ItemId, Offset, Origin, Outline, Outlined, Place, SessionId, Span, ThreadId,
    ThreadKind, ThreadState,
};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
};
use tokio_postgres::Row;

/// Locks the sessions that nobody else has locked.
const LOCK: &str = "SELECT uid, id, head, lease_owner IS NOT NULL, lease_token, partial FROM session
    WHERE uid = ANY($1) ORDER BY uid FOR UPDATE SKIP LOCKED";
/// Those that are there, whoever has them locked. Behind the locks, so that none seems to be missing.
pub(super) const THERE: &str = "SELECT uid FROM session WHERE uid = ANY($1)";
const BATCHES: &str = "SELECT w.session, w.batch, b.hash, b.first, b.last
    FROM unnest($1::bytea[], $2::bytea[]) w (session, batch)
    JOIN session s ON s.uid = w.session JOIN batch b ON b.session = s.id AND b.uid = w.batch";
/// The text only of what a batch brings, to compare it.
const ITEMS: &str = "SELECT i.uid, i.id, i.session, CASE WHEN w.brought THEN i.body END
    FROM unnest($1::bytea[], $2::boolean[]) w (uid, brought) JOIN item i ON i.uid = w.uid";
/// The threads that batches name; of a tangent its parent, and all that a thread descends from where a
/// batch opens one or compacts.
const THREADS: &str = "WITH RECURSIVE up AS (
        SELECT t.*, s.uid AS owner, w.deep FROM unnest($1::bytea[], $2::bytea[], $3::boolean[]) w (session, thread, deep)
        JOIN session s ON s.uid = w.session JOIN thread t ON t.session = s.id AND t.uid = w.thread
        UNION
        SELECT p.*, up.owner, up.deep FROM up JOIN thread p ON p.id = up.parent
        WHERE up.deep OR up.kind = 'tangent'
    )
    SELECT up.owner, up.uid, up.id, up.kind, up.state, p.uid, up.after, up.made, up.depth, up.head
    FROM up LEFT JOIN thread p ON p.id = up.parent";
/// Ranges that an end of a new one may lie within.
const COMPACTIONS: &str = "SELECT c.thread, c.first, c.last, i.uid, c.made, c.covered_last, c.covered_made
    FROM unnest($1::bigint[]) w (thread) CROSS JOIN unnest($2::bigint[]) e (position)
    JOIN compaction c ON c.thread = w.thread AND c.first <= e.position AND c.last >= e.position
    JOIN item i ON i.id = c.item";
/// A block of numbers for new rows.
const NUMBERS: &str = "SELECT nextval('number') FROM generate_series(1, $1::integer)";

pub(super) const STATEMENTS: [&str; 5] = [LOCK, THERE, BATCHES, ITEMS, THREADS];

/// How many numbers a block has; the sequence's increment.
pub(super) const BLOCK: i64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Known<'w> {
    pub(super) sessions: HashMap<SessionId, Session>,
    /// Sessions that somebody else has locked.
    pub(super) held: BTreeSet<SessionId>,
    pub(super) batches: HashMap<(SessionId, BatchId), ([u8; 16], Offset, Offset)>,
    pub(super) items: HashMap<ItemId, Stored<'w>>,
}

/// A session's row, as far as a batch is checked against it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: i64,
    pub(super) head: Offset,
    /// The token under which its driver may write.
    pub(super) token: Option<u64>,
    pub(super) partial: bool,
    pub(super) outline: Outline,
    /// The rows of its threads.
    pub(super) threads: HashMap<ThreadId, i64>,
}

#[derive(Debug)]
pub(super) struct Stored<'w> {
    pub(super) id: i64,
    /// The session that brought it first.
    pub(super) session: i64,
    /// Its text, where a batch brings it.
    pub(super) body: Option<Cow<'w, str>>,
}

/// Numbers for new rows that this process took.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    blocks: Vec<std::ops::Range<i64>>,
}

impl Numbers {
    pub(super) fn next(&mut self) -> Result<i64, Failure> {
        while let Some(block) = self.blocks.last_mut() {
            if let Some(number) = block.next() {
                return Ok(number);
            }
            self.blocks.pop();
        }
        Err(Failure::broken("there are not enough numbers for new rows"))
    }

    /// Sees to it that there are `count`.
    async fn provide(&mut self, link: &mut Link, count: usize) -> Result<(), Failure> {
        let there: i64 = self.blocks.iter().map(|block| block.end - block.start).sum();
        let missing = i64::try_from(count).unwrap_or(i64::MAX).saturating_sub(there);
        if missing <= 0 {
            return Ok(());
        }
        let blocks = i32::try_from((missing - 1) / BLOCK + 1).unwrap_or(i32::MAX);
        for row in link.ask(NUMBERS, &[&blocks]).await? {
            let first: i64 = row.try_get(0)?;
            self.blocks.insert(0, first..first + BLOCK);
        }
        Ok(())
    }
}

/// Begins a transaction by `begin`, locks the sessions of `writes`, and reads what they are checked
/// against.
pub(super) async fn fetch<'w>(
    link: &mut Link,
    begin: &str,
    writes: &[Write],
    numbers: &mut Numbers,
) -> Result<Known<'w>, Failure> {
    let named = Named::of(writes);
    numbers.provide(link, named.rows).await?;
    link.prepare(&STATEMENTS).await?;
    let sessions: Vec<&[u8]> = named.sessions.iter().map(|session| &session.as_bytes()[..]).collect();
    let batches: (Vec<&[u8]>, Vec<&[u8]>) =
        named.batches.iter().map(|(session, batch)| (&session.as_bytes()[..], &batch.as_bytes()[..])).unzip();
    let items: (Vec<&[u8]>, Vec<bool>) =
        named.items.iter().map(|(item, brought)| (&item.as_bytes()[..], *brought)).unzip();
    let of = |(session, thread): &'_ (SessionId, ThreadId)| (*session.as_bytes(), *thread.as_bytes());
    let threads: (Vec<_>, Vec<_>) = named.threads.keys().map(of).unzip();
    let deep: Vec<bool> = named.threads.values().copied().collect();
    link.in_transaction = true;
    let (begun, sessions, there, batches, items, threads) = join!(
        link.batch(begin),
        async { link.query(LOCK, &[&sessions]).await },
        async { link.query(THERE, &[&sessions]).await },
        async { link.query(BATCHES, &[&batches.0, &batches.1]).await },
        async {
            match items.0.is_empty() {
                true => Ok(Vec::new()),
                false => link.query(ITEMS, &[&items.0, &items.1]).await,
            }
        },
        async {
            match deep.is_empty() {
                true => Ok(Vec::new()),
                false => link.query(THREADS, &[&threads.0, &threads.1, &deep]).await,
            }
        },
    );
    begun?;
    let mut known = Known::default();
    for row in sessions? {
        known.take_session(&row)?;
    }
    for row in there? {
        let session = SessionId::from_bytes(id(&row, 0)?);
        if !known.sessions.contains_key(&session) {
            known.held.insert(session);
        }
    }
    for row in batches? {
        let ids = (SessionId::from_bytes(id(&row, 0)?), BatchId::from_bytes(id(&row, 1)?));
        let (first, last) = (Offset(uint("first", row.try_get(3)?)?), Offset(uint("last", row.try_get(4)?)?));
        known.batches.insert(ids, (id(&row, 2)?, first, last));
    }
    for row in items? {
        let body: Option<String> = row.try_get(3)?;
        let stored = Stored { id: row.try_get(1)?, session: row.try_get(2)?, body: body.map(Cow::Owned) };
        known.items.insert(ItemId::from_bytes(id(&row, 0)?), stored);
    }
    for row in threads? {
        known.take_thread(&row)?;
    }
    if !named.ends.is_empty() {
        known.take_compactions(link, &named).await?;
    }
    Ok(known)
}

fn id(row: &Row, column: usize) -> Result<[u8; 16], Failure> {
    uid("uid", row.try_get(column)?)
}

impl Known<'_> {
    fn take_session(&mut self, row: &Row) -> Result<(), Failure> {
        let is_held: bool = row.try_get(3)?;
        let token = uint("lease_token", row.try_get(4)?)?;
        let session = Session {
            id: row.try_get(1)?,
            head: Offset(uint("head", row.try_get(2)?)?),
            token: is_held.then_some(token),
            partial: row.try_get(5)?,
            outline: Outline::default(),
            threads: HashMap::new(),
        };
        self.sessions.insert(SessionId::from_bytes(id(row, 0)?), session);
        Ok(())
    }

    fn take_thread(&mut self, row: &Row) -> Result<(), Failure> {
        let (session, thread) = (SessionId::from_bytes(id(row, 0)?), ThreadId::from_bytes(id(row, 1)?));
        if let Some(session) = self.sessions.get_mut(&session) {
            session.threads.insert(thread, row.try_get(2)?);
            session.outline.load(thread, outlined(row, 3)?);
        }
        Ok(())
    }

    async fn take_compactions(&mut self, link: &mut Link, named: &Named) -> Result<(), Failure> {
        let mut places: HashMap<i64, (SessionId, ThreadId)> = HashMap::new();
        for (id, session) in &self.sessions {
            places.extend(session.threads.iter().map(|(thread, row)| (*row, (*id, *thread))));
        }
        let rows: Vec<i64> = places.keys().copied().collect();
        let ends: Vec<i64> = named.ends.iter().copied().collect();
        let mut loaded: HashMap<(SessionId, ThreadId), Vec<Compaction>> = HashMap::new();
        for row in link.ask(COMPACTIONS, &[&rows, &ends]).await? {
            if let Some(place) = places.get(&row.try_get(0)?) {
                loaded.entry(*place).or_default().push(compaction(&row, 1)?);
            }
        }
        for ((session, thread), compactions) in loaded {
            let Some(session) = self.sessions.get_mut(&session) else { continue };
            let Some(mut outlined) = session.outline.thread(thread).cloned() else { continue };
            compactions.into_iter().for_each(|compaction| outlined.load(compaction));
            session.outline.load(thread, outlined);
        }
        Ok(())
    }
}

/// A thread from the columns kind, state, uid of the parent, after, made, depth, head; `at` is the first.
pub(super) fn outlined(row: &Row, at: usize) -> Result<Outlined, Failure> {
    let origin = match row.try_get::<_, Option<&[u8]>>(at + 2)? {
        Some(parent) => {
            let after = row.try_get::<_, Option<i64>>(at + 3)?.unwrap_or_default();
            Some(Origin { parent: ThreadId::from_bytes(uid("uid", parent)?), after: uint("after", after)? })
        }
        None => None,
    };
    let made = Place::unpacked(uint("made", row.try_get(at + 4)?)?);
    let depth = u16::try_from(row.try_get::<_, i16>(at + 5)?).unwrap_or_default();
    let mut outlined = Outlined::new(kind(row.try_get(at)?), origin, made, depth);
    outlined.state = state(row.try_get(at + 1)?)?;
    outlined.head = uint("head", row.try_get(at + 6)?)?;
    Ok(outlined)
}

/// A compaction from the columns first, last, uid of the item, made, `covered_last`, `covered_made`.
pub(super) fn compaction(row: &Row, at: usize) -> Result<Compaction, Failure> {
    let number = |column: usize| uint("compaction", row.try_get::<_, i64>(at + column)?);
    let covered: (Option<i64>, Option<i64>) = (row.try_get(at + 4)?, row.try_get(at + 5)?);
    let covered = match covered {
        (Some(last), Some(made)) => {
            Some((uint("covered_last", last)?, Place::unpacked(uint("covered_made", made)?)))
        }
        _ => None,
    };
    Ok(Compaction {
        span: Span { first: number(0)?, last: number(1)? },
        item: ItemId::from_bytes(id(row, at + 2)?),
        made: Place::unpacked(number(3)?),
        covered,
    })
}

pub(super) fn kind(name: &str) -> ThreadKind {
    serde_json::from_value(serde_json::Value::from(name))
        .unwrap_or_else(|_| ThreadKind::Other(name.to_owned()))
}

const STATES: [ThreadState; 4] =
    [ThreadState::Open, ThreadState::Closed, ThreadState::Resolved, ThreadState::Abandoned];

pub(super) fn state(number: i16) -> Result<ThreadState, Failure> {
    let state = usize::try_from(number).ok().and_then(|number| STATES.get(number));
    state.copied().ok_or_else(|| Failure::corrupt(format!("a thread has the unknown state {number}")))
}

/// Who holds a session, from the columns `lease_owner`, `lease_token`, `lease_until`.
pub(super) fn tenure(row: &Row, at: usize) -> Result<Tenure, Failure> {
    let owner = row.try_get::<_, Option<&str>>(at)?;
    let owner = owner.map(|text| parse(text, || "the holder of a lease".into())).transpose()?;
    Ok(Tenure { owner, token: uint("lease_token", row.try_get(at + 1)?)?, until: row.try_get(at + 2)? })
}
