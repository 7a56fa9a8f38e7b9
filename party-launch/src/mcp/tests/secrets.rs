//! How long a secret is good, and that nobody prints it.

use super::{
    super::McpServer,
    wire::{Client, Port, admit, answer, until},
};
use serde_json::json;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use test_support::Traces;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};

#[tokio::test]
async fn revoked_at_once_but_for_calls_in_flight() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(2));
    let (admission, other) = (admit(&server, 1, &port), admit(&server, 2, &port));
    let client = Client::new(&admission);
    let waiting = {
        let client = client.clone();
        tokio::spawn(async move { client.call("meet", json!({})).await })
    };
    port.called(1).await;
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "share"}}).to_string();
    let mut slow = client.connect().await;
    slow.write_all(client.head(body.len()).as_bytes()).await.unwrap();
    // Long enough for the head to have passed the guard.
    sleep(Duration::from_millis(50)).await;

    drop(admission);
    assert_eq!(client.rpc("ping", json!({})).await.status, 401);
    slow.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut slow).await.json()["error"]["message"], "the turn is over");
    assert_eq!(port.calls().len(), 1);
    Client::new(&other).call("meet", json!({})).await;
    assert_eq!(waiting.await.unwrap()["content"][0]["text"], "1 {}");
}

/// What the call did is on the log or not; the port decides, not the socket. But it is told.
#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_its_call() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(2));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    let hasty = {
        let client = client.clone();
        tokio::spawn(async move { client.call("meet", json!({})).await })
    };
    port.called(1).await;
    hasty.abort();
    until(|| port.unheard() == 1).await;
    client.call("meet", json!({})).await;
    until(|| port.answered() == 2).await;
    assert_eq!(port.unheard(), 1);
}

#[tokio::test]
async fn gone_after_drop() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(2));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    let (mut idle, mut unfinished, mut called) =
        (client.connect().await, client.connect().await, client.connect().await);
    idle.write_all(client.head(0).as_bytes()).await.unwrap();
    answer(&mut idle).await;
    unfinished.write_all(client.head(100).as_bytes()).await.unwrap();
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "meet"}}).to_string();
    called.write_all((client.head(body.len()) + &body).as_bytes()).await.unwrap();
    port.called(1).await;

    drop(server);
    for stream in [&mut idle, &mut unfinished, &mut called] {
        let ended = timeout(Duration::from_secs(10), stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "a connection outlives the server");
    }
    // The port is let go of with the last task that served; the admission keeps nothing of it.
    until(|| Arc::strong_count(&port) == 1).await;
    until(|| std::net::TcpStream::connect(("127.0.0.1", client.port)).is_err()).await;
}

#[tokio::test]
async fn fresh_and_long() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let secrets = (1..=100).map(|attempt| admit(&server, attempt, &port).endpoint().secret);
    let halves = secrets.flat_map(|secret| [secret[..32].to_owned(), secret[32..].to_owned()]);
    let halves: BTreeSet<_> = halves.collect();
    assert_eq!(halves.len(), 200);
    assert!(halves.iter().all(|half| half.len() == 32 && half.bytes().all(|byte| byte.is_ascii_hexdigit())));
}

#[tokio::test]
async fn nobody_prints_it() {
    let traces = Traces::listen();
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    client.call("share", json!({"text": "something said"})).await;
    client.send("{").await;
    let secret = admission.endpoint().secret;
    let wrong = client.with("Authorization", Some("Bearer wrong-but-private"));
    let answers = [client.send("[]").await, wrong.send("").await];
    assert!(answers.iter().all(|answer| !answer.body.contains(&secret) && !answer.body.contains("private")));
    let printed = format!("{server:?} {admission:?} {:?} {}", admission.endpoint(), traces.text());
    assert!(printed.contains("something said"), "the log is not listened to");
    assert!(!printed.contains(&secret) && !printed.contains("wrong-but-private"));
}
