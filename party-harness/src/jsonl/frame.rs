//! Cuts a byte stream into lines.

use super::view::Json;
use crate::RawJson;
use memchr::memchr;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;

/// From here on a line's buffer grows by a quarter, not by the double.
const LARGE: usize = 1 << 20;

/// How much of a line that is no JSON is shown.
const SHOWN: usize = 4096;

/// A line as it came, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Line(Cow<'a, [u8]>),
    /// A line over the limit, of which only the length is known.
    TooLong(usize),
}

/// What a line is, for those who look for objects of one shape.
#[derive(Debug)]
pub(crate) enum Said<'a, T> {
    /// Such an object, and its text.
    Object(T, &'a str),
    /// Other JSON.
    Strange(&'a str),
    /// No JSON, or too long: what can be shown of it.
    Unreadable(RawJson),
    /// White space.
    Nothing,
}

impl Frame<'_> {
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Said<'a, T> {
        let bytes = match self {
            Self::Line(bytes) => bytes,
            Self::TooLong(length) => return Said::Unreadable(json!({ "lineTooLong": length }).into()),
        };
        let text = std::str::from_utf8(bytes).ok();
        match text.and_then(|text| Some((Json::read_as(text)?, text))) {
            Some((object, text)) => Said::Object(object, text),
            None if bytes.iter().all(u8::is_ascii_whitespace) => Said::Nothing,
            None => match text.filter(|text| Json::read(text).is_some()) {
                Some(text) => Said::Strange(text),
                None => {
                    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
                    Said::Unreadable(json!({ "noJson": shown }).into())
                }
            },
        }
    }
}

/// Cuts on `\n` and nothing else: the CLI writes U+2028 unescaped.
#[derive(Debug, Clone, Default)]
pub(crate) struct Framer {
    limit: usize,
    line: Vec<u8>,
    skipped: usize,
}

impl Framer {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), skipped: 0 }
    }

    /// Takes bytes off `chunk`: the next line that they end, of those that are not empty.
    pub(crate) fn next<'a>(&mut self, chunk: &mut &'a [u8]) -> Option<Frame<'a>> {
        while let Some(end) = memchr(b'\n', chunk) {
            let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
            *chunk = rest;
            let is_whole = self.line.is_empty() && self.skipped == 0 && line.len() <= self.limit;
            if is_whole && !line.is_empty() {
                return Some(Frame::Line(Cow::Borrowed(line)));
            }
            self.push(line);
            if let Some(frame) = self.finish() {
                return Some(frame);
            }
        }
        self.push(std::mem::take(chunk));
        None
    }

    /// What stands behind the last line end.
    pub(crate) fn finish(&mut self) -> Option<Frame<'static>> {
        let (line, skipped) = (std::mem::take(&mut self.line), std::mem::take(&mut self.skipped));
        match (line.is_empty(), skipped) {
            (true, 0) => None,
            (_, 0) => Some(Frame::Line(Cow::Owned(line))),
            (_, skipped) => Some(Frame::TooLong(skipped)),
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let length = self.line.len() + bytes.len();
        if self.skipped > 0 || length > self.limit {
            self.skipped += length;
            self.line = Vec::new();
            return;
        }
        if length > LARGE && length > self.line.capacity() {
            self.line.reserve_exact(bytes.len() + self.line.len() / 4);
        }
        self.line.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames<'a>(limit: usize, chunks: &[&'a str]) -> Vec<Frame<'a>> {
        let mut framer = Framer::new(limit);
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut chunk = chunk.as_bytes();
            frames.extend(std::iter::from_fn(|| framer.next(&mut chunk)));
        }
        frames.extend(framer.finish());
        frames
    }

    fn line(text: &str) -> Frame<'_> {
        Frame::Line(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn only_a_line_feed_ends_a_line() {
        let read = frames(99, &["a\u{2028}b\r", "c\n\n", "\nd\ne"]);
        assert_eq!(read, [line("a\u{2028}b\rc"), line("d"), line("e")]);
        let borrowed = |frame: &Frame<'_>| matches!(frame, Frame::Line(Cow::Borrowed(_)));
        assert_eq!(read.iter().map(borrowed).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn an_over_long_line_is_dropped_and_reading_goes_on() {
        let expected = [line("1234"), Frame::TooLong(5), Frame::TooLong(12), line("ok")];
        assert_eq!(frames(4, &["1234\n12345\n123", "456789", "012\nok\n"]), expected);
    }

    #[test]
    fn a_large_line_is_not_given_twice_its_room() {
        let mut framer = Framer::new(64 << 20);
        for _ in 0..(9 << 20) / (64 << 10) {
            assert_eq!(framer.next(&mut [b'x'; 64 << 10].as_slice()), None);
        }
        assert!(framer.line.capacity() <= (9 << 20) / 4 * 5 + (64 << 10), "{}", framer.line.capacity());
    }
}
