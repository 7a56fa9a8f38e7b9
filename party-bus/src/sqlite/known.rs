//! What the writer knows of the store from one transaction to the next, so that it need not read again what
//! only it has changed: sessions, their threads, the tags of records.
//!
//! All of it is of one version of the file. Once another connection has committed, it is forgotten; as it is
//! where a transaction is undone.

use super::{
    failure::Failure,
    parts::Listed,
    row::{int, uint},
    topology::Threads,
};
use crate::{Batch, Expect, Result, refusal};
use party_core::{Offset, SessionId};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{HashMap, hash_map::Entry};

/// Of so many sessions, and of so many tags, something is known at most.
const MOST: usize = 1_024;
/// Of so many threads, all sessions together.
const MOST_THREADS: usize = 16_384;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Known {
    version: Option<i64>,
    /// The highest `session.changed`.
    mark: Option<i64>,
    kinds: HashMap<String, i64>,
    sessions: HashMap<SessionId, (Session, Threads)>,
    /// Those whose rows lag behind.
    changed: Vec<SessionId>,
}

impl Known {
    /// Forgets what may not be so any more. The transaction around it holds the version in place.
    pub(super) fn look(&mut self, conn: &Connection) -> Result<(), Failure> {
        let version =
            conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get::<_, i64>(0))?;
        if self.version != Some(version) {
            self.forget();
            self.version = Some(version);
        }
        Ok(())
    }

    /// Forgets all.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets one session, whose row does not lag behind.
    pub(super) fn forget_session(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }

    /// A session and its threads; `None` where there is none.
    pub(super) fn session(
        &mut self,
        conn: &Connection,
        id: SessionId,
    ) -> Result<Option<(&mut Session, &mut Threads)>, Failure> {
        let known = match self.sessions.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let Some(session) = Session::find(conn, id)? else { return Ok(None) };
                place.insert((session, Threads::default()))
            }
        };
        Ok(Some((&mut known.0, &mut known.1)))
    }

    /// Notes that a batch was written to the session, behind those of all sessions before.
    pub(super) fn note(&mut self, conn: &Connection, id: SessionId) -> Result<(), Failure> {
        let mark = match self.mark {
            Some(mark) => mark + 1,
            None => last_mark(conn)? + 1,
        };
        self.mark = Some(mark);
        if let Some((session, _)) = self.sessions.get_mut(&id) {
            session.changed = mark;
            if !std::mem::replace(&mut session.is_changed, true) {
                self.changed.push(id);
            }
        }
        Ok(())
    }

    /// Writes what changed to the rows of sessions and threads.
    pub(super) fn write_back(&mut self, conn: &Connection) -> Result<(), Failure> {
        for id in self.changed.drain(..) {
            let Some((session, threads)) = self.sessions.get_mut(&id) else { continue };
            threads.write_back(conn)?;
            session.write_back(conn)?;
            if threads.is_much() {
                self.sessions.remove(&id);
            }
        }
        let threads: usize = self.sessions.values().map(|(_, threads)| threads.len()).sum();
        if self.sessions.len() > MOST || threads > MOST_THREADS {
            self.sessions.clear();
        }
        if self.kinds.len() > MOST {
            self.kinds.clear();
        }
        Ok(())
    }

    /// The row of a record's tag.
    pub(super) fn kind(&mut self, conn: &Connection, name: &str) -> Result<i64, Failure> {
        if let Some(row) = self.kinds.get(name) {
            return Ok(*row);
        }
        let mut find = conn.prepare_cached("SELECT id FROM kind WHERE name = ?1")?;
        let row = match find.query_row([name], |row| row.get(0)).optional()? {
            Some(row) => row,
            None => {
                conn.execute("INSERT INTO kind (name) VALUES (?1)", [name])?;
                conn.last_insert_rowid()
            }
        };
        self.kinds.insert(name.to_owned(), row);
        Ok(row)
    }
}

fn last_mark(conn: &Connection) -> rusqlite::Result<i64> {
    let sql =
        "SELECT max(mark, coalesce((SELECT max(changed) FROM session WHERE changed > 0), 0)) FROM store";
    conn.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// A session's row, as far as a batch is checked against it and changes it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: i64,
    pub(super) head: Offset,
    /// The token under which its driver may write.
    token: Option<u64>,
    pub(super) wake: Option<i64>,
    pub(super) partial: bool,
    /// The open end of the list of its records.
    tail: String,
    changed: i64,
    is_changed: bool,
}

impl Session {
    fn find(conn: &Connection, session: SessionId) -> Result<Option<Self>, Failure> {
        let mut find = conn.prepare_cached(
            "SELECT id, head, CASE WHEN lease_owner IS NOT NULL THEN lease_token END, wake, partial, tail
             FROM session WHERE uid = ?1",
        )?;
        let mut rows = find.query([session.as_bytes()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let token = row.get::<_, Option<i64>>(2)?.map(|token| uint("lease_token", token)).transpose()?;
        Ok(Some(Self {
            id: row.get(0)?,
            head: Offset(uint("head", row.get(1)?)?),
            token,
            wake: row.get(3)?,
            partial: row.get(4)?,
            tail: row.get(5)?,
            changed: 0,
            is_changed: false,
        }))
    }

    /// Checks what a batch expects.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        match batch.expect {
            Expect::Input if self.head == Offset::START => Err(refusal::no_session(batch.session)),
            Expect::Input if self.partial => Err(refusal::partial(batch.session)),
            Expect::Driver { fencing_token, .. } if self.token != Some(fencing_token) => {
                Err(refusal::fenced(batch.session, fencing_token))
            }
            Expect::Driver { head, .. } if head != self.head => {
                Err(refusal::stale_head(batch.session, head, self.head))
            }
            Expect::Input | Expect::Driver { .. } => Ok(()),
        }
    }

    /// Lists a record behind the last one.
    pub(super) fn push(&mut self, conn: &Connection, row: i64) -> Result<(), Failure> {
        Listed::Records.push(conn, self.id, self.head.0, &mut self.tail, &row)?;
        self.head = self.head.plus(1);
        Ok(())
    }

    fn write_back(&mut self, conn: &Connection) -> Result<(), Failure> {
        self.is_changed = false;
        conn.prepare_cached("UPDATE session SET head = ?2, tail = ?3, changed = ?4 WHERE id = ?1")?
            .execute(params![self.id, int(self.head.0), self.tail, self.changed])?;
        Ok(())
    }
}
