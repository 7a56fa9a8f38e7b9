//! What must not depend on how much there is.

use crate::long::{self, Long, micros, on_a_worker};
use party_benches::{Goal, Measured, Pairs, Row, median};
use party_bus::{Batch, Bus as _};
use std::{path::Path, sync::Arc, time::Instant};
use tokio::runtime::Runtime;

const PAIRS: usize = 24;
/// Windows of one block.
const WINDOWS: usize = 200;
/// Appends of one block; few, so that the small thread stays small.
const APPENDS: usize = 30;
/// Opens of one block.
const OPENS: usize = 3;

pub(crate) fn beside_small(runtime: &Runtime, folder: &Path, large: &mut Long, small: &mut Long) -> [Row; 3] {
    let shown = Pairs::in_memory(PAIRS).run(
        || large.show(runtime, vec![large.last(); WINDOWS]),
        || small.show(runtime, vec![small.last(); WINDOWS]),
    );
    let branch = |long: &mut Long| long.driven.branch(long.driven.thread(), long.entries / 2).1;
    let branched = Pairs::on_disk(PAIRS, folder)
        .run(|| append(runtime, large, branch), || append(runtime, small, branch));
    let add = |long: &mut Long| long.driven.batch();
    let appended =
        Pairs::on_disk(PAIRS, folder).run(|| append(runtime, large, add), || append(runtime, small, add));
    [
        row("window_1m_vs_1k", "a window of 100", &shown),
        row("branch_1m_vs_1k", "a branch, acknowledged,", &branched),
        row("append_1m_vs_1k", "an append, acknowledged,", &appended),
    ]
}

pub(crate) fn opened_beside_small(runtime: &Runtime, folder: &Path, large: &Path, small: &Path) -> Row {
    let open = |path: &Path| {
        let path = path.to_owned();
        on_a_worker(runtime, async move {
            let mut times = Vec::new();
            for _ in 0..OPENS {
                times.push(long::open(&path).await);
            }
            median(&times)
        })
    };
    let measured = Pairs::on_disk(PAIRS, folder).run(|| open(large), || open(small));
    row("open_1m_vs_1k", "an open and a window of 100", &measured)
}

/// The median time from a call to its acknowledgement, in microseconds.
fn append(runtime: &Runtime, long: &mut Long, next: impl Fn(&mut Long) -> Batch) -> f64 {
    let batches: Vec<Batch> = (0..APPENDS).map(|_| next(long)).collect();
    let bus = Arc::clone(&long.bus);
    on_a_worker(runtime, async move {
        let mut times = Vec::with_capacity(APPENDS);
        for batch in batches {
            let begun = Instant::now();
            bus.append(batch).await.expect("the batch is right");
            times.push(micros(begun));
        }
        median(&times)
    })
}

fn row(name: &str, act: &str, measured: &Measured) -> Row {
    let (left, right) = measured.sides;
    let what =
        format!("{act} at a million entries ({left:.0} us) / at a thousand ({right:.0} us); {measured}");
    Row::timed(name, Goal::AtMost(1.5), measured, what)
}
