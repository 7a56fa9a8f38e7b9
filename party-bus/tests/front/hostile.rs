//! Lines that nobody should send.

use crate::{Client, Stage, client::trouble};
use party_bus::{BusExt as _, front::FrontOptions};
use party_core::Offset;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use std::{
    cell::Cell,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

async fn heard(client: &mut Client) -> Vec<Value> {
    let mut heard = Vec::new();
    while let Some(said) = client.next().await {
        heard.push(said);
    }
    heard
}

#[tokio::test]
async fn each_bad_line_is_answered_and_the_connection_goes_on() {
    let mut options = FrontOptions::owner("ann");
    options.longest_line = 4_096;
    let stage = Stage::with(options).await;
    let mut client = stage.client().await;
    let deep = format!(r#"{{"id":1,"type":"ping","x":{}"#, "[".repeat(4_000));
    for line in [
        b"no json".as_slice(),
        b"{",
        b"[]",
        b"null",
        b"\"ping\"",
        b"\xff\xfe",
        b"{\"id\":\"\xc3\x28\",\"type\":\"ping\"}",
        b"\0",
        deep.as_bytes(),
        &[b'x'; 5_000],
        &[b' '; 5_000],
        b"{\"id\":1e999,\"type\":\"ping\"}",
        b"{\"id\":1,\"type\":\"ping\",\"a\\u0000b\":\"\\ud800\"}",
    ] {
        client.writer.write_all(line).await.unwrap();
        client.writer.write_all(b"\n").await.unwrap();
        let said = client.hear().await;
        assert_eq!(trouble(&said["error"]).0, "invalid", "{said}");
        let pong = client.ask(json!({ "id": "still", "type": "ping" })).await;
        assert!(pong["ok"].is_object(), "{pong}");
    }
}

#[tokio::test]
async fn half_a_line_at_the_end_is_not_carried_out_and_said_so() {
    let stage = Stage::new().await;
    let mut client = stage.client().await;
    let post =
        json!({ "id": 1, "type": "post", "session": stage.sample.session, "text": "half" }).to_string();
    client.writer.write_all(post.as_bytes()).await.unwrap();
    client.writer.shutdown().await.unwrap();
    let said = heard(&mut client).await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((&said[0]["id"], trouble(&said[0]["error"]).0.as_str()), (&Value::Null, "invalid"));
    assert_eq!(stage.bus.head(stage.sample.session).await.unwrap(), Offset(1));
}

#[tokio::test]
async fn who_sends_ten_thousand_requests_and_reads_nothing_has_to_wait_and_nobody_else_has() {
    let stage = Stage::new().await;
    let (mut deaf, mut other) = (stage.client().await, stage.client().await);
    let request = json!({ "id": 1, "type": "read", "session": stage.sample.session }).to_string();
    let sent = Cell::new(0);
    let sender = async {
        for _ in 0..10_000 {
            deaf.say(&request).await;
            sent.set(sent.get() + 1);
        }
    };
    let others = async {
        let begun = Instant::now();
        let mut seen = 0;
        loop {
            for _ in 0..100 {
                other.ask(json!({ "id": 1, "type": "ping" })).await;
            }
            match sent.get() {
                stuck if stuck > 0 && stuck == seen => return stuck,
                more => seen = more,
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the sender has to wait, after {seen}");
        }
    };
    tokio::select! {
        () = sender => panic!("somebody takes it all"),
        stuck = others => assert!(stuck < 10_000, "{stuck}"),
    }
}

#[tokio::test]
async fn a_flood_is_answered_in_order_once_it_is_read() {
    let stage = Stage::new().await;
    let stream = tokio::net::UnixStream::connect(stage.path()).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let sender = tokio::spawn(async move {
        for id in 0..10_000_u64 {
            let line = if id % 3 == 0 {
                format!("{{\"id\":{id}}}\n")
            } else {
                format!("{{\"id\":{id},\"type\":\"ping\"}}\n")
            };
            writer.write_all(line.as_bytes()).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    });
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(reader));
    let mut next = 0;
    while let Some(line) = lines.next_line().await.unwrap() {
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&said["id"], said.get("ok").is_some()), (&json!(next), next % 3 != 0), "{said}");
        next += 1;
    }
    assert_eq!(next, 10_000);
    sender.await.unwrap();
}

/// What a client may say: sense and nonsense, with the ends of its lines.
fn spoken() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        3 => Just(br#"{"id":1,"type":"ping"}"#.to_vec()),
        1 => Just(br#"{"id":1,"type":"sessions","limit":1,"skip":18446744073709551615}"#.to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..64),
        1 => "[\\{\\}\\[\\]\",:a-z0-9 ]{0,64}".prop_map(String::into_bytes),
        1 => (0..600_usize).prop_map(|length| vec![b'{'; length]),
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join(&b'\n'))
}

#[test]
fn the_same_bytes_get_the_same_answers_however_they_are_cut() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut options = FrontOptions::owner("ann");
    options.longest_line = 256;
    let stage = runtime.block_on(Stage::with(options));
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let pieces = proptest::collection::vec(1..200_usize, 1..20);
    let mut runner = TestRunner::new(config);
    runner
        .run(&(spoken(), pieces), |(bytes, pieces)| {
            let whole = runtime.block_on(said_to(&stage, &bytes, &[bytes.len().max(1)]));
            let cut = runtime.block_on(said_to(&stage, &bytes, &pieces));
            prop_assert_eq!(whole, cut);
            Ok(())
        })
        .unwrap();
}

async fn said_to(stage: &Stage, bytes: &[u8], pieces: &[usize]) -> Vec<Value> {
    let mut client = stage.client().await;
    let (mut rest, mut sizes) = (bytes, pieces.iter().cycle());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        client.writer.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
        rest = behind;
    }
    client.writer.shutdown().await.unwrap();
    heard(&mut client).await
}
