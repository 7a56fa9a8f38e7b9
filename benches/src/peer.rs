//! The raw peer: what a careful program would do with rusqlite alone. One connection, prepared
//! statements, the schema, indexes and settings of a store's file, and for each batch the same
//! checks: is it there already (by a hash of its content), does its writer hold the session, is the
//! head where it thinks.

use crate::rows::{Prepared, RecordRow};
use rusqlite::{Connection, OptionalExtension as _, Result, config::DbConfig, params};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The row of a session, its head, the token of its driver, when it wakes, whether it is a part only.
type SessionRow = (i64, i64, Option<i64>, Option<i64>, bool);

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
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.pragma_update(None, "page_size", 8192)?;
        conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        conn.pragma_update(None, "synchronous", "full")?;
        conn.pragma_update(None, "mmap_size", 0)?;
        conn.pragma_update_and_check(None, "wal_autocheckpoint", 8_000, |_| Ok(()))?;
        conn.execute_batch(&schema)?;
        conn.execute("INSERT INTO store VALUES (1, 'peer', 1, '', 1, 0, 0)", [])?;
        Ok(Self { conn })
    }

    /// A session whose lease is held under `token`.
    pub fn lease(&self, session: &[u8; 16], token: u64) -> Result<()> {
        let sql = "INSERT INTO session (uid, lease_owner, lease_token) VALUES (?1, '{}', ?2)";
        self.conn.execute(sql, params![session, token.cast_signed()]).map(drop)
    }

    /// A thread of a session.
    pub fn open_thread(&self, session: &[u8; 16], thread: &[u8; 16]) -> Result<()> {
        let session = self.session(session)?.0;
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
        let (session, head, token, wake, partial) = self.session(&batch.session)?;
        let there: Option<Vec<u8>> = self
            .conn
            .prepare_cached("SELECT hash FROM batch WHERE uid = ?2 AND session = ?1")?
            .query_row(params![session, batch.id], |row| row.get(0))
            .optional()?;
        let fits = there.is_none() && token == Some(batch.token) && head == batch.head;
        assert!(fits && wake.is_none() && !partial, "a batch that fits");
        let last = head + batch.rows.len() as i64;
        for (offset, row) in (head + 1..).zip(&batch.rows) {
            self.put_row(session, offset, row)?;
        }
        self.conn
            .prepare_cached(
                "INSERT INTO batch (uid, session, hash, first, count) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![batch.id, session, hash, head + 1, last - head])?;
        let sql = "UPDATE session SET head = ?2, changed = 1 + max(
                       (SELECT mark FROM store), (SELECT coalesce(max(changed), 0) FROM session WHERE changed > 0))
                   WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute(params![session, last])?;
        if head == 0 {
            let at = batch.rows.first().map(|row| row.at);
            self.conn.execute("UPDATE session SET opened_at = ?2 WHERE id = ?1", params![session, at])?;
        }
        Ok(())
    }

    fn session(&self, uid: &[u8; 16]) -> Result<SessionRow> {
        let sql = "SELECT id, head, CASE WHEN lease_owner IS NOT NULL THEN lease_token END, wake, partial
                   FROM session WHERE uid = ?1";
        let columns =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
        self.conn.prepare_cached(sql)?.query_row([uid], columns)
    }

    fn put_row(&self, session: i64, offset: i64, row: &RecordRow) -> Result<()> {
        let items = row.new_items.iter().map(|(uid, text)| self.put_item(uid, text));
        let items = items.collect::<Result<Vec<_>>>()?;
        for (thread, kind) in &row.opened {
            self.put_thread(session, thread, kind)?;
        }
        let ops = self.put_entries(session, offset, row, &items)?;
        let mut list = Vec::new();
        items.iter().for_each(|item| put_number(&mut list, *item));
        let kind: Option<i64> = self
            .conn
            .prepare_cached("SELECT id FROM kind WHERE name = ?1")?
            .query_row([&row.kind], |row| row.get(0))
            .optional()?;
        let kind = match kind {
            Some(kind) => kind,
            None => {
                self.conn.execute("INSERT INTO kind (name) VALUES (?1)", [&row.kind])?;
                self.conn.last_insert_rowid()
            }
        };
        self.conn
            .prepare_cached(
                "INSERT INTO record (session, \"offset\", v, class, kind, at, turn, author, items, ops, body)
                 VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, NULL, ?7, ?8, ?9)",
            )?
            .execute(params![session, offset, row.class, kind, row.at, row.turn, list, ops, row.body])
            .map(drop)
    }

    fn put_item(&self, uid: &[u8; 16], text: &str) -> Result<i64> {
        self.conn.prepare_cached("INSERT INTO item (body) VALUES (?1)")?.execute([text])?;
        let item = self.conn.last_insert_rowid();
        let sql = "INSERT INTO item_name (uid, item) VALUES (?1, ?2) ON CONFLICT (uid) DO NOTHING";
        let named = self.conn.prepare_cached(sql)?.execute(params![uid, item])?;
        assert_eq!(named, 1, "a new item");
        Ok(item)
    }

    /// Writes the entries; what the record is to say of them.
    fn put_entries(
        &self,
        session: i64,
        offset: i64,
        row: &RecordRow,
        items: &[i64],
    ) -> Result<Option<Vec<u8>>> {
        let (mut ops, mut index) = (Vec::new(), 0_i64);
        for added in &row.added {
            let place = row.new_items.iter().position(|(uid, _)| *uid == added.item);
            let place = place.expect("a bench adds what the record brings");
            put_number(&mut ops, 1);
            put_number(&mut ops, added.threads.len() as i64);
            for uid in &added.threads {
                let sql = "UPDATE thread SET head = head + 1 WHERE uid = ?1 AND session = ?2 AND state = 0
                           RETURNING id, head";
                let (thread, position): (i64, i64) = self
                    .conn
                    .prepare_cached(sql)?
                    .query_row(params![uid, session], |row| Ok((row.get(0)?, row.get(1)?)))?;
                put_number(&mut ops, thread);
                let sql = "INSERT INTO entry (thread, position, item, \"offset\", idx, how)
                           VALUES (?1, ?2, ?3, ?4, ?5, NULL)";
                let entry = params![thread, position, items[place], offset, index];
                self.conn.prepare_cached(sql)?.execute(entry)?;
                index += 1;
            }
            put_number(&mut ops, place as i64 + 1);
            put_number(&mut ops, 0);
        }
        Ok((!ops.is_empty()).then_some(ops))
    }

    fn put_thread(&self, session: i64, thread: &[u8; 16], kind: &str) -> Result<()> {
        let sql = "INSERT INTO thread (uid, session, kind, made) VALUES (?1, ?2, ?3, 0)";
        self.conn.prepare_cached(sql)?.execute(params![thread, session, kind]).map(drop)
    }
}

/// 7 bits a byte, the low ones first.
fn put_number(bytes: &mut Vec<u8>, mut number: i64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn hash(batch: &Prepared) -> [u8; 16] {
    let mut hash = Sha256::new();
    for text in batch.rows.iter().flat_map(RecordRow::content) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

/// The statements that made the tables and indexes of a file.
fn schema(store: &Path) -> Result<String> {
    let conn = Connection::open(store)?;
    let mut select = conn.prepare("SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let rows = select.query_map([], |row| row.get::<_, String>(0))?;
    rows.collect::<Result<Vec<_>>>().map(|rows| rows.join("\n"))
}
