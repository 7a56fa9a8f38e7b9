//! How bytes are cut does not matter; where they end, the valid prefix stays.

use crate::table::{Row, decode, table, without_raw};
use party_harness::openclaw::codec::{Decoded, Decoder};
use std::thread;

#[test]
fn a177_how_the_bytes_are_cut_does_not_matter() {
    for row in table() {
        let bytes = row.bytes();
        let whole = decode([bytes.as_slice()]);
        for size in [1, 7, 64 << 10] {
            assert_eq!(decode(bytes.chunks(size)), whole, "{} in {size}", row.recording);
        }
    }
}

/// At each end of a frame, and at some places within it.
#[test]
fn a177_ended_anywhere_the_valid_prefix_stays_and_each_end_is_typed() {
    let rows = table();
    let parts = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for part in rows.chunks(rows.len().div_ceil(parts)) {
            scope.spawn(|| part.iter().for_each(ended_anywhere));
        }
    });
}

fn ended_anywhere(row: &Row) {
    let bytes = row.bytes();
    let whole: Vec<Decoded> = without_raw(decode([bytes.as_slice()]));
    let mut decoder = Decoder::new();
    let mut read = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        for at in [line.len() / 7, line.len() / 2, line.len() - 1] {
            let mut cut = decoder.clone();
            let early = without_raw(cut.feed(&line[..at]));
            assert_eq!(early, [], "{}: a frame is read when it ends", row.recording);
            for event in without_raw(cut.finish()) {
                let Decoded::Ended { verdict, .. } = &event else { continue };
                assert!(verdict.text.is_some() || verdict.reason.is_some(), "{}: {event:?}", row.recording);
            }
        }
        let events = without_raw(decoder.feed(line));
        assert!(whole[read..].starts_with(&events), "{} at {read}", row.recording);
        read += events.len();
    }
    assert_eq!(without_raw(decoder.finish()), whole[read..], "{}", row.recording);
}
