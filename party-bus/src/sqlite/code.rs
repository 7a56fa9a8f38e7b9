//! Ops, ways and lists of items as bytes: rows in the place of ids, 7 bits of a number a byte, so that a
//! record says in a dozen bytes what it does to threads.

use super::failure::Failure;
use crate::encoded::json;
use party_core::{How, ItemId, Op, ThreadId, ThreadKind};

/// Where a thread is named by its row: its id, and what the op that opened it says.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) id: ThreadId,
    pub(super) kind: ThreadKind,
    /// The thread that it leaves, and the last position that both share.
    pub(super) origin: Option<(i64, u64)>,
}

/// Writes numbers, ids and what is made of them. `rows` knows threads of the session; one that it does
/// not know is written by its id.
pub(super) struct Coder<R> {
    bytes: Vec<u8>,
    rows: R,
}

impl<R: Fn(ThreadId) -> Option<i64>> Coder<R> {
    pub(super) const fn new(rows: R) -> Self {
        Self { bytes: Vec::new(), rows }
    }

    /// The ops of a record that brings `items`.
    pub(super) fn ops(mut self, ops: &[Op], items: &[ItemId]) -> Vec<u8> {
        for op in ops {
            self.op(op, items);
        }
        self.bytes
    }

    /// A way, where it is not the usual one.
    pub(super) fn way(mut self, how: &How) -> Option<Vec<u8>> {
        self.how(how);
        (*how != How::Said).then_some(self.bytes)
    }

    fn op(&mut self, op: &Op, items: &[ItemId]) {
        match op {
            Op::Open { thread, .. } => self.tagged(0, *thread),
            Op::Add { threads, item, how } => {
                self.number(1);
                self.number(threads.len() as u64);
                threads.iter().for_each(|thread| self.thread(*thread));
                self.item(*item, items);
                self.how(how);
            }
            Op::Branch { thread, .. } => self.tagged(2, *thread),
            Op::Compact { thread, first, last, item } => {
                self.tagged(3, *thread);
                self.number(*first);
                self.number(*last);
                self.item(*item, items);
            }
            Op::Tangent { thread, .. } => self.tagged(4, *thread),
            Op::Resolve { thread, items: results } => {
                self.tagged(5, *thread);
                self.number(results.len() as u64);
                results.iter().for_each(|item| self.item(*item, items));
            }
            Op::Abandon { thread } => self.tagged(6, *thread),
            Op::Close { thread } => self.tagged(7, *thread),
            // Refused before it comes here.
            Op::Unknown(_) => {}
        }
    }

    fn how(&mut self, how: &How) {
        match how {
            How::Said => self.number(0),
            How::Delivered { from: None } => self.number(1),
            How::Delivered { from: Some(from) } => self.tagged(2, *from),
            How::Resolved { tangent, anchor } => {
                self.tagged(3, *tangent);
                self.number(*anchor);
            }
            other => {
                let text = json(other);
                self.number(4);
                self.number(text.len() as u64);
                self.bytes.extend_from_slice(text.as_bytes());
            }
        }
    }

    fn tagged(&mut self, tag: u64, thread: ThreadId) {
        self.number(tag);
        self.thread(thread);
    }

    /// Its row, which is never 0; or 0 and its id.
    fn thread(&mut self, thread: ThreadId) {
        let row = (self.rows)(thread).map_or(0, i64::cast_unsigned);
        self.number(row);
        if row == 0 {
            self.bytes.extend_from_slice(thread.as_bytes());
        }
    }

    /// Its place among the record's items, from 1; or 0 and its id.
    fn item(&mut self, item: ItemId, items: &[ItemId]) {
        let place = items.iter().position(|own| *own == item).map_or(0, |place| place as u64 + 1);
        self.number(place);
        if place == 0 {
            self.bytes.extend_from_slice(item.as_bytes());
        }
    }

    fn number(&mut self, number: u64) {
        put(&mut self.bytes, number);
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A list of numbers.
pub(super) fn list(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    numbers.into_iter().for_each(|number| put(&mut bytes, number));
    bytes
}

/// Reads what a [`Coder`] wrote; `names` knows threads by row.
pub(super) struct Decoder<'a, N> {
    bytes: &'a [u8],
    names: N,
}

impl<'a, N: FnMut(i64) -> Result<Named, Failure>> Decoder<'a, N> {
    pub(super) const fn new(bytes: &'a [u8], names: N) -> Self {
        Self { bytes, names }
    }

    pub(super) fn ops(mut self, items: &[ItemId]) -> Result<Vec<Op>, Failure> {
        let mut ops = Vec::new();
        while !self.bytes.is_empty() {
            ops.push(self.op(items)?);
        }
        Ok(ops)
    }

    fn op(&mut self, items: &[ItemId]) -> Result<Op, Failure> {
        Ok(match self.number()? {
            0 => {
                let Named { id, kind, .. } = self.named()?;
                Op::Open { thread: id, kind }
            }
            1 => {
                let count = self.number()?;
                let threads = (0..count).map(|_| self.thread()).collect::<Result<_, _>>()?;
                Op::Add { threads, item: self.item(items)?, how: self.how()? }
            }
            2 => {
                let (thread, kind, from, after) = self.child()?;
                Op::Branch { thread, kind, from, after }
            }
            3 => Op::Compact {
                thread: self.thread()?,
                first: self.number()?,
                last: self.number()?,
                item: self.item(items)?,
            },
            4 => {
                let (thread, _, parent, anchor) = self.child()?;
                Op::Tangent { thread, parent, anchor }
            }
            5 => {
                let (thread, count) = (self.thread()?, self.number()?);
                let items = (0..count).map(|_| self.item(items)).collect::<Result<_, _>>()?;
                Op::Resolve { thread, items }
            }
            6 => Op::Abandon { thread: self.thread()? },
            7 => Op::Close { thread: self.thread()? },
            tag => return Err(Failure::corrupt(format!("there is no op {tag}"))),
        })
    }

    pub(super) fn how(&mut self) -> Result<How, Failure> {
        Ok(match self.number()? {
            0 => How::Said,
            1 => How::Delivered { from: None },
            2 => How::Delivered { from: Some(self.thread()?) },
            3 => How::Resolved { tangent: self.thread()?, anchor: self.number()? },
            4 => {
                let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
                let text = self.take(length)?;
                serde_json::from_slice(text)
                    .map_err(|error| Failure::corrupt(format!("a way cannot be read: {error}")))?
            }
            tag => return Err(Failure::corrupt(format!("there is no way {tag}"))),
        })
    }

    /// A thread that leaves another, and where.
    fn child(&mut self) -> Result<(ThreadId, ThreadKind, ThreadId, u64), Failure> {
        let Named { id, kind, origin } = self.named()?;
        let (parent, after) =
            origin.ok_or_else(|| Failure::corrupt(format!("thread {id} leaves no other")))?;
        Ok((id, kind, (self.names)(parent)?.id, after))
    }

    fn named(&mut self) -> Result<Named, Failure> {
        let row = self.number()?;
        (self.names)(row.cast_signed())
    }

    fn thread(&mut self) -> Result<ThreadId, Failure> {
        match self.number()? {
            0 => self.id().map(ThreadId::from_bytes),
            row => Ok((self.names)(row.cast_signed())?.id),
        }
    }

    fn item(&mut self, items: &[ItemId]) -> Result<ItemId, Failure> {
        match self.number()? {
            0 => self.id().map(ItemId::from_bytes),
            place => {
                let item = usize::try_from(place - 1).ok().and_then(|place| items.get(place));
                item.copied().ok_or_else(|| Failure::corrupt(format!("there is no item {place} in it")))
            }
        }
    }

    fn id(&mut self) -> Result<[u8; 16], Failure> {
        let mut id = [0; 16];
        id.copy_from_slice(self.take(16)?);
        Ok(id)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) =
            self.bytes.split_at_checked(length).ok_or_else(|| Failure::corrupt("a list is torn"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, Failure> {
        number(&mut self.bytes)
    }
}

fn number(bytes: &mut &[u8]) -> Result<u64, Failure> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(|| Failure::corrupt("a list is torn"))?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Failure::corrupt("a number in a list is too large"))
}

/// The numbers of a list.
pub(super) fn numbers(mut bytes: &[u8]) -> Result<Vec<u64>, Failure> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(number(&mut bytes)?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_and_torn_lists_are_read() {
        let some = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let bytes = list(some);
        assert_eq!(numbers(&bytes).unwrap(), some);
        for end in 0..bytes.len() {
            // Cut anywhere, it is shorter or an error; never a panic, never another number.
            if let Ok(read) = numbers(&bytes[..end]) {
                assert_eq!(read, some[..read.len()]);
            }
        }
        assert!(numbers(&[0xff; 11]).is_err());
    }
}
