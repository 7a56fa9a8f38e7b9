//! A council with a socket, and whoever speaks into it.
#![expect(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{
    Place,
    dialogue::{Council, Ways, speak_into_a_council},
    said, stderr,
};
use std::{
    io::{self, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
};

/// The half that writes; dropped, it says that nothing more comes.
struct Ending(UnixStream);

impl Write for Ending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

fn connect(socket: &Path) -> Ways {
    let stream = UnixStream::connect(socket).unwrap();
    (Box::new(Ending(stream.try_clone().unwrap())), Box::new(stream))
}

#[test]
fn b10_a_running_council_is_followed_spoken_into_and_stopped_by_its_socket() {
    speak_into_a_council(connect);
}

#[test]
fn a_socket_that_cannot_be_is_bad_input_and_starts_no_session() {
    let place = Place::new();
    let long = "x".repeat(120);
    for (path, expected) in
        [("party.db", "is no socket"), ("no/sock", "does not exist"), (&long, "at most 107 bytes")]
    {
        let output = place.council(&["Ship?", "--personas", "mary", "--socket", path]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(
            stderr(&output).contains("--socket: ") && stderr(&output).contains(expected),
            "{}",
            said(&output)
        );
        assert_eq!(place.sessions(), [""; 0]);
    }
}

#[test]
fn a_second_council_does_not_take_the_socket_of_one_that_runs() {
    let council = Council::start();
    let output =
        council.place.council(&["Ship?", "--personas", "mary", "--socket", "party.sock"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(stderr(&output).contains("another server listens on party.sock"), "{}", said(&output));
    let session = council.place.sessions().remove(0);
    let stop =
        serde_json::json!({ "id": 1, "type": "command", "session": session, "command": { "type": "stop" } });
    common::dialogue::ask(connect(&council.socket()), &stop);
    council.was_stopped();
}
