//! A power cut at any moment: of what was not synced any part may be on the disk.

use crate::{
    check,
    child::{self, Running, fast_folder, tell, within},
    random::Random,
    script::{Acknowledged, Script, post},
    trace::{self, Call},
};
use party_bus::{Bus, ErrorKind, SqliteBus};
use party_core::SessionId;
use rusqlite::Connection;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

const SECTOR: usize = 512;
/// So many moments are looked at.
const CUTS: usize = 500;

fn sessions() -> [SessionId; 2] {
    [SessionId::derive(&[b"one"]), SessionId::derive(&[b"two"])]
}

/// Tries until a failing disk lets it be done. Only some syncs fail: soon one does not.
async fn insist<T>(attempt: impl AsyncFn() -> party_bus::Result<T>) -> T {
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{error}"),
        }
    }
}

/// The process whose writes and syncs are recorded. It closes its store twice.
#[tokio::test]
async fn child_that_is_traced() {
    let Some(path) = child::store() else { return };
    let mut random = Random::new();
    for _ in 0..2 {
        let bus: Arc<dyn Bus> = Arc::new(insist(async || SqliteBus::open(&path).await).await);
        tell("open");
        let mut scripts = Vec::new();
        for session in sessions() {
            scripts.push(Script::take(&bus, session, Random::seeded(random.next())).await);
        }
        for number in 0..20 {
            let batch = post(sessions()[number % 2], &mut random);
            let written = match number % 5 {
                4 => bus.append(batch.clone()).await.map(|receipt| Acknowledged::new(batch, receipt)),
                _ => scripts[number % 2].write().await,
            };
            match written {
                Ok(written) => tell(&format!("wrote {}", serde_json::to_string(&written).unwrap())),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{error}"),
            }
        }
        for script in scripts {
            // Else the next round finds the session held.
            insist(async || script.release().await).await;
        }
        let _ = bus.close().await;
    }
}

/// A file as it is on the disk, and what was written since it was synced, sector by sector.
#[derive(Debug, Clone, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

impl File {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (sector, more) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            self.pending.push((at, sector.to_vec()));
            at += sector.len();
            rest = more;
        }
    }

    /// The file with those pending sectors that are `kept`.
    fn with(&self, mut kept: impl FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (at, sector) in self.pending.iter().filter(|_| kept()) {
            let end = at + sector.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at..end].copy_from_slice(sector);
        }
        bytes
    }
}

/// The disk, and what the process was told by then. Names of files are durable at once.
#[derive(Debug, Clone, Default)]
struct Disk {
    files: BTreeMap<String, File>,
    opened: bool,
    acknowledged: usize,
}

impl Disk {
    /// Takes a call in; whether it changed something.
    fn take(&mut self, call: &Call, store: &str) -> bool {
        let suffix = |file: &str| file.strip_prefix(store).filter(|rest| *rest != "-shm").map(str::to_owned);
        match call {
            Call::Told(line) if line == "open" => self.opened = true,
            Call::Told(line) => self.acknowledged += usize::from(line.starts_with("wrote ")),
            Call::Write { file, offset, bytes } => {
                let Some(name) = suffix(file) else { return false };
                self.files.entry(name).or_default().write(*offset, bytes);
            }
            Call::Sync { file } => {
                let Some(file) = suffix(file).and_then(|name| self.files.get_mut(&name)) else {
                    return false;
                };
                file.durable = file.with(|| true);
                file.pending.clear();
            }
            Call::Lost { file } => {
                let Some(file) = suffix(file).and_then(|name| self.files.get_mut(&name)) else {
                    return false;
                };
                file.pending.clear();
            }
            Call::Cut { file, len } => {
                let Some(file) = suffix(file).and_then(|name| self.files.get_mut(&name)) else {
                    return false;
                };
                file.durable = file.with(|| true);
                file.durable.resize(*len, 0);
                file.pending.clear();
            }
            Call::Remove { file } => drop(suffix(file).and_then(|name| self.files.remove(&name))),
        }
        true
    }

    /// Writes what the power cut leaves.
    fn leave(&self, path: &Path, random: &mut Random) {
        let percent = *random.of(&[0, 100, 50, 90]).unwrap();
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(child::beside(path, suffix));
        }
        for (suffix, file) in &self.files {
            fs::write(child::beside(path, suffix), file.with(|| random.happens(percent))).unwrap();
        }
    }
}

/// Opens what is left, as after another boot: a prefix, with all that was promised.
async fn check(path: &Path, disk: &Disk, written: &[Acknowledged]) {
    if disk.opened {
        let conn = Connection::open(path).unwrap();
        conn.execute("UPDATE store SET boot = 'another' WHERE clean = 0", []).unwrap();
    }
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(path).await.unwrap());
    let mut found = BTreeSet::new();
    for session in sessions() {
        let records = check::session(&bus, session).await;
        found.extend(records.iter().map(|record| check::part(record).0));
    }
    // One that was refused may stand as well.
    let stands: Vec<bool> = written.iter().map(|batch| found.contains(&batch.id)).collect();
    let standing = stands.iter().take_while(|stands| **stands).count();
    assert!(!stands[standing..].contains(&true), "no prefix: {stands:?}");
    let promised = written[..disk.acknowledged].iter().rposition(|batch| batch.synced);
    assert!(promised.is_none_or(|last| last < standing), "{standing} stand, {promised:?} was synced");
    check::known(&bus, &written[..standing]).await;
    if standing < disk.acknowledged {
        assert!(bus.info().epoch > 1, "somebody may have read batch {standing}, which is gone");
    }
    bus.close().await.unwrap();
}

/// Records a process, and cuts its power at many moments.
async fn cut(failing: Option<u32>) {
    let (traces, folder) = (fast_folder(), fast_folder());
    let path = folder.path().join("traced.db");
    let mut disk = Disk::default();
    if failing.is_some() {
        // The store is made before.
        SqliteBus::open(&path).await.unwrap().close().await.unwrap();
        let made = File { durable: fs::read(&path).unwrap(), pending: Vec::new() };
        disk.files.insert(String::new(), made);
    }
    let command =
        child::command(&trace::into(traces.path(), failing), "power::child_that_is_traced", &path, "");
    let (status, lines) = Running::spawn(command).unwrap().end();
    assert!(status.success(), "{:?}", lines.last());
    let calls = trace::calls(traces.path());
    let lost = calls.iter().filter(|call| matches!(call, Call::Lost { .. })).count();
    assert_eq!(lost > 0, failing.is_some());
    let told = calls.iter().filter_map(|call| match call {
        Call::Told(line) => line.strip_prefix("wrote "),
        _ => None,
    });
    let written: Vec<Acknowledged> = told.map(|text| serde_json::from_str(text).unwrap()).collect();
    assert!(written.len() + lost >= 40, "{} and {lost}", written.len());

    let (mut random, store) = (Random::new(), path.to_str().unwrap());
    let (mut cuts, mut lossy) = (0, 0);
    for call in &calls {
        if !disk.take(call, store) || !(matches!(call, Call::Told(_)) || random.below(calls.len()) < CUTS) {
            continue;
        }
        let path = folder.path().join("left.db");
        disk.leave(&path, &mut random);
        within("opening after a power cut", check(&path, &disk, &written)).await;
        cuts += 1;
        lossy += usize::from(disk.files.values().any(|file| !file.pending.is_empty()));
    }
    println!("{cuts} cuts of {} calls, {lossy} of them with something to lose", calls.len());
    assert!(lossy > CUTS / 4 && disk.acknowledged == written.len(), "{lossy} of {cuts}");
}

#[tokio::test]
async fn after_a_power_cut_at_any_moment_what_was_synced_is_there_and_what_was_lost_is_told() {
    cut(None).await;
}

#[tokio::test]
async fn after_a_power_cut_what_was_synced_behind_a_failed_sync_is_there_too() {
    cut(Some(4)).await;
}
