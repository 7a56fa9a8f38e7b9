//! Windows beside a raw prepared query.

use crate::long::{Long, SHOWN, micros};
use party_benches::{Goal, Pairs, RawView, Row, median};
use party_bus::{Bus as _, Window};
use std::{cell::RefCell, time::Instant};
use tokio::runtime::Runtime;

const PAIRS: usize = 30;
/// Windows of one block.
const WINDOWS: usize = 200;
/// From one window to the next: far, and none is met twice.
const STRIDE: u64 = 799_819;
/// Behind every position.
const END: u64 = u64::MAX;

pub(crate) fn beside_raw(runtime: &Runtime, long: &Long) -> Vec<Row> {
    let raw = RawView::open(&long.path).expect("the store's file opens");
    let (session, thread) = (long.driven.session(), long.driven.thread());
    let shown = runtime.block_on(long.bus.window(long.last())).expect("the thread is there");
    assert_eq!(Ok(shown), raw.before(session, thread, END, SHOWN), "both see the same");
    let (spare, mut place) = (u64::from(SHOWN), 0);
    let mut anywhere = move || {
        place = (place + STRIDE) % (long.entries - spare);
        place + spare + 1
    };
    vec![
        row(runtime, long, &raw, ("window_of_100_in_1m_vs_raw", "at the end"), || END),
        row(runtime, long, &raw, ("window_anywhere_in_1m_vs_raw", "anywhere"), &mut anywhere),
    ]
}

fn row(
    runtime: &Runtime,
    long: &Long,
    raw: &RawView,
    (name, place): (&str, &str),
    mut next: impl FnMut() -> u64,
) -> Row {
    let (session, thread) = (long.driven.session(), long.driven.thread());
    let places = RefCell::new(|| (0..WINDOWS).map(|_| next()).collect::<Vec<_>>());
    let window = |position| match position {
        END => long.last(),
        _ => Window::before(session, thread, position, SHOWN),
    };
    let measured = Pairs::in_memory(PAIRS).run(
        || long.show(runtime, places.borrow_mut()().into_iter().map(window).collect()),
        || {
            let time = |position| {
                let begun = Instant::now();
                let page = raw.before(session, thread, position, SHOWN).expect("the query is right");
                let time = micros(begun);
                assert_eq!(page.entries.len(), SHOWN as usize, "the window is full");
                time
            };
            median(&places.borrow_mut()().into_iter().map(time).collect::<Vec<_>>())
        },
    );
    let (left, right) = measured.sides;
    let what = format!(
        "100 entries {place} of a million ({left:.0} us) / a raw prepared query, decoded alike ({right:.0} us); {measured}"
    );
    Row::timed(name, Goal::AtMost(1.5), &measured, what)
}
