//! The decoders of what servers send: frames of many turns.

use crate::chunks::{chunks, cut};
use party_harness::{codex, openclaw};
use std::fmt::Debug;

/// Lines over this are dropped here, so that a fuzzer gets there.
const LINE_LIMIT: usize = 4096;

/// A decoder of frames, a line each.
trait Decode {
    type Out: PartialEq + Debug;

    fn feed(&mut self, chunk: &[u8]) -> Vec<Self::Out>;

    fn finish(self) -> Vec<Self::Out>;
}

impl Decode for codex::codec::Decoder {
    type Out = codex::codec::Decoded;

    fn feed(&mut self, chunk: &[u8]) -> Vec<Self::Out> {
        Self::feed(self, chunk)
    }

    fn finish(self) -> Vec<Self::Out> {
        Self::finish(self)
    }
}

impl Decode for openclaw::codec::Decoder {
    type Out = openclaw::codec::Decoded;

    fn feed(&mut self, chunk: &[u8]) -> Vec<Self::Out> {
        Self::feed(self, chunk)
    }

    fn finish(self) -> Vec<Self::Out> {
        Self::finish(self)
    }
}

/// Decodes `input` as what an app-server of Codex sends, as [`claude_decode`](crate::claude_decode) does.
pub fn codex_decode(input: &[u8]) {
    holds(input, || codex::codec::Decoder::new().line_limit(LINE_LIMIT));
}

/// Decodes `input` as what a gateway of OpenClaw sends.
pub fn openclaw_decode(input: &[u8]) {
    holds(input, || openclaw::codec::Decoder::new().line_limit(LINE_LIMIT));
}

/// It comes to the same whole and in chunks, and an earlier end keeps what was whole.
fn holds<D: Decode>(input: &[u8], decoder: impl Fn() -> D) {
    let (sizes, stream) = cut(input);
    let whole = decoded(decoder(), [stream]);
    assert_eq!(decoded(decoder(), chunks(sizes, stream)), whole);
    for end in [stream.len() / 3, stream.len() / 2] {
        let lines = stream[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let kept = decoder().feed(&stream[..lines]);
        assert_eq!(kept, whole[..kept.len()]);
    }
}

fn decoded<'a, D: Decode>(mut decoder: D, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<D::Out> {
    let mut events: Vec<_> = chunks.into_iter().flat_map(|chunk| decoder.feed(chunk)).collect();
    events.extend(decoder.finish());
    events
}
