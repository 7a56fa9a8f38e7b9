//! Opening a store whose process was killed while its log was long.

use crate::long::{self, micros, on_a_worker};
use party_benches::{Driven, Goal, Measured, Pairs, Row};
use party_bus::{Bus as _, SqliteBus};
use rusqlite::{Connection, config::DbConfig};
use std::{
    cell::Cell,
    fs,
    io::{BufRead as _, BufReader, Write as _, stdout},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};
use tokio::runtime::Runtime;

const PAIRS: usize = 12;
/// How long the log is when its writer is killed: shortly before the store would move it into the file.
const LOG_BYTES: u64 = 19 << 20;
const AT_ONCE: u64 = 100;
/// Says to a writer which store is to be written.
const STORE: &str = "PARTY_BENCH_WRITE_UNTIL_KILLED";

/// The store that this process is to write, where it is the one that is killed.
pub(crate) fn told() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}

/// Writes on and on, and says when the log is long enough.
pub(crate) async fn write_until_killed(store: &Path) -> ExitCode {
    let bus = SqliteBus::open_existing(store).await.expect("the store opens");
    let mut driven = Driven::open(&bus, std::process::id().into()).await.expect("a session opens");
    let mut is_long = false;
    loop {
        bus.append(driven.batch_of(AT_ONCE)).await.expect("the batch is right");
        if !is_long && log_bytes(store) >= LOG_BYTES {
            is_long = true;
            writeln!(stdout(), "long").expect("somebody listens");
        }
    }
}

pub(crate) fn after_a_kill(runtime: &Runtime, folder: &Path, store: &Path) -> [Row; 2] {
    let open = || {
        let store = store.to_owned();
        on_a_worker(runtime, async move { long::open(&store).await })
    };
    let (scan, log) = (Cell::new(0.0), Cell::new(0));
    let killed = || {
        kill_a_writer(store);
        log.set(log_bytes(store));
        scan.set(raw_open(store));
        open()
    };
    let beside_clean = Pairs::on_disk(PAIRS, folder).run(killed, open);
    let beside_scan = Pairs::on_disk(PAIRS, folder).run(killed, || open() + scan.get());
    let row = |name, beside, measured: &Measured| {
        let (left, right) = measured.sides;
        let what = format!(
            "an open and a window of 100 after kill -9 with {} MB of log ({left:.0} us) / {beside} ({right:.0} us); {measured}",
            log.get() >> 20
        );
        Row::timed(name, Goal::AtMost(2.0), measured, what)
    };
    let beside = "a clean one and rusqlite's open of the same log";
    [
        row("open_after_kill_1m_vs_clean", "a clean one", &beside_clean),
        row("open_after_kill_1m_vs_clean_and_raw", beside, &beside_scan),
    ]
}

fn kill_a_writer(store: &Path) {
    let this = std::env::current_exe().expect("a binary has a path");
    let mut writer = Command::new(this)
        .env(STORE, store)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts once more");
    let mut line = String::new();
    let said = writer.stdout.take().expect("a pipe");
    BufReader::new(said).read_line(&mut line).expect("the writer can be heard");
    writer.kill().expect("the writer can be killed");
    writer.wait().expect("the writer has ended");
    assert_eq!(line, "long\n", "the writer came so far");
}

/// How long rusqlite alone takes until it sees what is in the log, which stays as it is.
fn raw_open(store: &Path) -> f64 {
    let begun = Instant::now();
    let conn = Connection::open(store).expect("the file opens");
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("an option");
    let head: i64 =
        conn.query_row("SELECT max(head) FROM session", [], |row| row.get(0)).expect("the file has sessions");
    let time = micros(begun);
    assert!(head > 0, "something was written");
    time
}

fn log_bytes(store: &Path) -> u64 {
    let mut log = store.to_owned().into_os_string();
    log.push("-wal");
    fs::metadata(log).map_or(0, |log| log.len())
}
