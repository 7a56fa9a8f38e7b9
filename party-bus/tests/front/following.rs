//! Following: in order, without gap or duplicate, to an end that is told.

use crate::{Client, Stage, client::trouble};
use party_bus::{
    Bus, BusExt as _, SqliteBus,
    conformance::{Sample, input, note},
    front::{Front, FrontOptions},
};
use party_core::{Offset, RecordClass};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt as _, net::UnixSocket, time::timeout};

fn follow(stage: &Stage, id: &str, after: u64) -> Value {
    json!({ "id": id, "type": "follow", "session": stage.sample.session, "after": after })
}

async fn grow(stage: &Stage, count: usize) {
    for _ in 0..count {
        stage.bus.append(input(stage.sample.session, "more")).await.unwrap();
    }
}

#[tokio::test]
async fn b10_a_follower_from_any_offset_gets_what_is_there_then_what_comes_and_goes_on_after_a_restart() {
    let stage = Stage::new().await;
    grow(&stage, 9).await;
    for after in 0..=10 {
        let mut client = stage.client().await;
        client.ask(follow(&stage, "f", after)).await;
        if after < 10 {
            assert_eq!(client.offsets_to(10).await, (after + 1..=10).collect::<Vec<_>>());
        }
    }
    let mut client = stage.client().await;
    client.ask(follow(&stage, "f", 8)).await;
    assert_eq!(client.offsets_to(10).await, [9, 10]);
    grow(&stage, 5).await;
    assert_eq!(client.offsets_to(15).await, (11..=15).collect::<Vec<_>>());
    drop(client);
    grow(&stage, 5).await;
    let mut client = stage.client().await;
    client.ask(follow(&stage, "f", 15)).await;
    assert_eq!(client.offsets_to(20).await, (16..=20).collect::<Vec<_>>());
    grow(&stage, 1).await;
    assert_eq!(client.offsets_to(21).await, [21]);
}

#[tokio::test]
async fn a_record_comes_whole_in_its_wire_form_on_one_line() {
    let mut stage = Stage::new().await;
    let mut spread = note(RecordClass::Report, "over lines");
    let body = "{\n  \"text\" : \"a\\nb\",\r\n  \"big\": 123456789012345678901234567890\n}";
    spread.body = serde_json::value::RawValue::from_string(body.to_owned()).unwrap();
    stage.sample.write([spread]).await.unwrap();
    let mut client = stage.client().await;
    client.ask(follow(&stage, "f", 1)).await;
    let said = client.hear().await;
    assert_eq!(said["follow"], "f");
    let stored =
        stage.bus.read_to_end(stage.sample.session, Offset(1), party_bus::Classes::ALL).await.unwrap();
    assert_eq!(said["record"], serde_json::to_value(&*stored[0]).unwrap());
}

#[tokio::test]
async fn only_the_classes_asked_for_come_and_trace_only_if_it_is() {
    let mut stage = Stage::new().await;
    for class in [RecordClass::Trace, RecordClass::Report, RecordClass::Decision] {
        stage.sample.write([note(class, "one")]).await.unwrap();
    }
    let mut client = stage.client().await;
    for (classes, expected) in [
        (Value::Null, vec![1, 3, 4]),
        (json!(["decision"]), vec![1, 4]),
        (json!(["input", "report", "decision", "trace"]), vec![1, 2, 3, 4]),
    ] {
        let mut request = follow(&stage, "f", 0);
        request["classes"] = classes;
        client.ask(request).await;
        assert_eq!(client.offsets_to(4).await, expected);
        client.ask(json!({ "id": "u", "type": "unfollow", "follow": "f" })).await;
    }
    let mut request = follow(&stage, "f", 0);
    request["classes"] = json!(["gossip"]);
    assert_eq!(client.refused(request).await.0, "invalid");
}

#[tokio::test]
async fn unfollow_ends_with_a_reason_and_frees_the_id() {
    let mut options = FrontOptions::owner("ann");
    options.follows = 2;
    let stage = Stage::with(options).await;
    let mut client = stage.client().await;
    let unfollow = json!({ "id": "u", "type": "unfollow", "follow": "a" });
    assert_eq!(client.refused(unfollow.clone()).await.0, "invalid");
    client.ask(follow(&stage, "a", 1)).await;
    let (kind, message) = client.refused(follow(&stage, "a", 1)).await;
    assert_eq!((kind.as_str(), message.as_str()), ("invalid", "that id follows already"));
    client.ask(follow(&stage, "b", 1)).await;
    assert_eq!(client.refused(follow(&stage, "c", 1)).await.0, "limit");

    client.say(&unfollow.to_string()).await;
    let ended = client.hear().await;
    assert_eq!((&ended["follow"], &ended["ended"]["kind"]), (&json!("a"), &json!("unfollowed")));
    assert_eq!(client.hear().await, json!({ "id": "u", "ok": {} }));
    grow(&stage, 1).await;
    assert_eq!(client.hear().await["follow"], "b");
    client.ask(follow(&stage, "a", 2)).await;
    grow(&stage, 1).await;
    let both = [client.hear().await, client.hear().await];
    assert!(both.iter().all(|said| said["record"]["offset"] == 3), "{both:?}");
}

#[tokio::test]
async fn a_follower_is_told_why_it_ends_and_its_id_is_free_at_once() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    for _ in 0..50 {
        client.ask(follow(&stage, "f", 99)).await;
        assert_eq!(trouble(&client.hear().await["ended"]).0, "rewound");
    }
    let mut other_epoch = follow(&stage, "f", 1);
    other_epoch["epoch"] = json!(7);
    client.ask(other_epoch).await;
    assert_eq!(trouble(&client.hear().await["ended"]).0, "rewound");
    let mut nowhere = follow(&stage, "f", 0);
    nowhere["session"] = json!(party_core::SessionId::derive(&[b"nowhere"]));
    assert_eq!(client.refused(nowhere).await.0, "notFound");

    assert_eq!(client.ask(follow(&stage, "f", 1)).await, json!({ "id": "f", "ok": { "epoch": 1 } }));
    stage.bus.close().await.unwrap();
    assert_eq!(trouble(&client.hear().await["ended"]).0, "closed");
    let ping = client.ask(json!({ "id": 1, "type": "ping" })).await;
    assert!(ping["ok"].is_object(), "{ping}");
    assert_eq!(client.refused(json!({ "id": 1, "type": "sessions" })).await.0, "closed");
}

#[tokio::test]
async fn a_front_that_closes_tells_its_clients_lets_them_go_and_leaves_the_bus() {
    let mut stage = Stage::new().await;
    let mut clients = [stage.client().await, stage.client().await];
    for client in &mut clients {
        client.ask(follow(&stage, "f", 1)).await;
    }
    let mut idle = stage.client().await;
    idle.ask(json!({ "id": 1, "type": "ping" })).await;
    grow(&stage, 300).await;
    let heard = clients.map(|mut client| async move {
        assert_eq!(client.offsets_to(301).await, (2..=301).collect::<Vec<_>>());
        let ended = client.hear().await;
        assert_eq!((&ended["follow"], &ended["ended"]["kind"]), (&json!("f"), &json!("closed")));
        assert_eq!(client.next().await, None);
    });
    // They read while it closes: who does not is let go.
    tokio::join!(stage.front.take().unwrap().close(), futures::future::join_all(heard));
    assert_eq!(idle.next().await, None);
    grow(&stage, 1).await;
}

#[tokio::test]
async fn a_dropped_front_lets_all_go_and_neither_waits_for_a_client_that_does_not_read() {
    for closes in [true, false] {
        let mut stage = Stage::new().await;
        let mut client = stage.client().await;
        let mut deaf = stage.client().await;
        client.ask(follow(&stage, "f", 1)).await;
        let big = "x".repeat(200_000);
        for _ in 0..10 {
            stage.bus.append(input(stage.sample.session, &big)).await.unwrap();
        }
        deaf.say(&follow(&stage, "f", 0).to_string()).await;
        client.offsets_to(11).await;
        let front = stage.front.take().unwrap();
        if closes {
            timeout(Duration::from_secs(20), front.close()).await.unwrap();
        } else {
            drop(front);
        }
        while client.next().await.is_some() {}
        assert!(!stage.path().exists());
    }
}

#[tokio::test]
async fn a_slow_reader_slows_only_itself_and_misses_nothing() {
    let mut stage = Stage::new().await;
    let socket = UnixSocket::new_stream().unwrap();
    let mut slow = Client::over(socket.connect(stage.path()).await.unwrap());
    slow.ask(follow(&stage, "f", 1)).await;
    let mut quick = stage.client().await;
    quick.ask(follow(&stage, "f", 1)).await;
    // Some 10 MB, far more than what the system or a page holds.
    let big = "x".repeat(100_000);
    for _ in 0..100 {
        stage.sample.write([note(RecordClass::Report, &big)]).await.unwrap();
    }
    assert_eq!(quick.offsets_to(101).await, (2..=101).collect::<Vec<_>>());
    assert_eq!(slow.offsets_to(101).await, (2..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn followers_of_several_sessions_on_one_connection_each_get_their_own_in_order() {
    let stage = Stage::new().await;
    let mut samples = Vec::new();
    let mut client = stage.client().await;
    for index in 0..8_u64 {
        let sample = Sample::opened(&stage.bus).await;
        let request = json!({ "id": index, "type": "follow", "session": sample.session });
        client.say(&request.to_string()).await;
        samples.push(sample);
    }
    for _ in 0..50 {
        for sample in &mut samples {
            sample.write([note(RecordClass::Report, "on")]).await.unwrap();
        }
    }
    let mut heard = vec![Vec::new(); samples.len()];
    while heard.iter().any(|offsets: &Vec<u64>| offsets.len() < 51) {
        let said = client.hear().await;
        let Some(follow) = said["follow"].as_u64() else { continue };
        let index = usize::try_from(follow).unwrap();
        assert_eq!(said["record"]["session"], json!(samples[index].session));
        heard[index].push(said["record"]["offset"].as_u64().unwrap());
    }
    let all: Vec<u64> = (1..=51).collect();
    assert!(heard.iter().all(|offsets| *offsets == all), "{heard:?}");
}

#[tokio::test]
async fn the_end_of_the_client_s_input_ends_what_it_follows() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    client.ask(follow(&stage, "f", 1)).await;
    client.say(r#"{"id":1,"type":"ping"}"#).await;
    client.writer.shutdown().await.unwrap();
    assert!(client.hear().await["ok"].is_object());
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn on_a_file_what_another_process_s_handle_writes_is_followed_and_its_posts_outlive_a_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("party.db");
    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&store).await.unwrap());
    let other: Arc<dyn Bus> = Arc::new(SqliteBus::open(&store).await.unwrap());
    let session = Sample::opened(&other).await.session;
    let socket = folder.path().join("s");
    let front = Front::bind(Arc::clone(&bus), &socket, FrontOptions::owner("ann")).await.unwrap();
    let mut client = Client::connect(&socket).await;
    client.ask(json!({ "id": "f", "type": "follow", "session": session })).await;
    other.append(input(session, "from elsewhere")).await.unwrap();
    assert_eq!(client.offsets_to(2).await, [1, 2]);
    let post = json!({ "id": 1, "type": "post", "session": session, "text": "hi", "messageId": "m" });
    assert_eq!(client.ask(post.clone()).await["ok"]["first"], 3);
    front.close().await;
    bus.close().await.unwrap();
    other.close().await.unwrap();

    let bus: Arc<dyn Bus> = Arc::new(SqliteBus::open(&store).await.unwrap());
    let front = Front::bind(Arc::clone(&bus), &socket, FrontOptions::owner("ann")).await.unwrap();
    let mut client = Client::connect(&socket).await;
    let again = client.ask(post).await;
    assert_eq!((&again["ok"]["first"], &again["ok"]["repeated"]), (&json!(3), &json!(true)));
    for (name, far) in [("after", u64::MAX), ("after", 1 << 63), ("after", 99)] {
        let request = json!({ "id": 1, "type": "read", "session": session, name: far });
        assert_eq!(client.refused(request).await.0, "rewound");
    }
    assert_eq!(bus.head(session).await.unwrap(), Offset(3));
    front.close().await;
    bus.close().await.unwrap();
}
