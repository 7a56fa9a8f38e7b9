//! The raw peer of windows: one prepared query for the same columns, decoded in the same way.

use party_bus::Page;
use party_core::{Entry, How, Item, Offset, SessionId, ThreadId};
use rusqlite::{Connection, OpenFlags, Result, Row, config::DbConfig, params, types::Type};
use std::{path::Path, sync::Arc};

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
        let mut select = self.conn.prepare_cached(
            "SELECT position, entry.\"offset\", idx, how, item.body
             FROM entry JOIN item ON item.id = entry.item
             WHERE thread = (SELECT thread.id FROM thread JOIN session ON session.id = thread.session
                             WHERE session.uid = ?1 AND thread.uid = ?2)
               AND position < ?3
             ORDER BY position DESC LIMIT ?4",
        )?;
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        let rows =
            select.query_map(params![session.as_bytes(), thread.as_bytes(), position, limit], entry)?;
        let mut entries = rows.collect::<Result<Vec<_>>>()?;
        entries.reverse();
        let scanned_to = entries.first().map_or(0, |entry| entry.position);
        Ok(Page { entries, scanned_to, more: scanned_to > 1 })
    }
}

fn entry(row: &Row<'_>) -> Result<Entry> {
    let how = row.get_ref(3)?;
    if how.data_type() != Type::Null {
        return Err(rusqlite::Error::InvalidColumnType(3, "how".into(), how.data_type()));
    }
    let item: Item = serde_json::from_str(row.get_ref(4)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, error.into()))?;
    let offset = Offset(row.get::<_, i64>(1)?.cast_unsigned());
    Ok(Entry::new(row.get::<_, i64>(0)?.cast_unsigned(), offset, row.get(2)?, How::Said, Arc::new(item)))
}
