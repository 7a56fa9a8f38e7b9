//! The wire form: what a released version wrote is read for ever, and written back as it was.
#![expect(clippy::unwrap_used, reason = "test code")]

use party_core::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const V1: &str = include_str!("fixtures/v1/records.jsonl");

fn samples() -> Vec<NewRecord> {
    let (document, format) = Document::new("{}");
    let at = Timestamp::from_micros(1_795_174_556_804_000);
    let (feed, private) = (ThreadId::derive(&[b"feed"]), ThreadId::derive(&[b"mary"]));
    let turn = TurnId(Offset(7));
    let question = Item::message(ItemId::derive(&[b"q"]), Author::human("ann"), at, "Ship it?");
    let answer =
        Item::message(ItemId::derive(&[b"a"]), Author::agent("Mary"), at, "Yes.").answering(question.id);
    let (branch, tangent) = (ThreadId::derive(&[b"branch"]), ThreadKind::Tangent.id_of(&["feed", "2"]));
    let summary = Item::summary(ItemId::derive(&[b"s"]), Author::System, at, "They agreed.");
    let seat = SeatSpec {
        name: "Mary".into(),
        role: "persona".into(),
        thread: private,
        prompt: document.clone(),
        harness: "scripted".into(),
        model: Some("small".into()),
    };
    let opened = SessionOpened {
        min_engine: 1,
        format_name: "council".into(),
        format: document,
        feed,
        seats: vec![seat],
        budget: Some(BudgetTerms {
            cap: Usd::from_micros(1_500_000),
            per_turn: Some(Usd::from_micros(300_000)),
        }),
        host_tools: vec![HostToolTerms { name: "lookup".into(), idempotent: true }],
    };
    let new = |event: Event| NewRecord::new(at, &event);
    let absence = Absence { seat: SeatId(1), reason: AbsenceReason::TimedOut };
    let invocation = QueuedInvocation {
        seat: SeatId(0),
        intent: "opine".into(),
        because: vec![question.id],
        reaction: false,
        nudge: 1,
    };
    let usage: Usage =
        serde_json::from_value(json!({ "inputTokens": 100, "outputTokens": 42, "steps": 1 })).unwrap();
    let said = Op::Add { threads: vec![private], item: answer.id, how: How::Said };
    let shared =
        Op::Add { threads: vec![feed], item: answer.id, how: How::Delivered { from: Some(private) } };
    vec![
        new(opened.into())
            .with_item(format)
            .with_op(Op::Open { thread: feed, kind: ThreadKind::Feed })
            .with_op(Op::Open { thread: private, kind: ThreadKind::Private }),
        new(MessagePosted { item: question.id }.into()).with_item(question.clone()),
        new(Commanded { command: Command::Stop }.into()),
        new(Commanded { command: Command::Answer { turn, request: "q1".into(), answer: Permission::Allow } }
            .into()),
        new(Delivered { item: question.id, by: None, turn: None }.into()),
        new(BudgetReserved { role: "judge".into(), amount: Usd::from_micros(300_000) }.into()),
        new(Queued { invocations: vec![invocation] }.into()),
        new(TurnStarted {
            seat: SeatId(0),
            intent: "opine".into(),
            because: vec![question.id],
            visible_up_to: Offset(6),
            round: 1,
            reserve: Some(Usd::from_micros(300_000)),
            absent: vec![absence.clone()],
            nudge: 1,
        }
        .into()),
        new(LeaseTaken { owner: "host:1".into(), fencing_token: 2 }.into()),
        new(RuntimeBound { seat: SeatId(0), token: json!({ "turns": 1 }), seen: turn }.into()).in_turn(turn),
        new(Traced { turn, attempt: 1, event: json!({ "type": "text", "text": "Yes." }) }.into())
            .in_turn(turn),
        new(ToolCalled {
            turn,
            attempt: 1,
            call: "c1".into(),
            tool: "share".into(),
            arguments: json!({ "text": "Yes." }),
        }
        .into()),
        new(ToolRan { turn, attempt: 1, call: "c2".into(), text: "found".into(), is_error: false }.into()),
        new(ReplyLost { turn, attempt: 1, call: "c2".into() }.into()),
        new(ToolAnswered {
            turn,
            attempt: 1,
            call: "c1".into(),
            text: "shared".into(),
            is_error: false,
            repeated: true,
        }
        .into()),
        new(PermissionAsked {
            turn,
            attempt: 1,
            request: "q1".into(),
            tool: "Bash".into(),
            input: json!({ "command": "ls" }),
        }
        .into()),
        new(PermissionAnswered {
            input: Offset(4),
            turn,
            attempt: 1,
            request: "q1".into(),
            answer: Permission::Deny { why: "not now".into() },
        }
        .into()),
        new(PermissionWithdrawn { turn, attempt: 1, request: "q1".into() }.into()),
        new(AttemptEnded {
            turn,
            attempt: 1,
            outcome: Outcome::Lost,
            cost: Cost::Unknown,
            reason: Some("gone".into()),
        }
        .into()),
        new(TurnEnded {
            turn,
            attempt: 2,
            outcome: Outcome::Completed,
            item: Some(answer.id),
            usage,
            cost: Cost::Reported(Usd::from_micros(1_490)),
            reason: None,
            failure: None,
            sent: Sent::Delta,
        }
        .into())
        .with_item(answer.clone())
        .with_op(said),
        new(Delivered { item: answer.id, by: Some(SeatId(0)), turn: Some(turn) }.into()).with_op(shared),
        new(Interrupted { turns: vec![turn] }.into()),
        new(Branched { thread: branch }.into()).with_op(Op::Branch {
            thread: branch,
            kind: ThreadKind::Other("whatIf".into()),
            from: feed,
            after: 1,
        }),
        new(TangentOpened { thread: tangent }.into()).with_op(Op::Tangent {
            thread: tangent,
            parent: feed,
            anchor: 2,
        }),
        new(TangentResolved { thread: tangent }.into())
            .with_op(Op::Resolve { thread: tangent, items: vec![answer.id] }),
        new(TangentAbandoned { thread: tangent }.into()).with_op(Op::Abandon { thread: tangent }),
        new(Compacted { thread: feed }.into()).with_item(summary.clone()).with_op(Op::Compact {
            thread: feed,
            first: 1,
            last: 2,
            item: summary.id,
        }),
        new(Forked { from: SessionId::derive(&[b"other"]), at: Offset(12) }.into())
            .with_item(question.erased())
            .with_op(Op::Close { thread: branch }),
        new(Quiesced { wave: 1, round: 1, spoke: vec![SeatId(0)], absent: vec![absence], trigger: Some(1) }
            .into()),
        new(Refused { input: Offset(2), why: "the message is empty".into() }.into()),
        new(SessionClosed { reason: CloseReason::Finished }.into()),
    ]
}

fn written() -> Vec<Value> {
    let session = SessionId::derive(&[b"fixture"]);
    let placed = (1..)
        .zip(samples())
        .map(|(offset, record)| record.placed(session, Offset(offset), Some(&Author::human("ann"))));
    placed.map(|record| serde_json::to_value(record).unwrap()).collect()
}

fn fixture() -> Vec<Record> {
    V1.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A change of the wire form fails here. Before the first release the fixture may follow it; from
/// then on it stays, and a new one is added.
#[test]
fn this_version_writes_what_the_fixture_holds() {
    let expected: Vec<Value> = V1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written = written();
    if expected != written {
        let lines: Vec<String> = written.iter().map(Value::to_string).collect();
        panic!("the wire form has changed; it is now:\n{}", lines.join("\n"));
    }
}

#[test]
fn the_fixture_holds_every_kind_of_event_and_all_of_them_are_understood() {
    let kinds: BTreeSet<String> = fixture().iter().map(|record| record.kind.clone()).collect();
    assert_eq!(kinds.len(), 29);
    for record in fixture() {
        let event = record.event().unwrap();
        assert!(!matches!(event, Event::Unknown { .. }), "{}", record.kind);
        assert_eq!((event.kind(), event.class()), (record.kind.as_str(), record.class));
    }
}

#[test]
fn unknown_fields_and_events_of_a_newer_writer_survive_a_copy() {
    for mut line in V1.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        line["body"]["fromTheFuture"] = json!([1, { "x": null }]);
        let record: Record = serde_json::from_value(line.clone()).unwrap();
        assert!(record.event().is_ok());
        assert_eq!(serde_json::to_value(&record).unwrap(), line);
        line["kind"] = json!("teleported");
        let record: Record = serde_json::from_value(line.clone()).unwrap();
        assert!(matches!(record.event(), Ok(Event::Unknown { kind, .. }) if kind == "teleported"));
        assert_eq!(serde_json::to_value(&record).unwrap(), line);
    }
}

#[test]
fn unknown_authors_kinds_blocks_and_ops_survive_a_copy() {
    let mut line: Value = serde_json::from_str(V1.lines().nth(1).unwrap()).unwrap();
    line["author"] = json!({ "type": "committee", "members": 3 });
    line["items"][0]["author"] = json!({ "type": "committee", "members": 3 });
    line["items"][0]["kind"] = json!("ballot");
    line["items"][0]["content"][0] = json!({ "type": "hologram", "depth": 2 });
    line["items"][0]["mood"] = json!("calm");
    let teleported = json!({ "type": "teleported", "via": [1] });
    line["ops"] = json!([
        { "op": "open", "thread": ThreadId::derive(&[b"a"]), "kind": "moot" },
        { "op": "add", "threads": [ThreadId::derive(&[b"a"])], "item": line["items"][0]["id"], "how": teleported },
        { "op": "merge", "threads": [1, 2] },
    ]);
    let record: Record = serde_json::from_value(line.clone()).unwrap();
    assert!(matches!(record.ops[..], [_, _, Op::Unknown(_)]));
    assert_eq!(serde_json::to_value(&record).unwrap(), line);
}

#[test]
fn a_known_tag_whose_fields_do_not_fit_is_an_error_that_names_it() {
    let misfits = [
        ("/ops/0", json!({ "op": "add", "threads": "x" }), "a `add` change of topology does not fit"),
        ("/ops/0", json!({ "threads": [] }), "change of topology has a `op`"),
        ("/author", json!({ "type": "human" }), "a `human` author does not fit"),
        ("/items/0/content/0", json!({ "type": "text" }), "a `text` content block does not fit"),
    ];
    for (place, misfit, told) in misfits {
        let mut line: Value = serde_json::from_str(V1.lines().nth(1).unwrap()).unwrap();
        line["ops"] = json!([null]);
        *line.pointer_mut(place).unwrap() = misfit;
        if place != "/ops/0" {
            line["ops"] = json!([]);
        }
        let error = serde_json::from_value::<Record>(line).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn an_item_erased_twice_is_the_same_and_says_nothing() {
    let item = Item::message(ItemId::derive(&[b"i"]), Author::human("ann"), Timestamp::default(), "a secret");
    let erased = item.erased();
    assert!(erased.is_erased() && !item.is_erased());
    assert_eq!(erased.erased(), erased);
    assert!(!serde_json::to_string(&erased).unwrap().contains("secret"));
    assert_eq!((erased.id, erased.author, erased.kind), (item.id, item.author, item.kind));
}

#[test]
fn a_known_event_whose_fields_do_not_fit_is_an_error_that_names_it() {
    let mut line: Value = serde_json::from_str(V1.lines().last().unwrap()).unwrap();
    line["body"]["reason"] = json!(7);
    let record: Record = serde_json::from_value(line).unwrap();
    assert!(record.event().unwrap_err().to_string().starts_with("a `sessionClosed` record does not fit: "));
}
