//! A write-ahead log that is cut, flipped or zeroed anywhere: what opens is a prefix of what was
//! acknowledged.

use crate::{
    check,
    child::{beside, fast_folder, within},
    random::Random,
    script::{Script, post},
};
use party_bus::{Bus, BusExt as _, Classes, SqliteBus};
use party_core::{Offset, Record, SessionId};
use std::{fs, path::Path, sync::Arc};

/// The log's header, and that of each of its frames.
const HEADER: usize = 32;
const FRAME: usize = 24 + 8192;
const SECTOR: usize = 512;

/// A store whose records are in its log only, and what it held after each batch.
struct Written {
    file: Vec<u8>,
    log: Vec<u8>,
    sessions: [SessionId; 2],
    records: [Vec<Arc<Record>>; 2],
    heads: Vec<[usize; 2]>,
}

async fn written(folder: &Path) -> Written {
    let path = folder.join("whole.db");
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&path).await.unwrap());
    let sessions = [SessionId::derive(&[b"one"]), SessionId::derive(&[b"two"])];
    let mut random = Random::new();
    let mut scripts = [
        Script::take(&bus, sessions[0], Random::seeded(random.next())).await,
        Script::take(&bus, sessions[1], Random::seeded(random.next())).await,
    ];
    let mut heads = vec![[0, 0]];
    for batch in 0..16 {
        if batch % 6 == 5 {
            bus.append(post(sessions[batch % 2], &mut random)).await.unwrap();
        } else {
            scripts[batch % 2].write().await.unwrap();
        }
        let mut now = [0; 2];
        for (head, session) in now.iter_mut().zip(sessions) {
            *head = usize::try_from(bus.head(session).await.unwrap().0).unwrap();
        }
        heads.push(now);
    }
    let records = [check::session(&bus, sessions[0]).await, check::session(&bus, sessions[1]).await];
    let (file, log) = (fs::read(&path).unwrap(), fs::read(beside(&path, "-wal")).unwrap());
    assert!(log.len() > 40 * FRAME, "{}", log.len());
    bus.close().await.unwrap();
    Written { file, log, sessions, records, heads }
}

impl Written {
    /// Opens the file with `log` beside it; how many batches it holds.
    async fn opened(&self, path: &Path, log: &[u8]) -> usize {
        fs::write(path, &self.file).unwrap();
        fs::write(beside(path, "-wal"), log).unwrap();
        let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
        let mut found = [0; 2];
        for (nth, session) in self.sessions.into_iter().enumerate() {
            let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
            assert_eq!(records, self.records[nth][..records.len()]);
            check::session(&bus, session).await;
            found[nth] = records.len();
        }
        let batches = self.heads.iter().position(|heads| *heads == found);
        let batches = batches.unwrap_or_else(|| panic!("{found:?} is no prefix of {:?}", self.heads));
        if found[0] > 0 {
            let posted = bus.append(post(self.sessions[0], &mut Random::seeded(1))).await.unwrap();
            assert_eq!(posted.first, Offset(found[0] as u64 + 1));
        }
        bus.close().await.unwrap();
        batches
    }

    /// The log damaged at many places, each with the first byte that is.
    fn variants(&self) -> Vec<(usize, Vec<u8>)> {
        let mut random = Random::new();
        let (log, mut variants) = (&self.log, Vec::new());
        let bounds = (HEADER..log.len()).step_by(FRAME).flat_map(|bound| [bound, bound + 24]);
        let between = (0..log.len()).step_by(log.len() / 250);
        variants.extend(bounds.chain(between).map(|end| (end, log[..end].to_vec())));
        for _ in 0..200 {
            let (at, mut flipped) = (random.below(log.len()), log.clone());
            flipped[at] ^= 1 << random.below(8);
            variants.push((at, flipped));
        }
        for _ in 0..200 {
            let (at, mut zeroed) = (random.below(log.len() / SECTOR) * SECTOR, log.clone());
            zeroed[at..at + SECTOR].fill(0);
            variants.push((at, zeroed));
        }
        variants
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_cut_flipped_or_zeroed_anywhere_opens_as_a_prefix_of_whole_batches() {
    let folder = fast_folder();
    let written = Arc::new(written(folder.path()).await);
    let batches = written.heads.len() - 1;
    assert_eq!(written.opened(&folder.path().join("same.db"), &written.log).await, batches);
    let variants = Arc::new(written.variants());
    println!("{} variants of a log of {} bytes", variants.len(), written.log.len());
    let halves = [0, 1].map(|half| {
        let (written, variants) = (Arc::clone(&written), Arc::clone(&variants));
        let path = folder.path().join(format!("{half}.db"));
        tokio::spawn(async move {
            let mut held = Vec::new();
            for (at, log) in variants.iter().skip(half).step_by(2) {
                let batches = within("opening a damaged store", written.opened(&path, log)).await;
                held.push((*at, batches));
            }
            held
        })
    });
    let mut held = futures::future::try_join_all(halves).await.unwrap().concat();
    held.sort_unstable();
    // What lies before the damage is not lost: the later it begins, the more is left.
    let mut least = held.iter().map(|(_, batches)| *batches).rev().collect::<Vec<_>>();
    assert!(least.first() > least.last(), "{held:?}");
    least.dedup();
    assert!(least.len() > batches / 2, "{held:?}");
}
