use super::*;
use crate::{Error, ErrorKind};
use futures::{SinkExt as _, StreamExt as _};
use std::{net::SocketAddr, sync::Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UnixListener},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// Serves one connection: sends `said`, then echoes.
async fn echo(io: impl Io, said: Vec<Message>) {
    let mut stream = tokio_tungstenite::accept_async(io).await.unwrap();
    for message in said {
        stream.send(message).await.unwrap();
    }
    while let Some(Ok(message)) = stream.next().await {
        if message.is_text() {
            stream.send(message).await.unwrap();
        }
    }
}

async fn server(said: Vec<Message>) -> Target {
    let (listener, at) = listener().await;
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0, said).await });
    Target::new(Address::tcp(at))
}

fn text(text: &str) -> Frame {
    Frame::Text(text.into())
}

#[tokio::test]
async fn messages_go_both_ways_over_tcp() {
    let target = server(vec![Message::binary(vec![1, 2, 3]), Message::Ping("x".into())]).await;
    let (mut writer, mut reader) = within(target.connect()).await.unwrap();
    assert_eq!(within(reader.next()).await.unwrap(), Frame::Binary(3));
    assert_eq!(within(reader.next()).await.unwrap(), Frame::Alive);
    writer.send("hello".into()).await.unwrap();
    assert_eq!(within(reader.next()).await.unwrap(), text("hello"));
    writer.ping().await.unwrap();
    assert_eq!(within(reader.next()).await.unwrap(), Frame::Alive, "its answer");
    writer.close().await;
    assert!(matches!(within(reader.next()).await, Err(SocketError::Closed { .. })));
}

#[tokio::test]
async fn messages_go_both_ways_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { echo(listener.accept().await.unwrap().0, vec![]).await });
    let (mut writer, mut reader) = within(Target::new(Address::Unix(path)).connect()).await.unwrap();
    writer.send("hello".into()).await.unwrap();
    assert_eq!(within(reader.next()).await.unwrap(), text("hello"));
}

#[tokio::test]
async fn the_upgrade_shows_the_token_and_neither_origin_nor_extensions() {
    let (listener, at) = listener().await;
    let seen = std::sync::Arc::new(Mutex::new(String::new()));
    let sees = std::sync::Arc::clone(&seen);
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        *sees.lock().unwrap() = String::from_utf8_lossy(&request[..length]).to_lowercase();
        let body = "missing websocket\n bearer token";
        let head = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).await.unwrap();
    });
    let address = Address::Tcp { at, path: "/gate?x=1".into() };
    let target = Target { bearer: Some(Bearer::new("tok")), ..Target::new(address) };
    let error = Error::from(within(target.connect()).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Launch);
    assert_eq!(error.to_string(), "the server refuses the token (401): missing websocket bearer token");
    within(serving).await.unwrap();
    let request = seen.lock().unwrap().clone();
    assert!(request.starts_with("get /gate?x=1 http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer tok\r\n"), "{request}");
    assert!(!request.contains("origin") && !request.contains("extensions"), "{request}");
}

#[tokio::test]
async fn a_message_above_the_limit_is_an_error_of_its_own() {
    let fits = "x".repeat(1000);
    let target = server(vec![Message::text(fits.clone()), Message::text(fits.clone() + "y")]).await;
    let target = Target { limit: 1000, ..target };
    let (_writer, mut reader) = within(target.connect()).await.unwrap();
    assert_eq!(within(reader.next()).await.unwrap(), text(&fits));
    let error = Error::from(within(reader.next()).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(error.to_string(), "a message of the server is larger than 1000 bytes");
}

#[tokio::test]
async fn a_close_tells_its_code_and_reason() {
    let close = CloseFrame { code: CloseCode::Policy, reason: "pairing required".into() };
    let target = server(vec![Message::Close(Some(close))]).await;
    let (_writer, mut reader) = within(target.connect()).await.unwrap();
    let error = within(reader.next()).await.unwrap_err();
    assert!(error.may_pass());
    assert_eq!(error.to_string(), "the server closed the connection (1008): pairing required");
}

#[tokio::test]
async fn a_server_that_goes_without_a_word_is_an_end() {
    let (listener, at) = listener().await;
    tokio::spawn(async move {
        drop(tokio_tungstenite::accept_async(listener.accept().await.unwrap().0).await.unwrap());
    });
    let (_writer, mut reader) = within(Target::new(Address::tcp(at)).connect()).await.unwrap();
    let error = within(reader.next()).await.unwrap_err();
    assert!(matches!(error, SocketError::Closed { code: None, .. } | SocketError::Broken(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (_listener, at) = listener().await;
    let target = Target { patience: Duration::from_millis(50), ..Target::new(Address::tcp(at)) };
    let error = within(target.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "no connection within 50 ms");
}

#[tokio::test]
async fn nothing_there_may_pass_and_no_websocket_does_not() {
    let (closed, at) = listener().await;
    drop(closed);
    let error = within(Target::new(Address::tcp(at)).connect()).await.unwrap_err();
    assert!(error.may_pass(), "{error:?}");
    let (listener, at) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-x\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let error = within(Target::new(Address::tcp(at)).connect()).await.unwrap_err();
    assert!(!error.may_pass(), "{error:?}");
    assert_eq!(Error::from(error).kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_token_that_is_no_header_is_refused_without_being_shown() {
    let target = Target { bearer: Some(Bearer::new("zq\n1")), ..server(vec![]).await };
    let error = Error::from(within(target.connect()).await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!format!("{error} {error:?}").contains("zq"));
}
