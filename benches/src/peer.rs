//! The raw peer: what a careful program would do with rusqlite alone. One connection, prepared
//! statements, the schema, indexes and settings of a store's file, and for each batch the same
//! checks: is it there already (by a hash of its content), does its writer hold the session, is the
//! head where it thinks.

use crate::rows::{Prepared, RecordRow, Way};
use rusqlite::{Connection, OptionalExtension as _, Result, config::DbConfig, params};
use sha2::{Digest, Sha256};
use std::path::Path;

/// So many rows a list has before it is put away.
const PART: i64 = 32;

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
        let session = self.session(session)?.id;
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
        let mut session = self.session(&batch.session)?;
        let is_new = self.named(&batch.id, session.id)?.is_none();
        let fits = is_new && session.token == Some(batch.token) && session.head == batch.head;
        assert!(fits && session.wake.is_none() && !session.is_partial, "a batch that fits");
        for (index, row) in batch.rows.iter().enumerate() {
            let about = (index == 0).then_some((hash, batch.rows.len() as i64));
            let piece = self.put_row(&session, row, about)?;
            if index == 0 {
                assert!(self.name(&batch.id, session.id, piece)?, "a new batch");
            }
            self.list(Listed::Records, session.id, session.head, &mut session.tail, &piece.to_string())?;
            session.head += 1;
        }
        let sql = "UPDATE session SET head = ?2, tail = ?3, changed = 1 + max(
                       (SELECT mark FROM store), (SELECT coalesce(max(changed), 0) FROM session WHERE changed > 0))
                   WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute(params![session.id, session.head, session.tail])?;
        if batch.head == 0 {
            let at = batch.rows.first().map(|row| row.at);
            self.conn.execute("UPDATE session SET opened_at = ?2 WHERE id = ?1", params![session.id, at])?;
        }
        Ok(())
    }

    fn session(&self, uid: &[u8; 16]) -> Result<SessionRow> {
        let sql =
            "SELECT id, head, CASE WHEN lease_owner IS NOT NULL THEN lease_token END, wake, partial, tail
                   FROM session WHERE uid = ?1";
        self.conn.prepare_cached(sql)?.query_row([uid], |row| {
            let (id, head, token) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(SessionRow { id, head, token, wake: row.get(3)?, is_partial: row.get(4)?, tail: row.get(5)? })
        })
    }

    fn put_row(&self, session: &SessionRow, row: &RecordRow, about: Option<([u8; 16], i64)>) -> Result<i64> {
        let offset = session.head + 1;
        let items = row.new_items.iter().map(|(uid, text)| self.put_item(uid, text));
        let items = items.collect::<Result<Vec<_>>>()?;
        for (thread, kind) in &row.opened {
            self.put_thread(session.id, thread, kind)?;
        }
        let ops = self.put_entries(session.id, offset, row, &items)?;
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
        let (hash, count) = about.unzip();
        self.conn
            .prepare_cached(
                "INSERT INTO piece (body, session, \"offset\", v, class, kind, at, turn, author, items, ops, hash, count)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, NULL, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                row.body, session.id, offset, row.class, kind, row.at, row.turn, list, ops, hash, count
            ])?;
        Ok(self.conn.last_insert_rowid())
    }

    fn put_item(&self, uid: &[u8; 16], text: &str) -> Result<i64> {
        self.conn.prepare_cached("INSERT INTO piece (body) VALUES (?1)")?.execute([text])?;
        let item = self.conn.last_insert_rowid();
        if self.name(uid, 0, item)? {
            return Ok(item);
        }
        // Another session has brought it.
        self.conn.prepare_cached("DELETE FROM piece WHERE id = ?1")?.execute([item])?;
        Ok(self.named(uid, 0)?.expect("a name that is taken has a piece"))
    }

    /// The piece of that name.
    fn named(&self, uid: &[u8; 16], scope: i64) -> Result<Option<i64>> {
        let key = key(uid, scope);
        let sql = "SELECT uid = ?2 AND scope = ?3, piece FROM name WHERE \"key\" = ?1";
        let found = self
            .conn
            .prepare_cached(sql)?
            .query_row(params![key, uid, scope], |row| Ok((row.get(0)?, row.get(1)?)));
        match found.optional()? {
            Some((false, _)) => {
                let sql = "SELECT piece FROM name_twin WHERE \"key\" = ?1 AND uid = ?2 AND scope = ?3";
                let mut find = self.conn.prepare_cached(sql)?;
                find.query_row(params![key, uid, scope], |row| row.get(0)).optional()
            }
            found => Ok(found.map(|(_, piece)| piece)),
        }
    }

    /// Whether the name is new, and now of that piece.
    fn name(&self, uid: &[u8; 16], scope: i64, piece: i64) -> Result<bool> {
        let row = params![key(uid, scope), uid, scope, piece];
        let sql = "INSERT INTO name VALUES (?1, ?2, ?3, ?4) ON CONFLICT (\"key\") DO NOTHING";
        if self.conn.prepare_cached(sql)?.execute(row)? > 0 {
            return Ok(true);
        }
        if self.named(uid, scope)?.is_some() {
            return Ok(false);
        }
        self.conn.prepare_cached("INSERT INTO name_twin VALUES (?1, ?2, ?3, ?4)")?.execute(row)?;
        Ok(true)
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
            let item = match place {
                Some(place) => items[place],
                None => self.named(&added.item, 0)?.expect("an item that was said"),
            };
            let way = self.way(session, &added.way)?;
            put_number(&mut ops, 1);
            put_number(&mut ops, added.threads.len() as i64);
            for uid in &added.threads {
                let thread = self.put_entry((session, uid), item, (offset, index), &way)?;
                put_number(&mut ops, thread);
                index += 1;
            }
            put_number(&mut ops, place.map_or(0, |place| place as i64 + 1));
            if place.is_none() {
                ops.extend(added.item);
            }
            ops.extend(if way.is_empty() { vec![0] } else { way });
        }
        Ok((!ops.is_empty()).then_some(ops))
    }

    /// The bytes of a way; none for the usual one.
    fn way(&self, session: i64, way: &Way) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match way {
            Way::Said => {}
            Way::Delivered(None) => bytes.push(1),
            Way::Delivered(Some(from)) => {
                let sql = "SELECT id FROM thread WHERE uid = ?1 AND session = ?2";
                let from =
                    self.conn.prepare_cached(sql)?.query_row(params![from, session], |row| row.get(0))?;
                bytes.push(2);
                put_number(&mut bytes, from);
            }
        }
        Ok(bytes)
    }

    /// Writes an entry behind the others of an open thread; the thread's row.
    fn put_entry(
        &self,
        (session, uid): (i64, &[u8; 16]),
        item: i64,
        (offset, index): (i64, i64),
        way: &[u8],
    ) -> Result<i64> {
        let sql = "SELECT id, head, tail FROM thread WHERE uid = ?1 AND session = ?2 AND state = 0";
        let (thread, head, mut tail): (i64, i64, String) = self
            .conn
            .prepare_cached(sql)?
            .query_row(params![uid, session], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let hex: String = way.iter().map(|byte| format!("{byte:02x}")).collect();
        let entry = match (index, hex.as_str()) {
            (0, "") => format!("[{item},{offset}]"),
            (_, "") => format!("[{item},{offset},{index}]"),
            _ => format!("[{item},{offset},{index},\"{hex}\"]"),
        };
        self.list(Listed::Entries, thread, head, &mut tail, &entry)?;
        let sql = "UPDATE thread SET head = ?2, tail = ?3 WHERE id = ?1";
        self.conn.prepare_cached(sql)?.execute(params![thread, head + 1, tail])?;
        Ok(thread)
    }

    /// Lists a row behind `count` others, of which `tail` has those that were not put away.
    fn list(&self, listed: Listed, owner: i64, count: i64, tail: &mut String, row: &str) -> Result<()> {
        if !tail.is_empty() {
            tail.push(',');
        }
        tail.push_str(row);
        if (count + 1) % PART == 0 {
            let id = ((count / PART) << 32) | (owner << 1) | listed as i64;
            self.conn.prepare_cached("INSERT INTO part VALUES (?1, ?2)")?.execute(params![id, *tail])?;
            tail.clear();
        }
        Ok(())
    }

    fn put_thread(&self, session: i64, thread: &[u8; 16], kind: &str) -> Result<()> {
        let sql = "INSERT INTO thread (uid, session, kind, made) VALUES (?1, ?2, ?3, 0)";
        self.conn.prepare_cached(sql)?.execute(params![thread, session, kind]).map(drop)
    }
}

/// A session, as far as a batch is checked against it and changes it.
struct SessionRow {
    id: i64,
    head: i64,
    token: Option<i64>,
    wake: Option<i64>,
    is_partial: bool,
    tail: String,
}

#[derive(Clone, Copy)]
enum Listed {
    Records,
    Entries,
}

/// Under which key the store keeps the name of an item, or of a batch of a session.
fn key(uid: &[u8; 16], scope: i64) -> i64 {
    let number = u128::from_be_bytes(*uid);
    let (high, low) = ((number >> 64) as u64, number as u64);
    let mixed = (high.rotate_left(31) ^ low ^ scope.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xff51_afd7_ed55_8ccd)
        >> 41;
    ((high << 7 >> 23 << 23) | mixed).cast_signed()
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
