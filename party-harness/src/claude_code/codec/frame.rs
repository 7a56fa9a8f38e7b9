//! Cuts a byte stream into lines.

/// A line as it came, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Line(Vec<u8>),
    /// A line over the limit, of which only the length is known.
    TooLong(usize),
}

/// Cuts on `\n` and nothing else: the CLI writes U+2028 unescaped.
#[derive(Debug, Clone)]
pub(super) struct Framer {
    limit: usize,
    line: Vec<u8>,
    skipped: usize,
}

impl Framer {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), skipped: 0 }
    }

    /// Takes bytes and hands out the lines that they end.
    pub(super) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(Frame)) {
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.push(&chunk[..end]);
            self.cut().into_iter().for_each(&mut each);
            chunk = &chunk[end + 1..];
        }
        self.push(chunk);
    }

    /// What stands behind the last line end.
    pub(super) fn finish(&mut self) -> Option<Frame> {
        self.cut()
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.skipped > 0 || self.line.len() + bytes.len() > self.limit {
            self.skipped += self.line.len() + bytes.len();
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn cut(&mut self) -> Option<Frame> {
        let (line, skipped) = (std::mem::take(&mut self.line), std::mem::take(&mut self.skipped));
        match (line.is_empty(), skipped) {
            (true, 0) => None,
            (_, 0) => Some(Frame::Line(line)),
            (_, skipped) => Some(Frame::TooLong(skipped)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(limit: usize, chunks: &[&str]) -> Vec<Frame> {
        let mut framer = Framer::new(limit);
        let mut frames = Vec::new();
        for chunk in chunks {
            framer.feed(chunk.as_bytes(), |frame| frames.push(frame));
        }
        frames.extend(framer.finish());
        frames
    }

    #[test]
    fn only_a_line_feed_ends_a_line() {
        let line = |text: &str| Frame::Line(text.as_bytes().to_vec());
        assert_eq!(frames(99, &["a\u{2028}b\r", "c\n\n", "d"]), [line("a\u{2028}b\rc"), line("d")]);
    }

    #[test]
    fn an_over_long_line_is_dropped_and_reading_goes_on() {
        let line = |text: &str| Frame::Line(text.as_bytes().to_vec());
        let expected = [line("1234"), Frame::TooLong(5), Frame::TooLong(12), line("ok")];
        assert_eq!(frames(4, &["1234\n12345\n123", "456789", "012\nok\n"]), expected);
    }
}
