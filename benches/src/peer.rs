//! The raw peer: what a careful program would do with rusqlite alone. One connection, prepared
//! statements, the schema, indexes and settings of a store's file, and for each batch the same
//! checks: is it there already (by a hash of its content), does its writer hold the session, is the
//! head where it thinks.

use crate::rows::{Prepared, RecordRow};
use rusqlite::{Connection, OptionalExtension as _, Result, params};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A store's tables in a file of its own, and a loop that writes them.
#[derive(Debug)]
pub struct Peer {
    conn: Connection,
}

impl Peer {
    /// A new file with the tables and the settings of the store at `store`.
    pub fn like(store: &Path, path: &Path) -> Result<Self> {
        let schema = schema(store)?;
        let conn = Connection::open(path)?;
        conn.set_prepared_statement_cache_capacity(64);
        conn.pragma_update(None, "page_size", 8192)?;
        conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "mmap_size", 0)?;
        conn.pragma_update_and_check(None, "wal_autocheckpoint", 8_000, |_| Ok(()))?;
        conn.execute_batch(&schema)?;
        Ok(Self { conn })
    }

    /// A session whose lease is held under `token`.
    pub fn lease(&self, session: &[u8; 16], token: u64) -> Result<()> {
        let sql = "INSERT INTO session (uid, lease_owner, lease_token) VALUES (?1, '{}', ?2)";
        self.conn.execute(sql, params![session, token.cast_signed()]).map(drop)
    }

    /// A thread of a session.
    pub fn open_thread(&self, session: &[u8; 16], thread: &[u8; 16]) -> Result<()> {
        let (session, ..) = self.session(session)?;
        self.put_thread(session, thread, "private")
    }

    /// Writes batches in one synced transaction.
    pub fn write(&self, batches: &[Prepared]) -> Result<()> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        batches.iter().try_for_each(|batch| self.put(batch))?;
        self.conn.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    fn put(&self, batch: &Prepared) -> Result<()> {
        let hash = hash(batch);
        let (session, head, token) = self.session(&batch.session)?;
        let there: Option<Vec<u8>> = self
            .conn
            .prepare_cached("SELECT hash FROM batch WHERE session = ?1 AND uid = ?2")?
            .query_row(params![session, batch.id], |row| row.get(0))
            .optional()?;
        assert!(there.is_none() && token == Some(batch.token) && head == batch.head, "a batch that fits");
        let last = head + batch.rows.len() as i64;
        for (offset, row) in (head + 1..).zip(&batch.rows) {
            self.put_row(session, offset, row)?;
        }
        self.conn
            .prepare_cached(
                "INSERT INTO batch (session, uid, hash, first, last) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![session, batch.id, hash, head + 1, last])?;
        self.conn
            .prepare_cached(
                "UPDATE session SET head = ?2, opened_at = coalesce(opened_at, ?3) WHERE id = ?1",
            )?
            .execute(params![session, last, batch.rows.first().map(|row| row.at)])
            .map(drop)
    }

    fn session(&self, uid: &[u8; 16]) -> Result<(i64, i64, Option<i64>)> {
        let sql = "SELECT id, head, CASE WHEN lease_owner IS NOT NULL THEN lease_token END
                   FROM session WHERE uid = ?1";
        let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.conn.prepare_cached(sql)?.query_row([uid], columns)
    }

    fn put_row(&self, session: i64, offset: i64, row: &RecordRow) -> Result<()> {
        for (uid, text) in &row.new_items {
            let sql = "INSERT INTO item (uid, body) VALUES (?1, ?2) ON CONFLICT (uid) DO NOTHING";
            self.conn.prepare_cached(sql)?.execute(params![uid, text])?;
        }
        for (thread, kind) in &row.opened {
            self.put_thread(session, thread, kind)?;
        }
        self.put_entries(session, offset, row)?;
        self.conn
            .prepare_cached(
                "INSERT INTO record (session, \"offset\", v, class, kind, at, turn, author, items, ops, body)
                 VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, NULL, ?7, ?8, ?9)",
            )?
            .execute(params![
                session, offset, row.class, row.kind, row.at, row.turn, row.items, row.ops, row.body
            ])
            .map(drop)
    }

    fn put_entries(&self, session: i64, offset: i64, row: &RecordRow) -> Result<()> {
        let mut known: Option<([u8; 16], i64)> = None;
        for (index, added) in row.added.iter().enumerate() {
            let item = match known.filter(|(uid, _)| *uid == added.item) {
                Some((_, item)) => item,
                None => self
                    .conn
                    .prepare_cached("SELECT id FROM item WHERE uid = ?1")?
                    .query_row([added.item], |row| row.get(0))?,
            };
            known = Some((added.item, item));
            let (thread, position): (i64, i64) = self
                .conn
                .prepare_cached(
                    "UPDATE thread SET head = head + 1 WHERE uid = ?1 AND session = ?2 RETURNING id, head",
                )?
                .query_row(params![added.thread, session], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let sql = "INSERT INTO entry (thread, position, item, \"offset\", idx, how)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            self.conn.prepare_cached(sql)?.execute(params![
                thread,
                position,
                item,
                offset,
                index as i64,
                added.how
            ])?;
        }
        Ok(())
    }

    fn put_thread(&self, session: i64, thread: &[u8; 16], kind: &str) -> Result<()> {
        let sql = "INSERT INTO thread (uid, session, kind) VALUES (?1, ?2, ?3) ON CONFLICT (uid) DO NOTHING";
        self.conn.prepare_cached(sql)?.execute(params![thread, session, kind]).map(drop)
    }
}

fn hash(batch: &Prepared) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in batch.rows.iter().flat_map(RecordRow::content) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

/// The statements that made the tables and indexes of a file.
fn schema(store: &Path) -> Result<String> {
    let conn = Connection::open(store)?;
    let mut select = conn.prepare("SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let rows = select.query_map([], |row| row.get::<_, String>(0))?;
    rows.collect::<Result<Vec<_>>>().map(|rows| rows.join("\n"))
}
