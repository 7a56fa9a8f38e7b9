//! How bytes are cut does not matter; where they end, the valid prefix stays.

use crate::table::{Row, decoder, table, without_raw};
use party_harness::claude_code::codec::{Exit, Status};
use std::thread;

#[test]
fn a177_how_the_bytes_are_cut_does_not_matter() {
    for row in table() {
        let bytes = row.bytes();
        let whole = row.decode([bytes.as_slice()]);
        for size in [1, 7, 64 << 10] {
            assert_eq!(row.decode(bytes.chunks(size)), whole, "{} in {size}", row.recording);
        }
    }
}

#[test]
fn a177_ended_at_any_byte_the_valid_prefix_stays_and_the_end_is_typed() {
    let rows = table();
    // Twice a million ends are asked for: on all cores.
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
    let whole = without_raw(row.decode([bytes.as_slice()]).0);
    let mut decoder = decoder();
    let mut read = 0;
    for (at, byte) in bytes.iter().enumerate() {
        // What a line comes to is known when it ends.
        let events = without_raw(decoder.feed(std::slice::from_ref(byte)));
        assert!(events.is_empty() || whole[read..].starts_with(&events), "{} at {at}", row.recording);
        read += events.len();
        let (rest, verdict) = decoder.clone().finish(&Exit::default());
        let rest = without_raw(rest);
        assert!(rest.is_empty() || whole[read..].starts_with(&rest), "{} ended at {at}", row.recording);
        let typed = verdict.status == Status::Completed || verdict.reason.is_some();
        assert!(typed, "{} ended at {at}", row.recording);
    }
    assert_eq!(decoder.finish(&row.exit()).1, row.decode([bytes.as_slice()]).1, "{}", row.recording);
}
