//! Somebody speaks into a running council by its socket.
#![allow(dead_code, clippy::unwrap_used, reason = "test code; each test binary uses a part of it")]

use super::{Place, said};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Stdio},
};

/// A way to the socket: what is written to it, and what is read from it. Dropping the first ends the input.
pub(crate) type Ways = (Box<dyn Write>, Box<dyn Read>);

/// A council that waits for Mary, who says nothing.
pub(crate) struct Council {
    pub(crate) place: Place,
    child: Child,
}

impl Council {
    pub(crate) fn start() -> Self {
        let place = Place::new();
        fs::write(place.path("hang.yaml"), "agents: {Mary: [{hang: true}]}").unwrap();
        let args = ["Ship?", "--personas", "mary", "--script", "hang.yaml", "--socket", "party.sock"];
        let mut council = place.council(&args);
        let mut child = council.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.as_mut().unwrap()).lines();
        assert!(told.any(|line| line.unwrap() == "Mary: thinks (round 1)"));
        Self { place, child }
    }

    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.place.path("party.sock")
    }

    /// The session and its council end as one that was stopped.
    pub(crate) fn was_stopped(self) -> Place {
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(!self.place.path("party.sock").exists());
        self.place
    }
}

/// One request and its answer, as `echo REQUEST | socat` gives it.
pub(crate) fn ask((mut to, mut from): Ways, request: &Value) -> Value {
    writeln!(to, "{request}").unwrap();
    to.flush().unwrap();
    drop(to);
    let mut told = String::new();
    from.read_to_string(&mut told).unwrap();
    serde_json::from_str(&told).unwrap_or_else(|_| panic!("one line: {told}"))
}

/// Follows a council, posts to it, stops it.
pub(crate) fn speak_into_a_council(connect: impl Fn(&Path) -> Ways) {
    let council = Council::start();
    let socket = council.socket();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let (mut to, from) = connect(&socket);
    let mut lines = BufReader::new(from).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    writeln!(to, r#"{{"id":1,"type":"sessions"}}"#).unwrap();
    to.flush().unwrap();
    let sessions: Value = lines.next().unwrap();
    let session = sessions["ok"]["sessions"][0]["session"].clone();
    writeln!(to, "{}", json!({ "id": 2, "type": "follow", "session": session })).unwrap();
    to.flush().unwrap();
    assert_eq!(lines.next().unwrap()["id"], 2);
    assert_eq!(lines.next().unwrap()["record"]["kind"], "sessionOpened");

    let text = "What would it cost?";
    let post = json!({ "id": 1, "type": "post", "session": session, "text": text, "messageId": "cost" });
    let (first, again) = (ask(connect(&socket), &post), ask(connect(&socket), &post));
    assert_eq!((&first["ok"]["repeated"], &again["ok"]["repeated"]), (&json!(false), &json!(true)));
    let posted =
        lines.find(|line| line["record"]["offset"] == first["ok"]["first"]).unwrap()["record"].clone();
    assert_eq!(
        (&posted["kind"], &posted["author"]),
        (&json!("messagePosted"), &json!({ "type": "human", "name": "you" }))
    );
    assert_eq!(posted["items"][0]["content"][0]["text"], text);

    let stop = json!({ "id": 1, "type": "command", "session": session, "command": { "type": "stop" } });
    assert!(ask(connect(&socket), &stop)["ok"].is_object());
    let rest: Vec<Value> = lines.collect();
    let [.., closed, ended] = rest.as_slice() else { panic!("an end: {rest:?}") };
    assert_eq!(closed["record"]["kind"], "sessionClosed");
    assert_eq!((&ended["follow"], &ended["ended"]["kind"]), (&json!(2), &json!("closed")));
    let offsets: Vec<u64> = rest.iter().filter_map(|line| line["record"]["offset"].as_u64()).collect();
    assert!(offsets.windows(2).all(|two| two[0] < two[1]), "{offsets:?}");
    council.was_stopped();
}
