//! How soon another process has read what was committed: beside a program that only rings and hears,
//! and beside one that commits, rings, hears and reads, all with nothing in between.
//!
//! This program starts itself as the one that writes, and is told which block comes next.

use party_benches::{Driven, Goal, Measured, Pairs, Row, is_bench_run, quantile, report, scratch};
use party_bus::{BusExt as _, SqliteBus};
use party_core::{Offset, SessionId};
use rusqlite::{Connection, OptionalExtension as _};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use std::{
    cell::{Cell, RefCell},
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _, stdin, stdout},
    mem::MaybeUninit,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};
use tokio::runtime::Runtime;

const PAIRS: usize = 24;
/// Commits of a block.
const COMMITS: usize = 60;
/// From one commit to the next, so that each is waited for.
const PAUSE: Duration = Duration::from_millis(1);
/// Says to the writer where to write.
const FOLDER: &str = "PARTY_BENCH_OTHER_PROCESS";

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write_when_told(Path::new(&folder));
    }
    if !is_bench_run() {
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    let bus = Arc::new(runtime.block_on(SqliteBus::open(store(folder.path()))).expect("a store opens"));
    let writer = RefCell::new(Writer::start(folder.path()));
    let ear = Ear::new(folder.path());
    let mut head = Offset(1);
    let mut compare = |name: &str, raw: &str, their_way: &dyn Fn() -> u64| {
        let all = [RefCell::default(), RefCell::default()];
        let measured = Pairs::on_disk(PAIRS, folder.path()).run(
            || {
                writer.borrow_mut().tell("bus");
                let read = runtime.block_on(follow(&bus, head));
                head = head.plus(COMMITS as u64);
                p50(&all[0], writer.borrow_mut().latencies(&read))
            },
            || {
                writer.borrow_mut().tell(raw);
                let seen = ear.hear(their_way);
                p50(&all[1], writer.borrow_mut().latencies(&seen))
            },
        );
        row(name, raw, &measured, all.map(RefCell::into_inner))
    };
    let rows = [
        compare("other_process_sees_commit_p50_vs_raw", "ring", &|| ear.rung()),
        compare("other_process_sees_commit_p50_vs_raw_reader", "commit and ring", &|| ear.read()),
    ];
    writer.into_inner().end();
    runtime.block_on(party_bus::Bus::close(&*bus)).expect("the store closes");
    report(rows)
}

fn row(name: &str, raw: &str, measured: &Measured, [ours, theirs]: [Vec<f64>; 2]) -> Row {
    let (left, right) = measured.sides;
    let what = format!(
        "commit to row read elsewhere (p50 {left:.0}, p99 {:.0} us) / raw {raw} (p50 {right:.0}, p99 {:.0} us); \
         a sync {:.0} us",
        quantile(&ours, 0.99),
        quantile(&theirs, 0.99),
        measured.sync_us
    );
    Row::timed(name, Goal::AtMost(3.0), measured, what)
}

fn p50(all: &RefCell<Vec<f64>>, block: Vec<f64>) -> f64 {
    let median = quantile(&block, 0.5);
    all.borrow_mut().extend(block);
    median
}

/// Follows the writer's session as a host would; gives when each record was there.
async fn follow(bus: &Arc<SqliteBus>, head: Offset) -> Vec<u64> {
    let bus = Arc::clone(bus);
    // As a task: the main thread of a runtime is woken in another way than its workers.
    let following = tokio::spawn(async move {
        let (mut follow, mut times) = (bus.follow(session(), head), Vec::new());
        while times.len() < COMMITS {
            follow.next().await.expect("a record");
            times.push(now());
        }
        times
    });
    following.await.expect("the follower ends")
}

/// The raw program that hears.
struct Ear {
    inotify: std::os::fd::OwnedFd,
    bell: File,
    conn: Connection,
    /// The last number of the block before.
    seen: Cell<u64>,
}

impl Ear {
    fn new(folder: &Path) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC).expect("inotify");
        let path = raw_bell(folder);
        inotify::add_watch(&inotify, &path, WatchFlags::MODIFY).expect("a watch");
        Self { inotify, bell: File::open(path).expect("a bell"), conn: raw_store(folder), seen: Cell::new(0) }
    }

    /// The number of the last ring.
    fn rung(&self) -> u64 {
        let mut number = [0; 8];
        self.bell.read_exact_at(&mut number, 0).expect("the bell was rung");
        u64::from_ne_bytes(number)
    }

    /// The number of the last commit.
    fn read(&self) -> u64 {
        let select = self.conn.prepare_cached("SELECT number FROM said ORDER BY id DESC LIMIT 1");
        let number =
            select.and_then(|mut select| select.query_row([], |row| row.get::<_, i64>(0)).optional());
        number.expect("a query").unwrap_or_default().cast_unsigned()
    }

    /// When each ring of a block was seen, by what tells the number of the last one.
    fn hear(&self, last: &dyn Fn() -> u64) -> Vec<u64> {
        let (mut times, mut buffer) = (Vec::new(), [MaybeUninit::uninit(); 512]);
        let mut events = Reader::new(&self.inotify, &mut buffer);
        while times.len() < COMMITS {
            events.next().expect("an event");
            // An event may be left of a block whose last number was there before it.
            let new = last().saturating_sub(self.seen.get()) as usize;
            times.resize(new.max(times.len()), now());
        }
        self.seen.set(self.seen.get() + times.len() as u64);
        times
    }
}

/// The process that writes, as this one sees it.
struct Writer {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Writer {
    fn start(folder: &Path) -> Self {
        let program = std::env::current_exe().expect("a binary has a path");
        let mut command = Command::new(program);
        command.env(FOLDER, folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("this program starts");
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut writer = Self { process, orders, answers };
        assert_eq!(writer.answer(), "ready\n");
        writer
    }

    fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the writer reads");
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the writer answers");
        line
    }

    /// From its commits of this block to `seen`, in microseconds.
    fn latencies(&mut self, seen: &[u64]) -> Vec<f64> {
        let line = self.answer();
        let committed = line.split_whitespace().map(|time| time.parse::<u64>().expect("a time"));
        committed
            .zip(seen)
            .map(|(from, to)| to.cast_signed().wrapping_sub_unsigned(from) as f64 / 1e3)
            .collect()
    }

    fn end(self) {
        let Self { mut process, orders, .. } = self;
        drop(orders);
        process.wait().expect("it is our child");
    }
}

/// What the writing process does.
fn write_when_told(folder: &Path) -> ExitCode {
    let runtime = Runtime::new().expect("a runtime starts");
    let bus = Arc::new(runtime.block_on(SqliteBus::open(store(folder))).expect("a store opens"));
    let mut driven = runtime.block_on(Driven::open(&*bus, 0)).expect("a session opens");
    let open = |path| OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("a file");
    let (disk, bell, conn) = (open(folder.join("raw")), open(raw_bell(folder)), raw_store(folder));
    answer("ready");
    let mut number = 0_u64;
    for order in stdin().lock().lines() {
        let mut times = Vec::new();
        for _ in 0..COMMITS {
            thread::sleep(PAUSE);
            match order.as_deref().expect("an order is a text") {
                "bus" => {
                    let (bus, batch) = (Arc::clone(&bus), driven.batch());
                    let append = async move {
                        party_bus::Bus::append(&*bus, batch).await.expect("the batch is right");
                        now()
                    };
                    times.push(runtime.block_on(runtime.spawn(append)).expect("the append ends"));
                    continue;
                }
                // The disk is as busy as with a commit.
                "ring" => disk.write_all_at(&[7; 4_096], 0).and_then(|()| disk.sync_data()).expect("a sync"),
                _ => commit(&conn, number + 1),
            }
            times.push(now());
            number += 1;
            bell.write_all_at(&number.to_ne_bytes(), 0).expect("the bell is rung");
        }
        answer(&times.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    }
    ExitCode::SUCCESS
}

fn commit(conn: &Connection, number: u64) {
    let mut insert = conn
        .prepare_cached("INSERT INTO said (number, body) VALUES (?1, zeroblob(800))")
        .expect("a statement");
    insert.execute([number.cast_signed()]).expect("a commit");
}

/// The raw program's own store, with the pragmas of a Party store.
fn raw_store(folder: &Path) -> Connection {
    let conn = Connection::open(folder.join("raw.db")).expect("a file opens");
    let made = conn.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = wal; PRAGMA synchronous = full;
         CREATE TABLE IF NOT EXISTS said (id INTEGER PRIMARY KEY, number INTEGER, body BLOB)",
    );
    made.expect("a table");
    conn
}

fn answer(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("somebody reads");
}

fn store(folder: &Path) -> PathBuf {
    folder.join("store.db")
}

fn raw_bell(folder: &Path) -> PathBuf {
    folder.join("raw.bell")
}

fn session() -> SessionId {
    Driven::id(0)
}

/// On a clock that all processes share, in nanoseconds.
fn now() -> u64 {
    let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
