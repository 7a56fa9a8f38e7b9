//! How bytes are cut does not matter; where they end, the valid prefix stays.

use crate::table::{Row, decode, decoder, is_raw, table, without_raw};
use party_harness::codex::codec::{Decoded, Status};
use std::thread;

#[test]
fn a177_how_the_bytes_are_cut_does_not_matter() {
    for row in table() {
        let bytes = row.bytes();
        let whole = row.events();
        for size in [1, 7, 64 << 10] {
            assert_eq!(decode(bytes.chunks(size)), whole, "{} in {size}", row.recording);
        }
    }
}

#[test]
fn a177_ended_at_any_byte_the_valid_prefix_stays_and_the_end_is_typed() {
    let rows = table();
    // Half a million ends are asked for: on all cores.
    let parts = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for part in rows.chunks(rows.len().div_ceil(parts)) {
            scope.spawn(|| part.iter().for_each(ended_at_every_byte));
        }
    });
}

/// Feeds byte by byte, and asks at each what it would have come to if that were the last.
fn ended_at_every_byte(row: &Row) {
    let bytes = row.bytes();
    let whole = without_raw(row.events());
    let mut decoder = decoder();
    let mut read = 0;
    for (at, byte) in bytes.iter().enumerate() {
        // What a line comes to is known when it ends.
        let events = without_raw(decoder.feed(std::slice::from_ref(byte)));
        assert!(events.is_empty() || whole[read..].starts_with(&events), "{} at {at}", row.recording);
        read += events.len();
        // The end of a line is where something new may be; in between, each seventh.
        if *byte != b'}' && at % 7 != 0 {
            continue;
        }
        let mut open = 0;
        for (i, rest) in decoder.clone().finish().into_iter().filter(|event| !is_raw(event)).enumerate() {
            match rest {
                Decoded::Ended { verdict, .. } if verdict.status == Status::Cut => {
                    assert!(verdict.reason.is_some(), "{} ended at {at}", row.recording);
                    open += 1;
                }
                rest => {
                    assert_eq!(Some(&rest), whole.get(read + i - open), "{} ended at {at}", row.recording);
                }
            }
        }
    }
    assert_eq!(read, whole.iter().filter(|event| !is_cut(event)).count(), "{}", row.recording);
}

fn is_cut(event: &Decoded) -> bool {
    matches!(event, Decoded::Ended { verdict, .. } if verdict.status == Status::Cut)
}
