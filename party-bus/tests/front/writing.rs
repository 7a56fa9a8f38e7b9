//! Posts and commands, and all that is not to be written.

use crate::{Client, Stage};
use party_bus::{BusExt as _, Classes, front::FrontOptions};
use party_core::{Author, BatchId, Event, ItemId, Offset, RecordClass, SessionId};
use serde_json::{Value, json};

fn post(session: SessionId, text: &str) -> Value {
    json!({ "id": "p", "type": "post", "session": session, "text": text })
}

fn named(session: SessionId, text: &str, name: &str) -> Value {
    let mut post = post(session, text);
    post["messageId"] = json!(name);
    post
}

#[tokio::test]
async fn b10_a_post_is_an_input_of_one_item_by_whoever_the_credential_says() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    let said = client.ask(post(stage.sample.session, "Ship it.\nNow.")).await;
    let item: ItemId = said["ok"]["item"].as_str().unwrap().parse().unwrap();
    assert_eq!(said, json!({ "id": "p", "ok": { "first": 2, "last": 2, "item": item, "repeated": false } }));

    let answer = json!({ "id": "p", "type": "post", "session": stage.sample.session, "text": "Why?", "answers": item });
    let second: ItemId = client.ask(answer).await["ok"]["item"].as_str().unwrap().parse().unwrap();
    let records = stage.bus.read_to_end(stage.sample.session, Offset(1), Classes::ALL).await.unwrap();
    for (record, (item, text)) in records.iter().zip([(item, "Ship it.\nNow."), (second, "Why?")]) {
        assert_eq!((record.class, &record.author), (RecordClass::Input, &Some(Author::human("ann"))));
        assert!(matches!(record.event().unwrap(), Event::MessagePosted(posted) if posted.item == item));
        assert_eq!((record.items[0].text().as_str(), &record.items[0].author), (text, &Author::human("ann")));
    }
    assert_eq!(records[1].items[0].answers, Some(item));
    let unknown = ItemId::derive(&[b"nobody's"]);
    let lost =
        json!({ "id": 1, "type": "post", "session": stage.sample.session, "text": "Hm", "answers": unknown });
    assert_eq!(client.refused(lost).await.0, "notFound");
}

#[tokio::test]
async fn the_same_message_again_is_written_once_and_another_under_its_name_is_a_conflict() {
    let stage = Stage::new().await;
    let session = stage.sample.session;
    let first = stage.client().await.ask(named(session, "Ship it.", "m1")).await;
    let mut client = stage.client().await;
    let again = client.ask(named(session, "Ship it.", "m1")).await;
    assert_eq!((&again["ok"]["item"], &again["ok"]["first"]), (&first["ok"]["item"], &first["ok"]["first"]));
    assert_eq!((&first["ok"]["repeated"], &again["ok"]["repeated"]), (&json!(false), &json!(true)));
    assert_eq!(client.refused(named(session, "Do not.", "m1")).await.0, "batchConflict");
    assert_eq!(stage.bus.head(session).await.unwrap(), Offset(2));

    let item: ItemId = first["ok"]["item"].as_str().unwrap().parse().unwrap();
    let batch = BatchId::from_uuid(item.uuid());
    assert_eq!(batch.as_bytes(), item.as_bytes());
    // Another session's message of that name is another message, and so is one without a name.
    let other = party_bus::conformance::Sample::opened(&stage.bus).await.session;
    let elsewhere = client.ask(named(other, "Do not.", "m1")).await;
    assert_ne!(elsewhere["ok"]["item"], first["ok"]["item"]);
    client.ask(post(session, "Ship it.")).await;
    assert_eq!(stage.bus.head(session).await.unwrap(), Offset(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_message_from_many_connections_at_once_is_written_once() {
    let stage = Stage::new().await;
    let session = stage.sample.session;
    for round in 0..20 {
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(stage.client().await);
        }
        let posts = clients
            .iter_mut()
            .map(|client: &mut Client| client.ask(named(session, "Ship it.", &format!("m{round}"))));
        let said = futures::future::join_all(posts).await;
        let written = said.iter().filter(|said| said["ok"]["repeated"] == json!(false)).count();
        assert_eq!(written, 1, "{said:?}");
        assert!(said.iter().all(|one| one["ok"]["item"] == said[0]["ok"]["item"]), "{said:?}");
    }
    assert_eq!(stage.bus.head(session).await.unwrap(), Offset(21));
}

#[tokio::test]
async fn commands_are_inputs_and_unknown_ones_are_refused() {
    let stage = Stage::new().await;
    let session = stage.sample.session;
    let mut client = stage.client().await;
    let answer =
        json!({ "type": "answer", "turn": 1, "request": "q", "answer": { "type": "deny", "why": "no" } });
    let commands = [json!({ "type": "stop" }), json!({ "type": "close" }), answer];
    for command in &commands {
        let said =
            client.ask(json!({ "id": 1, "type": "command", "session": session, "command": command })).await;
        assert_eq!(said["ok"]["repeated"], false, "{said}");
    }
    let records = stage.bus.read_to_end(session, Offset(1), Classes::ALL).await.unwrap();
    let bodies: Vec<Value> =
        records.iter().map(|record| serde_json::from_str(record.body.get()).unwrap()).collect();
    assert_eq!(bodies, commands.map(|command| json!({ "command": command })));
    assert!(records.iter().all(|record| record.author == Some(Author::human("ann"))));
    for command in [json!({ "type": "seat" }), json!({ "type": "stop", "author": "bob" }), json!("stop")] {
        let request = json!({ "id": 1, "type": "command", "session": session, "command": command });
        assert_eq!(client.refused(request).await.0, "invalid");
    }
    assert_eq!(stage.bus.head(session).await.unwrap(), Offset(4));
}

#[tokio::test]
async fn what_a_driver_or_an_agent_may_do_has_no_request() {
    let stage = Stage::new().await;
    let session = stage.sample.session;
    let mut client = stage.client().await;
    for kind in [
        "append", "batch", "lease", "acquire", "renew", "release", "snapshot", "deliver", "branch",
        "compact", "tangent", "open", "closeBus", "prune", "erase", "backup", "search", "verify", "import",
    ] {
        let (trouble, message) = client.refused(json!({ "id": 1, "type": kind, "session": session })).await;
        assert_eq!(trouble, "invalid");
        assert!(message.contains(&format!("unknown variant `{kind}`")), "{message}");
    }
    let beside = [
        ("author", json!({ "type": "agent", "name": "Mary" })),
        ("author", json!({ "type": "human", "name": "ann" })),
        ("class", json!("decision")),
        ("class", json!("report")),
        ("class", json!("trace")),
        ("kind", json!("turnEnded")),
        ("ops", json!([])),
        ("items", json!([])),
        ("fencingToken", json!(stage.sample.token)),
        ("head", json!(1)),
        ("expect", json!({ "driver": {} })),
        ("wake", json!("idle")),
        ("label", json!({ "kind": "k", "key": "k" })),
        ("partial", json!(true)),
        ("durability", json!("buffered")),
        ("at", json!(0)),
        ("turn", json!(1)),
        ("body", json!({})),
        ("record", json!({})),
    ];
    for (field, value) in beside {
        let mut request = post(session, "hi");
        request[field] = value;
        let (trouble, message) = client.refused(request).await;
        assert_eq!(trouble, "invalid");
        assert!(message.contains(&format!("unknown field `{field}`")), "{message}");
    }
    assert_eq!(stage.bus.head(session).await.unwrap(), Offset(1));
}

#[tokio::test]
async fn who_is_no_person_reads_and_follows_but_does_not_write() {
    for author in [Author::agent("Mary"), Author::System] {
        let stage = Stage::with(FrontOptions::admitting(move |_| Some(author.clone()))).await;
        let session = stage.sample.session;
        let mut client = stage.client().await;
        let (kind, message) = client.refused(post(session, "hi")).await;
        assert_eq!(kind, "invalid");
        assert!(message.contains("its author is not a person"), "{message}");
        let stop = json!({ "id": 1, "type": "command", "session": session, "command": { "type": "stop" } });
        assert_eq!(client.refused(stop).await.0, "invalid");
        client.ask(json!({ "id": 1, "type": "follow", "session": session, "classes": ["decision"] })).await;
        assert_eq!(client.offsets_to(1).await, [1]);
        assert_eq!(stage.bus.head(session).await.unwrap(), Offset(1));
    }
}

#[tokio::test]
async fn a_post_that_cannot_be_written_says_why() {
    let stage = Stage::new().await;
    let session = stage.sample.session;
    let mut client = stage.client().await;
    let nowhere = SessionId::derive(&[b"nowhere"]);
    for (request, kind) in [
        (post(session, " \n"), "invalid"),
        (post(nowhere, "hi"), "notFound"),
        (named(nowhere, "hi", "m"), "notFound"),
        (named(session, "hi", ""), "invalid"),
        (named(session, "hi", &"x".repeat(257)), "invalid"),
    ] {
        assert_eq!(client.refused(request).await.0, kind);
    }
    stage.bus.close().await.unwrap();
    assert_eq!(client.refused(post(session, "hi")).await.0, "closed");
}
