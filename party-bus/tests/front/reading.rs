//! Queries.

use crate::Stage;
use party_bus::conformance::{note, say};
use party_core::{Author, How, ItemId, Op, RecordClass, SessionId, ThreadId, ThreadKind};
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn records_are_read_page_by_page() {
    let mut stage = Stage::new().await;
    stage.sample.write((0..9).map(|_| note(RecordClass::Report, "many"))).await.unwrap();
    let mut client = stage.client().await;
    let mut read = json!({ "id": 1, "type": "read", "session": stage.sample.session, "limit": 4 });
    let mut offsets = Vec::new();
    loop {
        let page = client.ask(read.clone()).await["ok"].clone();
        let records = page["records"].as_array().unwrap();
        assert!(records.len() <= 4);
        offsets.extend(records.iter().map(|record| record["offset"].as_u64().unwrap()));
        read["after"] = page["scannedTo"].clone();
        if page["more"] == json!(false) {
            break;
        }
    }
    assert_eq!(offsets, (1..=10).collect::<Vec<_>>());
    for limit in [json!(0), json!(1_001), json!(-1), json!(1.5), json!(1_u64 << 40), json!("4")] {
        read["limit"] = limit;
        assert_eq!(client.refused(read.clone()).await.0, "invalid");
    }
    let nowhere = json!({ "id": 1, "type": "read", "session": SessionId::derive(&[b"nowhere"]) });
    assert_eq!(client.refused(nowhere).await.0, "notFound");
}

#[tokio::test]
async fn sessions_threads_windows_and_items_are_shown() {
    let mut stage = Stage::new().await;
    let session = stage.sample.session;
    let thread = ThreadId::derive(&[b"feed"]);
    let items: Vec<_> = (0..5).map(|index| say(&Author::agent("Mary"), &format!("text {index}"))).collect();
    let open = note(RecordClass::Decision, "open").with_op(Op::Open { thread, kind: ThreadKind::Feed });
    let adds = items.iter().map(|item| {
        let add = Op::Add { threads: vec![thread], item: item.id, how: How::Said };
        note(RecordClass::Decision, "add").with_item(Arc::clone(item)).with_op(add)
    });
    stage.sample.write(std::iter::once(open).chain(adds)).await.unwrap();
    let mut client = stage.client().await;

    let sessions = client.ask(json!({ "id": 1, "type": "sessions" })).await["ok"].clone();
    assert_eq!(sessions["sessions"][0]["session"], json!(session));
    assert_eq!((&sessions["sessions"][0]["head"], &sessions["more"]), (&json!(7), &json!(false)));
    assert_eq!(sessions["sessions"][0]["partial"], false);
    assert!(sessions["sessions"][0]["driver"].is_string(), "{sessions}");
    let none = client.ask(json!({ "id": 1, "type": "sessions", "kind": "other" })).await;
    assert_eq!(none["ok"]["sessions"], json!([]));

    let threads = client.ask(json!({ "id": 1, "type": "threads", "session": session, "kind": "feed" })).await;
    let expected = json!([{ "thread": thread, "kind": "feed", "state": "open", "head": 5 }]);
    assert_eq!(threads["ok"]["threads"], expected);

    let mut window = json!({ "id": 1, "type": "window", "session": session, "thread": thread, "limit": 2 });
    let positions = |answer: Value| -> Vec<u64> {
        let entries = answer["ok"]["entries"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        entries.iter().map(|entry| entry["position"].as_u64().unwrap()).collect()
    };
    let last = client.ask(window.clone()).await;
    assert_eq!(last["ok"]["entries"][1]["item"], serde_json::to_value(&*items[4]).unwrap());
    assert_eq!(positions(last), [4, 5]);
    window["before"] = json!(4);
    assert_eq!(positions(client.ask(window.clone()).await), [2, 3]);
    window["after"] = json!(1);
    assert_eq!(client.refused(window.clone()).await.0, "invalid");
    window["before"] = Value::Null;
    window["archive"] = json!(true);
    assert_eq!(positions(client.ask(window.clone()).await), [2, 3]);
    window["thread"] = json!(ThreadId::derive(&[b"none"]));
    assert_eq!(client.refused(window).await.0, "notFound");

    let found = client.ask(json!({ "id": 1, "type": "items", "items": [items[3].id, items[0].id] })).await;
    assert_eq!(found["ok"]["items"][0], serde_json::to_value(&*items[3]).unwrap());
    let lost = json!({ "id": 1, "type": "items", "items": [ItemId::derive(&[b"lost"])] });
    assert_eq!(client.refused(lost).await.0, "notFound");
    let many = json!({ "id": 1, "type": "items", "items": vec![items[0].id; 1_001] });
    assert_eq!(client.refused(many).await.0, "invalid");
}

#[tokio::test]
async fn an_answer_that_would_be_too_long_says_so_and_the_connection_goes_on() {
    let mut stage = Stage::new().await;
    let item = say(&Author::agent("Mary"), &"x".repeat(1 << 20));
    stage.sample.write([note(RecordClass::Decision, "big").with_item(Arc::clone(&item))]).await.unwrap();
    let mut client = stage.client().await;
    let (kind, message) =
        client.refused(json!({ "id": 1, "type": "items", "items": vec![item.id; 20] })).await;
    assert_eq!(kind, "limit");
    assert!(message.ends_with("ask for less"), "{message}");
    let few = client.ask(json!({ "id": 2, "type": "items", "items": [item.id] })).await;
    assert_eq!(few["ok"]["items"][0]["id"], json!(item.id));
}
