//! Server-sent events out of bytes that come in any pieces. Pure.

use memchr::memchr2;

/// Splits a stream into the data of its events. What is longer than the limit is refused, so nothing
/// grows without bound.
#[derive(Debug)]
pub(super) struct Events {
    /// The line that is not at its end yet.
    line: Vec<u8>,
    /// The data lines of the event that is not at its end yet.
    data: Option<Vec<u8>>,
    /// The last byte was a carriage return: a line feed behind it ends no line of its own.
    after_return: bool,
    limit: usize,
}

/// An event is longer than it may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Events {
    pub(super) const fn new(limit: usize) -> Self {
        Self { line: Vec::new(), data: None, after_return: false, limit }
    }

    /// Takes more bytes, and gives the data of the events that end in them. Bytes that are no UTF-8
    /// are replaced.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = memchr2(b'\r', b'\n', bytes);
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if self.line.len() + piece.len() + self.data.as_ref().map_or(0, Vec::len) > self.limit {
                return Err(TooLong);
            }
            self.line.extend_from_slice(piece);
            let Some(end) = end else { break };
            self.after_return = bytes[end] == b'\r';
            events.extend(self.end_line());
            bytes = &bytes[end + 1..];
        }
        Ok(events)
    }

    /// What stands at the end of the stream without its empty line. A line without its end may be cut.
    pub(super) fn finish(&mut self) -> Option<String> {
        self.line.clear();
        self.take()
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.take();
        }
        // Names of events and ids say nothing that the data does not.
        if let Some(rest) = line.strip_prefix(b"data:") {
            let rest = rest.strip_prefix(b" ").unwrap_or(rest);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(rest);
                }
                None => self.data = Some(rest.to_vec()),
            }
        }
        None
    }

    fn take(&mut self) -> Option<String> {
        let data = self.data.take().filter(|data| !data.is_empty())?;
        Some(String::from_utf8(data).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::new(1_000);
        let mut given: Vec<String> = pieces.iter().flat_map(|piece| events.feed(piece).unwrap()).collect();
        given.extend(events.finish());
        given
    }

    const STREAM: &[u8] =
        "\u{feff}event: a\r\ndata: {\"x\":\r\ndata: 1}\r\n\r\n: note\n\ndata:größer\u{2028}\n\n\
        data: by\rdata\r\rid: 7\ndata: last\ndata: cu"
            .as_bytes();

    #[test]
    fn lines_end_in_three_ways_and_data_may_have_several() {
        assert_eq!(all(&[STREAM]), ["{\"x\":\n1}", "größer\u{2028}", "by", "last"]);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        let whole = all(&[STREAM]);
        for cut in 0..=STREAM.len() {
            let (begin, rest) = STREAM.split_at(cut);
            assert_eq!(all(&[begin, rest]), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(all(&single), whole);
    }

    #[test]
    fn what_is_too_long_is_refused_in_one_line_and_in_many() {
        let mut events = Events::new(100);
        assert_eq!(events.feed(&[b'x'; 101]), Err(TooLong));
        let mut events = Events::new(100);
        let fed: Result<Vec<_>, _> = (0..100).map(|_| events.feed(b"data: 12345\n")).collect();
        assert_eq!(fed, Err(TooLong));
    }

    #[test]
    fn what_is_no_utf_8_is_replaced() {
        assert_eq!(all(&[b"data: a\xffb\n\n"]), ["a\u{fffd}b"]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_the_same_events_however_they_are_cut(
            lines in prop::collection::vec("(data: ?|event: ?|: |)[a-zä{}\"]{0,9}(\r\n|\n|\r)", 0..20),
            noise in prop::collection::vec(any::<u8>(), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = lines.concat().into_bytes();
            stream.extend(noise);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut begin = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                pieces.push(&stream[begin..cut]);
                begin = cut;
            }
            prop_assert_eq!(all(&pieces), all(&[&stream]));
        }

        #[test]
        fn never_more_is_held_than_may_be(stream in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut events = Events::new(50);
            for byte in stream {
                if events.feed(&[byte]).is_err() {
                    break;
                }
                prop_assert!(events.line.len() + events.data.as_ref().map_or(0, Vec::len) <= 50);
            }
        }
    }
}
