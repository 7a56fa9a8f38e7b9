//! The decoder of Claude Code's output.

use party_harness::claude_code::{Decoded, Decoder, Exit, Verdict};

/// Lines over this are dropped here, so that a fuzzer gets there.
const LINE_LIMIT: usize = 4096;

/// Decodes `input`: its first line gives sizes of chunks, a byte each, the rest is the stream. It
/// comes to the same whole and in those chunks, and an earlier end keeps what was whole.
pub fn claude_decode(input: &[u8]) {
    let cut = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (sizes, stream) = (&input[..cut], input.get(cut + 1..).unwrap_or_default());
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

/// The stream in chunks of these sizes, over and over.
fn chunks<'a>(sizes: &'a [u8], mut stream: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(1).min(stream.len());
        let (chunk, rest) = stream.split_at(size);
        stream = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
}
