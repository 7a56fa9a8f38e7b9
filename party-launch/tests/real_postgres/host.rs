//! The first host, in a process of its own.

use crate::{
    common::{council, script},
    named::Named,
};
use party_launch::{
    core::SessionId,
    harness::scripted::{Script, Step},
};
use std::{process::Stdio, time::Instant};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

const HOST: &str = "PARTY_TEST_HOST";

pub(crate) const QUESTION: &str = "Ship?";
pub(crate) const ROUNDS: u32 = 2;

/// Mary is the last in round 2, where she answers or never does.
pub(crate) fn mary(hangs: bool) -> Script {
    let says = |ms, text: &str| Step { cost_usd: 0.01, ..Step::say(ms, text) };
    let second = Step { hang: hangs, ..says(60, "Mary in round 2, having read: {question}") };
    script().agent("Mary", [says(12, "Mary in round 1"), second])
}

/// Drives a council in which Mary hangs, until its standard input ends; then it lets it go, and lives on.
/// By itself, as a test among others, it does nothing.
#[tokio::test]
async fn child_process_that_hosts() {
    let Ok(order) = std::env::var(HOST) else { return };
    let (url, schema) = order.split_once(' ').unwrap();
    let bus = Named::open("host-a", url, schema).await;
    let party = council(bus, mary(true), ROUNDS).start(QUESTION).await.unwrap();
    tell(&format!("session {}", party.session()));
    let told = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    assert_eq!(told.await.unwrap().unwrap(), 0);
    party.shutdown().await.unwrap();
    tell("let go");
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
    /// Before it was there, so before it took a lease.
    pub(crate) before: Instant,
}

impl Host {
    pub(crate) async fn start(url: &str, schema: &str) -> Self {
        let before = Instant::now();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "host::child_process_that_hosts", "--nocapture"]);
        command.env_clear().env(HOST, format!("{url} {schema}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut host = Self { child, lines, session: SessionId::derive(&[]), before };
        host.session = host.told("session ").await.parse().unwrap();
        host
    }

    /// Waits for a line and returns what stands behind its beginning.
    async fn told(&mut self, beginning: &str) -> String {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("the host ended by itself");
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// By SIGKILL; it is gone when this returns.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Has it shut its party down; it lives on.
    pub(crate) async fn let_go(&mut self) {
        drop(self.child.stdin.take());
        self.told("let go").await;
    }
}
