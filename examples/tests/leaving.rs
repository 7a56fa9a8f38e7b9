//! Councils that are interrupted, taken over, or lose their session.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Place, said};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStderr, Command, Stdio},
};

/// A council that waits for Mary, who says nothing more, and what it says on standard error.
struct Hanging {
    child: Child,
    told: Lines<BufReader<ChildStderr>>,
}

const SCRIPT: &str = "agents: {Mary: [{hang: true}], Maat: [{say: settled}]}";

impl Hanging {
    fn start(place: &Place, args: &[&str]) -> Self {
        fs::write(place.path("hang it.yaml"), SCRIPT).unwrap();
        let mut council = place.council(&["Ship?", "--personas", "mary", "--script", "hang it.yaml"]);
        council.args(args);
        Self::spawn(council)
    }

    fn spawn(mut council: Command) -> Self {
        let mut child = council.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let told = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut hanging = Self { child, told };
        hanging.wait_for("Mary: thinks (round 1)");
        hanging
    }

    fn wait_for(&mut self, expected: &str) {
        assert!(self.told.any(|line| line.unwrap() == expected), "{expected}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code, and what was said last.
    fn end(self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait_with_output().unwrap().status.code();
        (code, self.told.map(Result::unwrap).collect())
    }
}

/// The command after `go on with:`, for the binary itself.
fn go_on(place: &Place, told: &[String]) -> Command {
    let at = told.iter().position(|line| line.ends_with("go on with:")).unwrap();
    let words = told[at + 1].trim().strip_prefix("cargo run --example council -- ").unwrap();
    let mut shell = Command::new("sh");
    let council = place.command("council");
    shell.arg("-c").arg(format!("exec '{}' {words}", council.get_program().display()));
    shell.env_clear().env("HOME", place.path(".")).current_dir(place.path("."));
    shell
}

#[test]
fn ctrl_c_a_request_to_end_and_a_hang_up_leave_a_resumable_party_and_exit_code_130() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let place = Place::new();
        let council = Hanging::start(&place, &["--pass-env", "HOME,PATH"]);
        council.signal(signal);
        let (code, told) = council.end();
        assert_eq!(code, Some(130), "{signal:?}: {told:?}");

        fs::write(place.path("hang it.yaml"), "agents: {Mary: [{say: yes}], Maat: [{say: settled}]}")
            .unwrap();
        let mut again = go_on(&place, &told);
        let output = again.env("PATH", "/usr/bin:/bin").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{again:?}: {}", said(&output));
        let session = place.sessions().remove(0);
        assert!(told.last().unwrap().contains(&session));
        assert!(told.last().unwrap().ends_with("--pass-env HOME,PATH --script 'hang it.yaml'"), "{told:?}");
    }
}

#[test]
fn a_hang_up_that_leaves_nobody_to_listen_is_exit_code_130_too() {
    let place = Place::new();
    let Hanging { child, told } = Hanging::start(&place, &[]);
    drop(told);
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn under_nohup_a_hang_up_changes_nothing() {
    let place = Place::new();
    fs::write(place.path("script.yaml"), SCRIPT).unwrap();
    let council =
        place.council(&["Ship?", "--personas", "mary", "--script", "script.yaml", "--timeout", "1"]);
    let mut nohup = Command::new("nohup");
    nohup.arg(council.get_program()).args(council.get_args()).current_dir(place.path("."));
    let council = Hanging::spawn(nohup);
    council.signal(Signal::HUP);
    let (code, told) = council.end();
    assert_eq!(code, Some(1), "{told:?}");
    assert_eq!(told.last().unwrap(), "council: no result: too few spoke");
}

#[test]
fn a_follower_takes_over_when_the_driver_is_killed() {
    let place = Place::new();
    let mut driver = Hanging::start(&place, &[]);
    let session = place.sessions().remove(0);
    let follower = Hanging::spawn(place.council(&["--resume", &session]));
    driver.child.kill().unwrap();
    driver.child.wait().unwrap();
    let (code, told) = follower.end();
    assert_eq!(code, Some(0), "{told:?}");
    assert!(told.contains(&"its driver is gone; this process goes on with it".to_owned()), "{told:?}");
    assert_eq!(place.records(&session).last().unwrap()["body"]["reason"], "finished");
}

#[test]
fn a_follower_that_is_interrupted_leaves_the_driver_alone() {
    let place = Place::new();
    let driver = Hanging::start(&place, &[]);
    let session = place.sessions().remove(0);
    let follower = Hanging::spawn(place.council(&["--resume", &session]));
    follower.signal(Signal::TERM);
    assert_eq!(follower.end().0, Some(130));
    driver.signal(Signal::TERM);
    assert_eq!(driver.end().0, Some(130));
}

#[test]
fn a_driver_that_lost_its_lease_says_how_to_go_on() {
    let place = Place::new();
    let driver = Hanging::start(&place, &[]);
    // As if it had been paused for longer than its lease, and another had the session since.
    let store = rusqlite::Connection::open(place.store()).unwrap();
    store.execute("UPDATE session SET lease_token = lease_token + 1", []).unwrap();
    let (code, told) = driver.end();
    assert_eq!(code, Some(130), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("council: the lease of the session")), "{told:?}");
    assert!(told.iter().any(|line| line == "interrupted; cost so far: 0.00 USD"), "{told:?}");
    assert!(told.last().unwrap().contains("--resume ses_"), "{told:?}");
}
