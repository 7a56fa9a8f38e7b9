//! The socket of a council with the real `socat`: `PARTY_TEST_SOCAT` names it, else it is looked for in
//! the path.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::dialogue::{Council, Ways, ask, speak_into_a_council};
use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
};

fn socat_binary() -> OsString {
    env::var_os("PARTY_TEST_SOCAT").unwrap_or_else(|| "socat".into())
}

fn spawn(command: &mut Command) -> Child {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    child
        .unwrap_or_else(|error| panic!("{command:?}: {error}: install socat, or name it by PARTY_TEST_SOCAT"))
}

fn socat(socket: &Path) -> Ways {
    let mut command = Command::new(socat_binary());
    let mut child = spawn(command.arg("-").arg(format!("UNIX-CONNECT:{}", socket.display())));
    let ways: Ways = (Box::new(child.stdin.take().unwrap()), Box::new(child.stdout.take().unwrap()));
    // It ends with its input or its connection; nobody has to wait for it.
    std::thread::spawn(move || child.wait());
    ways
}

#[test]
fn b10_a_running_council_is_followed_spoken_into_and_stopped_with_socat() {
    speak_into_a_council(socat);
}

/// The lines of the README that call socat, as a shell reads them.
fn readme_lines() -> Vec<&'static str> {
    let lines = include_str!("../../README.md").lines();
    lines.filter(|line| line.contains("| socat ")).collect()
}

#[test]
fn the_readme_s_lines_list_post_and_follow() {
    let council = Council::start();
    let session = council.place.sessions().remove(0);
    let shell = |line: &str| {
        let script =
            format!("socat() {{ command \"$SOCAT\" \"$@\"; }}\n{}", line.replace("SESSION", &session));
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("SOCAT", socat_binary());
        spawn(command.current_dir(council.place.path(".")))
    };
    let said = |child: Child| -> Vec<Value> {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let lines = readme_lines();
    let [list, post, follow] = lines.as_slice() else { panic!("three lines: {lines:?}") };
    let listed = said(shell(list));
    assert_eq!(listed[0]["ok"]["sessions"][0]["session"], session);
    let posted = said(shell(post));
    assert_eq!(posted[0]["ok"]["repeated"], false, "{posted:?}");

    let mut following = shell(follow);
    let mut first = [0; 1];
    following.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let stop = json!({ "id": 1, "type": "command", "session": session, "command": { "type": "stop" } });
    ask(socat(&council.socket()), &stop);
    let mut rest = String::new();
    following.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    following.wait().unwrap();
    let told: Vec<Value> = rest.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |kind: &str| told.iter().any(|line| line["record"]["kind"] == kind);
    assert!(has("sessionOpened") && has("messagePosted") && has("sessionClosed"), "{told:?}");
    assert_eq!(told.last().unwrap()["ended"]["kind"], "closed");
    council.was_stopped();
}
