//! A host in a process of its own, which is there to be killed.

use crate::{
    stage::{QUESTION, Stage, council},
    tool::desk,
    way::Way,
};
use party_launch::{
    Party, PartyBuilder, Seat,
    bus::{
        Batch, Bus, BusInfo, Changed, Lease, LeaseOp, Page, Read, Receipt, Result, SessionInfo, SessionQuery,
        SqliteBus, ThreadInfo, ThreadQuery, Watch, Window, async_trait,
    },
    core::{Entry, Item, ItemId, Record, SessionId},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};
use test_support::claude_env;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

const HOST: &str = "PARTY_TEST_HOST";

pub(crate) fn home(root: &Path) -> PathBuf {
    root.join("home")
}

pub(crate) async fn bus(root: &Path) -> SqliteBus {
    SqliteBus::open(root.join("party.db")).await.unwrap()
}

pub(crate) fn builder(way: Way, root: &Path, url: &str, bus: Arc<dyn Bus>) -> PartyBuilder {
    let mut env: BTreeMap<String, String> = claude_env(&home(root), url).into_iter().collect();
    env.insert("CLAUDE_CODE_MAX_RETRIES".into(), "1".into());
    Party::builder(bus).harness(way.harness().env(env.clone())).environment(env).folder(root.join("seats"))
}

pub(crate) fn forum(builder: PartyBuilder) -> PartyBuilder {
    builder.seat(Seat::new("Ada", "participant")).seat(Seat::new("Bob", "participant"))
}

pub(crate) fn with_council(mut builder: PartyBuilder, rounds: u32) -> PartyBuilder {
    let (format, seats) = council(rounds);
    for seat in seats {
        builder = builder.seat(seat);
    }
    builder.format(format).budget("1.50".parse().unwrap(), None)
}

/// Drives a party until it is killed. By itself, as a test among others, it does nothing.
#[tokio::test]
async fn child_process_that_hosts() {
    let Ok(order) = std::env::var(HOST) else { return };
    let [kind, way, url, root] = order.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{order}") };
    let (way, root) = (Way::parse(way), Path::new(root));
    let inner: Arc<dyn Bus> = Arc::new(bus(root).await);
    let party = match kind {
        "forum" => forum(builder(way, root, url, Arc::new(Parking { inner }))),
        "desk" => desk(builder(way, root, url, Arc::new(Parking { inner })), root),
        _ => with_council(builder(way, root, url, inner), 2),
    };
    let party = party.start(QUESTION).await.unwrap();
    tell(&format!("session {}", party.session()));
    let _ = party.finished().await;
    std::future::pending::<()>().await;
}

/// The test harness writes on the same line.
#[expect(clippy::print_stdout, reason = "the host reports to its test")]
fn tell(line: &str) {
    println!("\n{line}");
}

/// A host that runs, and the session that it drives.
pub(crate) struct Host {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) session: SessionId,
}

impl Host {
    pub(crate) async fn start(stage: &Stage, kind: &str) -> Self {
        let order = format!("{kind} {} {} {}", stage.way, stage.fake.base_url(), stage.root().display());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "host::child_process_that_hosts", "--nocapture"]).env_clear();
        command.env(HOST, order).env(stage.way.version.variable(), stage.way.version.binary());
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut host = Self { child, lines, session: SessionId::derive(&[]) };
        host.session = host.told("session ").await.parse().unwrap();
        host
    }

    /// Waits for a line and returns what stands behind its beginning.
    pub(crate) async fn told(&mut self, beginning: &str) -> String {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("the host ended by itself");
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A bus that never returns from the append that answers a tool call: it is stored, and whoever waits
/// for the answer waits for ever.
#[derive(Debug)]
struct Parking {
    inner: Arc<dyn Bus>,
}

#[async_trait]
impl Bus for Parking {
    fn info(&self) -> &BusInfo {
        self.inner.info()
    }

    async fn append(&self, batch: Batch) -> Result<Receipt> {
        let answers =
            batch.records.iter().any(|record| record.kind == "toolAnswered" || record.kind == "toolRan");
        let receipt = self.inner.append(batch).await?;
        if answers {
            tell("answered");
            std::future::pending::<()>().await;
        }
        Ok(receipt)
    }

    async fn read(&self, read: Read) -> Result<Page<Arc<Record>>> {
        self.inner.read(read).await
    }

    async fn changed(&self, watch: Watch) -> Result<Changed> {
        self.inner.changed(watch).await
    }

    async fn lease(&self, op: LeaseOp) -> Result<Option<Lease>> {
        self.inner.lease(op).await
    }

    async fn sessions(&self, query: SessionQuery) -> Result<Page<SessionInfo>> {
        self.inner.sessions(query).await
    }

    async fn threads(&self, query: ThreadQuery) -> Result<Page<ThreadInfo>> {
        self.inner.threads(query).await
    }

    async fn window(&self, window: Window) -> Result<Page<Entry>> {
        self.inner.window(window).await
    }

    async fn items(&self, ids: &[ItemId]) -> Result<Vec<Arc<Item>>> {
        self.inner.items(ids).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}
