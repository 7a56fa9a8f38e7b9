//! Threads as rows: which one an id names, what it inherits, what it shows as summaries.

use super::{
    code::Named,
    failure::Failure,
    row::{int, thread_kind, thread_state, uint},
};
use party_core::{
    Ask, Compaction, ItemId, Level, Origin, Outlined, Place, Span, ThreadId, ThreadKind, ThreadState,
};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// A thread as its row has it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) row: i64,
    pub(super) id: ThreadId,
    pub(super) kind: ThreadKind,
    pub(super) state: ThreadState,
    pub(super) head: u64,
    /// The row and the id of the thread that it leaves, and the last position that both share.
    pub(super) origin: Option<(i64, Origin)>,
    pub(super) made: Place,
    pub(super) depth: u16,
    /// How many compactions are its own, or were its parent's when it was made: without any, neither it
    /// nor those that it descends from show one here.
    pub(super) compactions: i64,
    /// The open end of the list of its own entries.
    pub(super) tail: String,
}

/// Selects what [`Stored::read`] reads.
macro_rules! select_threads {
    ($where:literal) => {
        concat!(
            "SELECT thread.id, thread.uid, thread.kind, thread.state, thread.head, thread.parent, parent.uid,
                    thread.after, thread.made, thread.depth, thread.compactions, thread.tail
             FROM thread LEFT JOIN thread AS parent ON parent.id = thread.parent ",
            $where
        )
    };
}
pub(super) use select_threads;

impl Stored {
    /// The thread of that id in the session of that row.
    pub(super) fn find(conn: &Connection, session: i64, id: ThreadId) -> Result<Option<Self>, Failure> {
        let sql = select_threads!("WHERE thread.session = ?1 AND thread.uid = ?2");
        let mut find = conn.prepare_cached(sql)?;
        let mut rows = find.query(params![session, id.as_bytes()])?;
        rows.next()?.map(Self::read).transpose()
    }

    /// The thread of that row.
    pub(super) fn at(conn: &Connection, row: i64) -> Result<Self, Failure> {
        let mut find = conn.prepare_cached(select_threads!("WHERE thread.id = ?1"))?;
        let mut rows = find.query([row])?;
        match rows.next()? {
            Some(row) => Self::read(row),
            None => Err(Failure::corrupt(format!("there is no thread row {row}"))),
        }
    }

    pub(super) fn read(row: &Row<'_>) -> Result<Self, Failure> {
        let id = ThreadId::from_bytes(row.get(1)?);
        let origin = match (row.get(5)?, row.get(6)?) {
            (None, _) => None,
            (Some(parent), Some(uid)) => {
                let origin = Origin { parent: ThreadId::from_bytes(uid), after: uint("after", row.get(7)?)? };
                Some((parent, origin))
            }
            (Some(_), None) => return Err(Failure::corrupt(format!("the parent of thread {id} is gone"))),
        };
        Ok(Self {
            row: row.get(0)?,
            id,
            kind: thread_kind(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?),
            state: thread_state(row.get(3)?)?,
            head: uint("head", row.get(4)?)?,
            origin,
            made: Place::unpacked(uint("made", row.get(8)?)?),
            depth: row.get(9)?,
            compactions: row.get(10)?,
            tail: row.get(11)?,
        })
    }

    /// As the rules of topology see it, without its compactions.
    pub(super) fn outlined(&self) -> Outlined {
        let origin = self.origin.map(|(_, origin)| origin);
        let mut outlined = Outlined::new(self.kind.clone(), origin, self.made, self.depth);
        outlined.head = self.head;
        outlined.state = self.state;
        outlined
    }

    /// The first position that it holds itself.
    pub(super) fn first(&self) -> u64 {
        self.origin.map_or(0, |(_, origin)| origin.after) + 1
    }

    /// How many entries it holds itself.
    pub(super) fn count(&self) -> u64 {
        (self.head + 1).saturating_sub(self.first())
    }
}

/// A thread and those that it descends from, itself first, read as far as somebody looks.
pub(super) struct Lineage<'a> {
    conn: &'a Connection,
    levels: Vec<(Level, Stored)>,
}

impl<'a> Lineage<'a> {
    pub(super) fn new(conn: &'a Connection, thread: Stored) -> Self {
        let level = Level { thread: thread.id, first: thread.first(), last: thread.head, until: None };
        Self { conn, levels: vec![(level, thread)] }
    }

    /// The level `above` levels up; `None` where no thread is.
    pub(super) fn level(&mut self, above: usize) -> Result<Option<&(Level, Stored)>, Failure> {
        while self.levels.len() <= above {
            let Some((level, thread)) = self.levels.last() else { break };
            let Some((row, origin)) = thread.origin else { return Ok(None) };
            let parent = Stored::at(self.conn, row)?;
            let level = level.above(parent.id, parent.first(), origin.after, thread.made);
            self.levels.push((level, parent));
        }
        Ok(self.levels.get(above))
    }

    /// The compaction that is asked for, of those that the thread shows.
    pub(super) fn compaction(&mut self, ask: Ask) -> Result<Option<Compaction>, Failure> {
        let (conn, mut found, mut above) = (self.conn, Vec::new(), 0);
        while let Some((level, thread)) = self.level(above)?
            && thread.compactions > 0
        {
            found.extend(shown(conn, thread.row, level, ask)?);
            above += 1;
        }
        Ok(ask.nearest(found, |compaction| compaction.span))
    }
}

/// The compaction of a level that is asked for.
pub(super) fn shown(
    conn: &Connection,
    thread: i64,
    level: &Level,
    ask: Ask,
) -> Result<Option<Compaction>, Failure> {
    let until = level.until.map_or(i64::MAX, |until| int(until.packed()));
    let (sql, position) = match ask {
        Ask::Below(position) => (
            "SELECT first, made, last, item, covered_last, covered_made FROM compaction
             WHERE thread = ?1 AND first <= ?2 AND last <= ?3 AND made < ?4
               AND (covered_last IS NULL OR covered_last > ?3 OR covered_made >= ?4)
             ORDER BY first DESC, made DESC LIMIT 1",
            position,
        ),
        Ask::Above(position) => (
            "SELECT first, made, last, item, covered_last, covered_made FROM compaction
             WHERE thread = ?1 AND first > ?2 AND last <= ?3 AND made < ?4
               AND (covered_last IS NULL OR covered_last > ?3 OR covered_made >= ?4)
             ORDER BY first, made LIMIT 1",
            position,
        ),
    };
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query(params![thread, int(position), int(level.last), until])?;
    rows.next()?.map(compaction).transpose()
}

/// The compactions of a thread that begin within `span`.
pub(super) fn within(conn: &Connection, thread: i64, span: Span) -> Result<Vec<Compaction>, Failure> {
    let mut select = conn.prepare_cached(
        "SELECT first, made, last, item, covered_last, covered_made FROM compaction
         WHERE thread = ?1 AND first BETWEEN ?2 AND ?3",
    )?;
    let mut rows = select.query(params![thread, int(span.first), int(span.last)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(compaction(row)?);
    }
    Ok(found)
}

fn compaction(row: &Row<'_>) -> Result<Compaction, Failure> {
    let place = |made| uint("made", made).map(Place::unpacked);
    let covered = match (row.get(4)?, row.get(5)?) {
        (Some(last), Some(made)) => Some((uint("covered_last", last)?, place(made)?)),
        _ => None,
    };
    Ok(Compaction {
        span: Span { first: uint("first", row.get(0)?)?, last: uint("last", row.get(2)?)? },
        item: ItemId::from_bytes(row.get(3)?),
        made: place(row.get(1)?)?,
        covered,
    })
}

/// Threads by row, for the ops that name them so; each is read once.
pub(super) struct Names<'a> {
    conn: &'a Connection,
    known: BTreeMap<i64, Named>,
}

impl<'a> Names<'a> {
    pub(super) const fn new(conn: &'a Connection) -> Self {
        Self { conn, known: BTreeMap::new() }
    }

    pub(super) fn get(&mut self, row: i64) -> Result<Named, Failure> {
        if let Some(named) = self.known.get(&row) {
            return Ok(named.clone());
        }
        let Stored { id, kind, origin, .. } = Stored::at(self.conn, row)?;
        let named = Named { id, kind, origin: origin.map(|(row, origin)| (row, origin.after)) };
        self.known.insert(row, named.clone());
        Ok(named)
    }
}
