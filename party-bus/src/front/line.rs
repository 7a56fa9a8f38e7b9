//! From bytes, however they are cut, to lines.

/// A line that nobody can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadLine {
    /// The client went away in the middle of it.
    Cut,
    /// It is not UTF-8.
    NotText,
    /// It is longer than this. What is left of it is skipped.
    TooLong(usize),
}

impl BadLine {
    pub(super) fn why(self) -> String {
        match self {
            Self::Cut => "the input ends within a line, which is not carried out".to_owned(),
            Self::NotText => "the line is not UTF-8".to_owned(),
            Self::TooLong(most) => format!("the line is longer than {most} bytes"),
        }
    }
}

/// Cuts what comes into lines. It holds no more than one line and what was pushed last, and nothing
/// while nothing is begun. Blank lines are left out.
#[derive(Debug)]
pub(super) struct Lines {
    longest: usize,
    buffer: Vec<u8>,
    /// Where the line begins that is to be given next.
    start: usize,
    /// How far behind that no end of a line was found.
    searched: usize,
    /// Whether a line that is too long is still going on.
    skipping: bool,
}

impl Lines {
    pub(super) const fn new(longest: usize) -> Self {
        Self { longest, buffer: Vec::new(), start: 0, searched: 0, skipping: false }
    }

    /// Takes what came next; to be called once [`next`](Self::next) has nothing more to give.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Option<Result<String, BadLine>> {
        loop {
            let Some(length) = self.find_end() else { return self.pause() };
            let line = &self.buffer[self.start..self.start + length];
            let read = self.read(line);
            (self.start, self.searched) = (self.start + length + 1, 0);
            if !std::mem::take(&mut self.skipping)
                && let Some(read) = read
            {
                return Some(read);
            }
        }
    }

    /// Whether something is wrong with how the input ends.
    pub(super) fn end(&self) -> Option<BadLine> {
        let rest = &self.buffer[self.start..];
        (!self.skipping && !rest.trim_ascii().is_empty()).then_some(BadLine::Cut)
    }

    fn find_end(&self) -> Option<usize> {
        let rest = &self.buffer[self.start + self.searched..];
        rest.iter().position(|byte| *byte == b'\n').map(|found| self.searched + found)
    }

    fn read(&self, line: &[u8]) -> Option<Result<String, BadLine>> {
        if line.len() > self.longest {
            return Some(Err(BadLine::TooLong(self.longest)));
        }
        let text = || String::from_utf8(line.to_vec()).map_err(|_| BadLine::NotText);
        (!line.trim_ascii().is_empty()).then(text)
    }

    /// Gives the space of what was read back, and of a line that is too long; says so once.
    fn pause(&mut self) -> Option<Result<String, BadLine>> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let told = self.skipping;
        self.skipping |= self.buffer.len() > self.longest;
        if self.skipping {
            self.buffer.clear();
        }
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        self.searched = self.buffer.len();
        (self.skipping && !told).then_some(Err(BadLine::TooLong(self.longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: usize = 24;

    /// What is read of pieces that come one after the other.
    fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<String, BadLine>> {
        let mut lines = Lines::new(LONGEST);
        let mut read = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next() {
                read.push(line);
            }
            assert!(lines.buffer.len() <= LONGEST, "{lines:?}");
        }
        read.extend(lines.end().map(Err));
        read
    }

    fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\n'), Just(b' '), Just(b'{'), Just(b'"'), Just(b'\r'), any::<u8>()];
        let long = (0..LONGEST * 3).prop_map(|length| vec![b'x'; length]);
        let part = prop_oneof![4 => proptest::collection::vec(byte, 0..12), 1 => long];
        proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    #[test]
    fn lines_of_every_kind_are_told_apart() {
        let bytes = b"one\r\n \n\xff\n1234567890123456789012345\n123456789012345678901234\nhalf";
        let whole = Ok("123456789012345678901234".to_owned());
        let expected = [
            Ok("one\r".to_owned()),
            Err(BadLine::NotText),
            Err(BadLine::TooLong(LONGEST)),
            whole,
            Err(BadLine::Cut),
        ];
        assert_eq!(decoded([bytes.as_slice()]), expected);
    }

    proptest! {
        #[test]
        fn the_same_bytes_make_the_same_lines_however_they_are_cut(
            bytes in hostile_bytes(),
            cuts in proptest::collection::vec(0..600_usize, 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            let whole = decoded([bytes.as_slice()]);
            prop_assert_eq!(decoded(pieces), whole.clone());
            prop_assert_eq!(decoded(bytes.chunks(1)), whole);
        }
    }
}
