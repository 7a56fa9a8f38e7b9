//! What a client may ask for.

use super::reply::Trouble;
use crate::{Classes, Error, ErrorKind, Result};
use party_core::{Command, ItemId, RecordClass, SessionId, ThreadId, ThreadKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A longer name of a request is refused: each is held as long as what it follows.
const LONGEST_ID: usize = 128;

/// How a client names a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged, expecting = "an id is a text or a whole number from 0")]
pub(super) enum RequestId {
    Number(u64),
    Text(String),
}

/// A line of a client. Every field that is not named here is refused.
#[derive(Debug, Deserialize)]
struct Asked {
    id: RequestId,
    #[serde(flatten)]
    request: Request,
}

/// What can be told of a line that does not fit.
#[derive(Debug, Deserialize)]
struct Named {
    id: RequestId,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields,
    expecting = "a request is one JSON object with a `type`"
)]
pub(super) enum Request {
    Ping {},
    Post {
        session: SessionId,
        text: String,
        answers: Option<ItemId>,
        message_id: Option<String>,
    },
    Command {
        session: SessionId,
        command: Value,
    },
    Follow {
        session: SessionId,
        #[serde(default)]
        after: u64,
        classes: Option<Vec<RecordClass>>,
        epoch: Option<u64>,
    },
    Unfollow {
        follow: RequestId,
    },
    Read {
        session: SessionId,
        #[serde(default)]
        after: u64,
        classes: Option<Vec<RecordClass>>,
        epoch: Option<u64>,
        limit: Option<u32>,
    },
    Sessions {
        session: Option<SessionId>,
        kind: Option<String>,
        parent: Option<SessionId>,
        #[serde(default)]
        due: bool,
        #[serde(default)]
        skip: u64,
        limit: Option<u32>,
    },
    Threads {
        session: SessionId,
        thread: Option<ThreadId>,
        parent: Option<ThreadId>,
        kind: Option<ThreadKind>,
        #[serde(default)]
        skip: u64,
        limit: Option<u32>,
    },
    Window {
        session: SessionId,
        thread: ThreadId,
        before: Option<u64>,
        after: Option<u64>,
        #[serde(default)]
        archive: bool,
        limit: Option<u32>,
    },
    Items {
        items: Vec<ItemId>,
    },
}

/// Reads a line. A line that is no request comes back with its id, where it has one.
pub(super) fn parse(line: &str) -> Result<(RequestId, Request), (Option<RequestId>, Trouble)> {
    let (id, read) = match serde_json::from_str::<Asked>(line) {
        Ok(Asked { id, request }) => (Some(id), Ok(request)),
        Err(error) => (serde_json::from_str::<Named>(line).ok().map(|named| named.id), Err(error)),
    };
    match (id, read) {
        (Some(RequestId::Text(text)), _) if text.len() > LONGEST_ID => {
            Err((None, Trouble::invalid(format!("the id is longer than {LONGEST_ID} bytes"))))
        }
        (Some(id), Ok(request)) => Ok((id, request)),
        (id, Err(error)) => Err((id, Trouble::invalid(format!("the line is no request: {error}")))),
        (None, Ok(_)) => Err((None, Trouble::invalid("the line has no id"))),
    }
}

/// The set of classes that a request names; all but trace where it names none.
pub(super) fn classes(named: Option<Vec<RecordClass>>) -> Classes {
    named.map_or(Classes::FOLDED, |named| named.into_iter().collect())
}

/// Reads a command: one that this version knows, without anything beside it.
pub(super) fn command(given: &Value) -> Result<Command> {
    let invalid = |why: String| Error::new(ErrorKind::Invalid, why);
    let command = <Command as Deserialize>::deserialize(given).map_err(|error| invalid(error.to_string()))?;
    if let Command::Unknown(_) = &command {
        let tag = given.get("type").and_then(Value::as_str).unwrap_or_default();
        return Err(invalid(format!("unknown command `{tag}`; there are: stop, close, answer")));
    }
    let known = serde_json::to_value(&command).map_err(|error| invalid(error.to_string()))?;
    match surplus(given, &known, "command") {
        None => Ok(command),
        Some(field) => Err(invalid(format!("unknown field `{field}`"))),
    }
}

/// The first field of `given` that was not read.
fn surplus(given: &Value, known: &Value, name: &str) -> Option<String> {
    let (Value::Object(given), Value::Object(known)) = (given, known) else {
        return (given != known).then(|| name.to_owned());
    };
    given.iter().find_map(|(field, given)| {
        let name = format!("{name}.{field}");
        match known.get(field) {
            None => Some(name),
            Some(known) => surplus(given, known, &name),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn refused(line: &str) -> (Option<RequestId>, String) {
        let (id, trouble) = parse(line).unwrap_err();
        (id, serde_json::to_value(trouble).unwrap()["message"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_request_has_an_id_a_type_and_the_fields_of_its_type() {
        let session = SessionId::derive(&[]);
        let line = json!({ "id": 7, "type": "post", "session": session, "text": "hi" }).to_string();
        let post = Request::Post { session, text: "hi".into(), answers: None, message_id: None };
        assert_eq!(parse(&line).unwrap(), (RequestId::Number(7), post));
        assert_eq!(parse(r#"{"type":"ping","id":"a"}"#).unwrap().1, Request::Ping {});
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name_under_its_id() {
        let session = SessionId::derive(&[]);
        let deep = format!(r#"{{"id":1,"type":"ping","x":{}1{}}}"#, "[".repeat(9_000), "]".repeat(9_000));
        for (line, has_id, expected) in [
            (r#"{"id":1,"type":"ping","author":"bob"}"#, true, "unknown field `author`"),
            (r#"{"id":1,"type":"lease"}"#, true, "unknown variant `lease`"),
            (r#"{"id":1}"#, true, "missing field `type`"),
            (r#"{"id":1,"type":"read"}"#, true, "missing field `session`"),
            (&format!(r#"{{"id":1,"type":"read","session":"{session}","after":-1}}"#), true, "integer `-1`"),
            (&format!(r#"{{"id":1,"type":"read","session":"{session}","limit":5e9}}"#), true, "expected u32"),
            (
                &format!(r#"{{"id":1,"type":"read","session":"{session}","after":1,"after":2}}"#),
                true,
                "duplicate",
            ),
            (r#"{"id":1,"id":2,"type":"ping"}"#, false, "duplicate field `id`"),
            (r#"{"id":1,"type":"ping","type":"ping"}"#, true, "duplicate field `type`"),
            (r#"{"type":"ping"}"#, false, "missing field `id`"),
            (r#"{"id":-1,"type":"ping"}"#, false, "an id is a text or a whole number"),
            (r#"{"id":1e400,"type":"ping"}"#, false, "out of range"),
            (r#"[1,"ping"]"#, false, "invalid type"),
            ("7", false, "invalid type"),
            (r#"{"id":1,"type":"ping"} {}"#, false, "trailing characters"),
            (&deep, true, "recursion limit"),
            (&format!(r#"{{"id":"{}","type":"ping"}}"#, "x".repeat(129)), false, "longer than 128 bytes"),
        ] {
            let (id, why) = refused(line);
            assert!(why.contains(expected), "{why}: {expected}");
            assert_eq!(id, has_id.then_some(RequestId::Number(1)), "{expected}: {why}");
        }
    }

    #[test]
    fn a_command_is_one_that_there_is_and_nothing_beside_it() {
        let answer = json!({ "type": "answer", "turn": 7, "request": "q", "answer": { "type": "allow" } });
        for known in [json!({ "type": "stop" }), json!({ "type": "close" }), answer.clone()] {
            assert_eq!(serde_json::to_value(command(&known).unwrap()).unwrap(), known);
        }
        let mut more = answer;
        more["answer"]["author"] = json!("bob");
        for (given, expected) in [
            (json!({ "type": "seat" }), "unknown command `seat`; there are: stop, close, answer"),
            (json!({ "type": "stop", "by": "bob" }), "unknown field `command.by`"),
            (more, "unknown field `command.answer.author`"),
            (json!(["stop"]), "unknown field `command`"),
            (json!({ "type": "answer" }), "the command `answer` does not fit"),
        ] {
            let why = command(&given).unwrap_err().to_string();
            assert!(why.starts_with(expected) || why.starts_with("a command has a `type`"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(line in "\\PC*|\\{(\"(id|type|session|command)\":[\\[\\{0-9a-z\",:\\}\\]]*,?)*\\}") {
            let _ = parse(&line);
        }
    }
}
