//! Reading the lines, and what holds for them without a store.

use super::{End, FORMAT, Header, Line, VERSION, hex, trouble};
use crate::{Error, ErrorKind, Result};
use party_core::{Newer, Offset, Op, Record};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// The longest line: a batch's most bytes, and some for the envelope.
const LONGEST: u64 = 257 << 20;

/// The lines of a file, one at a time.
pub(super) struct Lines<R> {
    from: R,
    line: Vec<u8>,
    /// The number of the line read last.
    number: u64,
    hash: Sha256,
    /// The last record read.
    pub(super) last: Offset,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, line: Vec::new(), number: 0, hash: Sha256::new(), last: Offset::START }
    }

    /// The first line.
    pub(super) async fn header(&mut self) -> Result<Header> {
        #[derive(Deserialize)]
        struct Named {
            format: String,
            version: u32,
        }
        self.read().await?;
        let named: Named = self.parse()?;
        if named.format != FORMAT {
            return Err(self.invalid("is of no exported session"));
        }
        if named.version > VERSION {
            let why = format!("version {} is newer than {VERSION}, the newest that is known", named.version);
            return Err(self.error(ErrorKind::NewerVersion, &why));
        }
        let header: Header = self.parse()?;
        if header.head == Offset::START {
            return Err(self.invalid("says that there are no records"));
        }
        self.hash.update(&self.line);
        Ok(header)
    }

    /// The next record and about how many bytes it makes; `None` once the end was read and fits what
    /// came before it.
    pub(super) async fn record(&mut self, header: &Header) -> Result<Option<(Record, usize)>> {
        self.read().await?;
        match self.parse()? {
            Line::Record(record) => {
                self.check(header, &record)?;
                self.hash.update(&self.line);
                self.last = record.offset;
                Ok(Some((record, self.line.len())))
            }
            Line::End(end) => self.end(header, &end).await.map(|()| None),
        }
    }

    fn check(&self, header: &Header, record: &Record) -> Result<()> {
        if record.session != header.session {
            return Err(self.invalid("is of another session"));
        }
        if record.offset != self.last.plus(1) {
            let why = format!("holds record {}, and {} comes next", record.offset, self.last.plus(1));
            return Err(self.invalid(&why));
        }
        let newer = record.ops.iter().find_map(|op| match op {
            Op::Unknown(newer) => Some(newer),
            _ => None,
        });
        if let Some(newer) = newer {
            let why = format!("has a change of topology of a newer version: `{}`", name(newer));
            return Err(self.error(ErrorKind::NewerVersion, &why));
        }
        Ok(())
    }

    async fn end(&mut self, header: &Header, end: &End) -> Result<()> {
        let sha256 = hex(&self.hash.clone().finalize());
        if *end != (End { records: self.last.0, sha256 }) {
            return Err(self.invalid("is the end of something else: lines before it were changed"));
        }
        if self.last != header.head {
            let why = format!("ends at record {}, and the first line says {}", self.last, header.head);
            return Err(self.invalid(&why));
        }
        let rest = self.from.fill_buf().await.map_err(|error| trouble("read the session", error))?;
        if !rest.is_empty() {
            return Err(self.invalid("is the end, but something follows"));
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        self.number += 1;
        self.line.clear();
        let mut limited = (&mut self.from).take(LONGEST);
        let read = limited.read_until(b'\n', &mut self.line).await;
        read.map_err(|error| trouble("read the session", error))?;
        if self.line.last() == Some(&b'\n') {
            return Ok(());
        }
        let is_long = self.line.len() as u64 == LONGEST;
        Err(self.invalid(if is_long { "is too long" } else { "is cut: the end of the session is missing" }))
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.line)
            .map_err(|error| self.invalid(&format!("cannot be read: {error}")).with_source(error))
    }

    pub(super) fn invalid(&self, why: &str) -> Error {
        self.error(ErrorKind::Invalid, why)
    }

    fn error(&self, kind: ErrorKind, why: &str) -> Error {
        Error::new(kind, format!("line {} {why}", self.number))
    }

    /// The error of writing what stands in the line read last, or before it.
    pub(super) fn at(&self, error: Error) -> Error {
        error.within(format!("line {}", self.number))
    }
}

/// The op's name, as its writer gave it.
fn name(op: &Newer) -> String {
    let value: serde_json::Value = serde_json::from_str(op.json()).unwrap_or_default();
    value["op"].as_str().unwrap_or_default().chars().take(80).collect()
}
