//! The decoder of Claude Code's output.

use crate::chunks::{chunks, cut};
use party_harness::claude_code::codec::{Decoded, Decoder, Exit, Verdict};

/// Lines over this are dropped here, so that a fuzzer gets there.
const LINE_LIMIT: usize = 4096;

/// Decodes `input`: its first line gives sizes of chunks, a byte each, the rest is the stream. It
/// comes to the same whole and in those chunks, and an earlier end keeps what was whole.
pub fn claude_decode(input: &[u8]) {
    let (sizes, stream) = cut(input);
    let whole = decoded([stream]);
    assert_eq!(decoded(chunks(sizes, stream)), whole);
    for end in [stream.len() / 3, stream.len() / 2] {
        let (events, _) = decoded([&stream[..end]]);
        // All but the last line, which is cut.
        let kept = events.len().saturating_sub(last_line(&stream[..end]));
        assert_eq!(events[..kept], whole.0[..kept]);
    }
}

fn decoded<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Decoded>, Verdict) {
    let mut decoder = Decoder::new().requires_every_server().line_limit(LINE_LIMIT);
    let mut events: Vec<_> = chunks.into_iter().flat_map(|chunk| decoder.feed(chunk)).collect();
    let (rest, verdict) = decoder.finish(&Exit::default());
    events.extend(rest);
    (events, verdict)
}

/// How many events the bytes behind the last line end come to, alone.
fn last_line(stream: &[u8]) -> usize {
    let start = stream.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let before = decoded([&stream[..start]]).0.len();
    decoded([stream]).0.len() - before
}
