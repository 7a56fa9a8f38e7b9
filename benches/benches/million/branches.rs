//! Windows that reach through branches of branches.

use crate::long::{Long, SHOWN};
use party_benches::{Goal, Pairs, Row};
use party_bus::{Bus as _, Window};
use tokio::runtime::Runtime;

const PAIRS: usize = 30;
/// Windows of one block.
const WINDOWS: usize = 100;
const LEVELS: u64 = 64;
/// What a branch adds: so few that a window looks into every level.
const FEW: u64 = 1;
/// So many that a window ends after some of them, as it mostly does.
const SOME: u64 = 10;

pub(crate) fn beside_one(runtime: &Runtime, long: &mut Long) -> Row {
    let one = runtime.block_on(branched(long, 1, FEW));
    let many = runtime.block_on(branched(long, LEVELS, FEW));
    let usual = runtime.block_on(branched(long, LEVELS, SOME));
    let show = |window: Window| long.show(runtime, vec![window; WINDOWS]);
    let ten_each = Pairs::in_memory(PAIRS / 3).run(|| show(usual), || show(one));
    let measured = Pairs::in_memory(PAIRS).run(|| show(many), || show(one));
    let (left, right) = measured.sides;
    let what = format!(
        "a window of {SHOWN} through {LEVELS} branches, an entry of each ({left:.0} us) / through one ({right:.0} us); \
         {measured}; {:.2} with {SOME} entries each, of which it reaches ten branches",
        ten_each.ratio
    );
    Row::timed("window_through_64_branches_vs_one", Goal::AtMost(3.0), &measured, what)
}

/// A window at the end of a branch of a branch, each with `own` entries.
async fn branched(long: &mut Long, levels: u64, own: u64) -> Window {
    let (mut from, mut head) = (long.driven.thread(), long.entries);
    for _ in 0..levels {
        let (thread, batch) = long.driven.branch(from, head);
        long.bus.append(batch.buffered()).await.expect("the branch is right");
        for _ in 0..own {
            let batch = long.driven.batch_in(thread).buffered();
            long.bus.append(batch).await.expect("the batch is right");
        }
        (from, head) = (thread, head + own);
    }
    long.last_of(from)
}
