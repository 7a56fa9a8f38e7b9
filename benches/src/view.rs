//! The raw peer of windows: prepared queries for the same rows, decoded in the same way.

use party_bus::Page;
use party_core::{Entry, How, Item, Offset, SessionId, ThreadId};
use rusqlite::{Connection, OpenFlags, Result, Statement, config::DbConfig, params, types::Type};
use serde::de::DeserializeOwned;
use std::{path::Path, sync::Arc};

/// So many entries are listed in a part.
const PART: u64 = 32;

/// A connection to a store's file that reads threads without branches and compactions, of items that
/// were said there and are not large.
#[derive(Debug)]
pub struct RawView {
    conn: Connection,
}

impl RawView {
    /// Opens the store at `path` to read, with the settings that a store has.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.pragma_update(None, "mmap_size", 0)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        conn.pragma_update(None, "query_only", true)?;
        Ok(Self { conn })
    }

    /// Up to `limit` entries before `position`, oldest first.
    pub fn before(
        &self,
        session: SessionId,
        thread: ThreadId,
        position: u64,
        limit: u32,
    ) -> Result<Page<Entry>> {
        // All that it sees is of one moment.
        let tx = self.conn.unchecked_transaction()?;
        let mut select = tx.prepare_cached(
            "SELECT thread.id, thread.head, thread.tail FROM thread JOIN session ON session.id = thread.session
             WHERE session.uid = ?1 AND thread.uid = ?2",
        )?;
        let (thread, head, tail): (i64, u64, String) = select
            .query_row(params![session.as_bytes(), thread.as_bytes()], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned(), row.get(2)?))
            })?;
        let last = position.saturating_sub(1).min(head);
        let scanned_to = (last + 1).saturating_sub(u64::from(limit)).max(1);
        let (mut entries, mut next) = (Vec::new(), scanned_to);
        let mut part = tx.prepare_cached("SELECT list FROM part WHERE id = ?1")?;
        let mut body = tx.prepare_cached("SELECT body FROM piece WHERE id = ?1")?;
        while next <= last {
            let number = (next - 1) / PART;
            let list = match number == head / PART {
                true => tail.clone(),
                false => {
                    part.query_row([(number.cast_signed() << 32) | (thread << 1) | 1], |row| row.get(0))?
                }
            };
            let listed: Vec<Vec<i64>> = json(&format!("[{list}]"))?;
            for listed in &listed[((next - 1) % PART) as usize..] {
                if next > last {
                    break;
                }
                entries.push(entry(&mut body, next, listed)?);
                next += 1;
            }
        }
        Ok(Page { entries, scanned_to, more: scanned_to > 1 })
    }
}

fn entry(body: &mut Statement<'_>, position: u64, listed: &[i64]) -> Result<Entry> {
    let [item, offset, rest @ ..] = listed else { return Err(rusqlite::Error::QueryReturnedNoRows) };
    let index = rest.first().map_or(0, |index| *index as u32);
    let item: Item = body.query_row([item], |row| json(row.get_ref(0)?.as_str()?))?;
    Ok(Entry::new(position, Offset(offset.cast_unsigned()), index, How::Said, Arc::new(item)))
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into()))
}
