//! A case of many windows over threads that grew at random.

use super::{
    compacting::{equals, folded},
    sample::{Sample, delivery, note, say},
    stage::{Played, Stage},
    talk::{new_thread, summary},
};
use crate::{Bus, ErrorKind, Layer, Side, Window};
use party_core::{Author, Op, RecordClass, ThreadId, ThreadKind};
use std::sync::Arc;

const STEPS: u64 = 250;
const WINDOWS: u64 = 10_000;

/// The same numbers in each run, so that a window that differs can be looked at.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end.max(1)
    }

    fn one_of(&mut self, threads: &[(ThreadId, u64)]) -> usize {
        usize::try_from(self.below(threads.len() as u64)).unwrap_or_default()
    }
}

/// Threads with branches of branches, tangents and nested compactions; 10,000 windows of both layers.
pub async fn ten_thousand_random_windows_equal_the_fold_of_the_ops(stage: &dyn Stage) -> Played {
    let bus: Arc<dyn Bus> = stage.open().await;
    let mut sample = Sample::opened(&bus).await;
    let mut dice = Dice(0x2026_1120_0004_5eed);
    let threads = grow(&mut sample, &mut dice).await;
    let topology = folded(&sample).await;
    for _ in 0..WINDOWS {
        let (thread, head) = threads[dice.one_of(&threads)];
        let position = dice.below(head + 3);
        let side = match dice.below(3) {
            0 => Side::Last,
            1 => Side::Before(position),
            _ => Side::After(position),
        };
        let mut window = Window::last(sample.session, thread, dice.below(head + 2).try_into().unwrap_or(9));
        window.side = side;
        window.layer = if dice.below(2) == 0 { Layer::Shown } else { Layer::Archive };
        equals(&sample, &topology, window).await;
    }
    sample.stands().await;
    Ok(())
}

/// The threads, each with its last position.
async fn grow(sample: &mut Sample, dice: &mut Dice) -> Vec<(ThreadId, u64)> {
    let mut threads = vec![(sample.thread(1..=3).await, 3)];
    let mut compacted = 0;
    for step in 0..STEPS {
        let at = dice.one_of(&threads);
        let (thread, head) = threads[at];
        match dice.below(10) {
            0 => {
                let after = dice.below(head + 1);
                let branch = new_thread();
                let kind = ThreadKind::Private;
                let op = Op::Branch { thread: branch, kind, from: thread, after };
                sample.decide([op]).await.expect("a branch at an entry");
                threads.push((branch, after));
            }
            1 if head > 0 => {
                let anchor = 1 + dice.below(head);
                threads.push((sample.tangent(thread, anchor).await, anchor));
            }
            2 | 3 if head > 0 => {
                let first = 1 + dice.below(head);
                let last = first + dice.below(head - first + 1);
                let item = summary(&step.to_string());
                let op = Op::Compact { thread, first, last, item: item.id };
                let record = note(RecordClass::Decision, "compacted").with_item(item).with_op(op);
                match sample.write([record]).await {
                    Ok(_) => compacted += 1,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid, "{error}"),
                }
            }
            _ => {
                let count = 1 + dice.below(4);
                let entries =
                    (0..count).map(|_| delivery(&say(&Author::System, &step.to_string()), &[thread]));
                let entries: Vec<_> = entries.collect();
                sample.write(entries).await.expect("an open thread takes entries");
                threads[at].1 += count;
            }
        }
    }
    assert!(compacted > 10 && threads.len() > 10, "{compacted} ranges, {} threads", threads.len());
    threads
}
