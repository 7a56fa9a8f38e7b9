//! Lists of rows: the open end is in the row of their owner, and what comes before it in parts of a table.

use super::failure::Failure;
use party_core::Offset;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;
use std::fmt::Write as _;

/// How many rows a part lists.
const PART: u64 = 32;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// The records of a session.
    Records,
    /// The entries of a thread.
    Entries,
}

impl Listed {
    /// Adds `row` to the list of `owner`, which has `count` rows before and the open end `tail`.
    pub(super) fn push(
        self,
        conn: &Connection,
        owner: i64,
        count: u64,
        tail: &mut String,
        row: &impl std::fmt::Display,
    ) -> Result<(), Failure> {
        let comma = if tail.is_empty() { "" } else { "," };
        let _ = write!(tail, "{comma}{row}");
        if (count + 1).is_multiple_of(PART) {
            conn.prepare_cached("INSERT INTO part (id, list) VALUES (?1, ?2)")?
                .execute(params![self.id(owner, count / PART), *tail])?;
            tail.clear();
        }
        Ok(())
    }

    /// The rows at `place` and behind it, up to the end of the part that has it, of a list of `count`
    /// rows with the open end `tail`; as text.
    pub(super) fn from(
        self,
        conn: &Connection,
        owner: i64,
        (count, tail): (u64, &str),
        place: u64,
    ) -> Result<String, Failure> {
        if place / PART == count / PART {
            return Ok(tail.to_owned());
        }
        let part = conn
            .prepare_cached("SELECT list FROM part WHERE id = ?1")?
            .query_row([self.id(owner, place / PART)], |row| row.get(0))
            .optional()?;
        part.ok_or_else(|| {
            Failure::corrupt(format!("part {} of the {self:?} of row {owner} is gone", place / PART))
        })
    }

    /// Removes the parts of `owner`, whose list has `count` rows.
    pub(super) fn clear(self, conn: &Connection, owner: i64, count: u64) -> Result<(), Failure> {
        let mut delete = conn.prepare_cached("DELETE FROM part WHERE id = ?1")?;
        for number in 0..count / PART {
            delete.execute([self.id(owner, number)])?;
        }
        Ok(())
    }

    /// The row of a part. Its number comes first, so that what is put away together lies together.
    const fn id(self, owner: i64, number: u64) -> i64 {
        (number.cast_signed() << 32) | (owner << 1) | matches!(self, Self::Entries) as i64
    }
}

/// Where in its part a place is.
pub(super) const fn within(place: u64) -> usize {
    (place % PART) as usize
}

/// The rows of a text of records.
pub(super) fn records(text: &str) -> Result<Vec<i64>, Failure> {
    parse(text)
}

/// An entry of a thread, as its list has it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ListedEntry {
    /// The row of the item.
    pub(super) item: i64,
    pub(super) offset: Offset,
    #[serde(default)]
    pub(super) index: u32,
    /// The way, a list in hexadecimal digits.
    #[serde(default)]
    way: Option<String>,
}

impl ListedEntry {
    pub(super) fn new(item: i64, offset: Offset, index: u32, way: Option<&[u8]>) -> Self {
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        };
        Self { item, offset, index, way: way.map(hex) }
    }

    /// The way's bytes; `None` for what was said there.
    pub(super) fn way(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(digits) = &self.way else { return Ok(None) };
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        bytes.map(Some).ok_or_else(|| Failure::corrupt("a way of an entry is no list"))
    }
}

impl std::fmt::Display for ListedEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { item, offset, index, way } = self;
        match (index, way) {
            (0, None) => write!(f, "[{item},{offset}]"),
            (_, None) => write!(f, "[{item},{offset},{index}]"),
            (_, Some(way)) => write!(f, "[{item},{offset},{index},\"{way}\"]"),
        }
    }
}

/// The entries of a text of them.
pub(super) fn entries(text: &str) -> Result<Vec<ListedEntry>, Failure> {
    parse(text)
}

fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<Vec<T>, Failure> {
    serde_json::from_str(&format!("[{text}]"))
        .map_err(|error| Failure::corrupt(format!("a list of rows cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_listed() {
        let some = [
            ListedEntry::new(7, Offset(3), 0, None),
            ListedEntry::new(8, Offset(4), 2, None),
            ListedEntry::new(9, Offset(5), 0, Some(&[0, 0x7f, 0xff])),
        ];
        let text = some.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        assert_eq!(text, r#"[7,3],[8,4,2],[9,5,0,"007fff"]"#);
        let read = entries(&text).unwrap();
        assert_eq!(read, some);
        assert_eq!(read[2].way().unwrap(), Some(vec![0, 0x7f, 0xff]));
        assert_eq!(read[0].way().unwrap(), None);
    }

    #[test]
    fn a_broken_list_is_an_error() {
        for text in ["[7", "[7,3,0,\"0\"],", "7", "{}", "[-1,-1]"] {
            assert!(entries(text).is_err(), "{text}");
        }
        let odd = entries("[7,3,0,\"xy\"]").unwrap();
        assert!(odd[0].way().is_err());
    }
}
