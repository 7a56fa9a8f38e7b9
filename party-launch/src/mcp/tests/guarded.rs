//! Who is turned away.

use super::{
    super::McpServer,
    wire::{Client, Port, admit},
};
use serde_json::json;

async fn status(client: &Client) -> u16 {
    client.rpc("ping", json!({})).await.status
}

#[tokio::test]
async fn without_its_secret() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let other_server = McpServer::start().await.unwrap();
    let (admission, elsewhere) = (admit(&server, 1, &port), admit(&other_server, 1, &port));
    let client = Client::new(&admission);
    let secret = admission.endpoint().secret;
    assert_eq!(status(&client).await, 200);
    assert_eq!(status(&client.with("Authorization", Some(&format!("bearer {secret}")))).await, 200);

    let foreign = elsewhere.endpoint().secret;
    let (short, long) = (&secret[..63], format!("{secret}0"));
    for wrong in [&foreign, short, &long, &secret.to_uppercase(), "", "ü"] {
        assert_eq!(status(&client.with("Authorization", Some(&format!("Bearer {wrong}")))).await, 401);
    }
    for wrong in [None, Some(secret.as_str()), Some("Bearer"), Some(&format!("Basic {secret}"))] {
        assert_eq!(status(&client.with("Authorization", wrong)).await, 401, "{wrong:?}");
    }
    let mut twice = client.clone();
    twice.headers.push(("Authorization", format!("Bearer {secret}")));
    assert_eq!(status(&twice).await, 401);
    let unknown = Client { path: "/.well-known/oauth-protected-resource", ..client.clone() };
    assert_eq!(status(&unknown).await, 404);
    assert_eq!(status(&unknown.with("Authorization", None)).await, 401);
}

#[tokio::test]
async fn from_elsewhere() {
    let (server, port) = (McpServer::start().await.unwrap(), Port::new(1));
    let admission = admit(&server, 1, &port);
    let client = Client::new(&admission);
    let at = |host: &str| format!("{host}:{}", client.port);
    assert_eq!(status(&client.with("Host", Some(&at("LocalHost")))).await, 200);
    for host in ["evil.example", "127.0.0.1.evil.example", "127.0.0.2", "[::1]", "x@127.0.0.1", "0.0.0.0"] {
        assert_eq!(status(&client.with("Host", Some(&at(host)))).await, 403, "{host}");
    }
    for host in [None, Some(""), Some("127.0.0.1"), Some("localhost:80"), Some("ü")] {
        assert_eq!(status(&client.with("Host", host)).await, 403, "{host:?}");
    }
    for origin in ["http://evil.example", "null", "", &format!("http://{}", at("127.0.0.1"))] {
        assert_eq!(status(&client.with("Origin", Some(origin))).await, 403, "{origin}");
    }
    let mut twice = client.clone();
    twice.headers.push(("Host", "evil.example".to_owned()));
    assert!((400..500).contains(&status(&twice).await));
}
