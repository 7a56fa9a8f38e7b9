//! Raw HTTP, and a port that keeps what it was asked.

use super::super::{Admission, McpServer};
use party_core::{Offset, SessionId, TurnId};
use party_harness::{ToolCall, ToolPort, ToolReply, ToolSpec, TurnKey, async_trait};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Barrier,
    time::{sleep, timeout},
};

/// Echoes; `fail` fails, `meet` waits until it was called as often as the barrier says. It carries a
/// call out whether anybody waits or not.
#[derive(Debug)]
pub(super) struct Port {
    calls: Mutex<Vec<ToolCall>>,
    unheard: AtomicUsize,
    answered: Arc<AtomicUsize>,
    meeting: Arc<Barrier>,
}

/// Counts an asker that goes before it is answered.
struct Asker<'p>(&'p AtomicUsize, bool);

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(usize::from(!self.1), Ordering::SeqCst);
    }
}

impl Port {
    pub(super) fn new(meeting: usize) -> Arc<Self> {
        Arc::new(Self {
            calls: Mutex::default(),
            unheard: AtomicUsize::new(0),
            answered: Arc::default(),
            meeting: Arc::new(Barrier::new(meeting)),
        })
    }

    pub(super) fn calls(&self) -> Vec<ToolCall> {
        self.calls.lock().unwrap().clone()
    }

    /// How many calls were seen through.
    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// How many askers have gone before their answer.
    pub(super) fn unheard(&self) -> usize {
        self.unheard.load(Ordering::SeqCst)
    }

    /// Returns once `count` calls have come.
    pub(super) async fn called(&self, count: usize) {
        until(|| self.calls().len() >= count).await;
    }
}

#[async_trait]
impl ToolPort for Port {
    async fn call(&self, call: ToolCall) -> ToolReply {
        self.calls.lock().unwrap().push(call.clone());
        let (meeting, answered) = (Arc::clone(&self.meeting), Arc::clone(&self.answered));
        let mut asker = Asker(&self.unheard, false);
        let carried_out = tokio::spawn(async move {
            match call.name.as_str() {
                "fail" => return ToolReply::error("no such member"),
                "meet" => {
                    meeting.wait().await;
                }
                "panic" => panic!("a port that panics"),
                _ => {}
            }
            answered.fetch_add(1, Ordering::SeqCst);
            ToolReply::text(format!("{} {}", call.key.attempt, call.arguments))
        });
        let reply = carried_out.await.expect("the port panics where it is asked to");
        asker.1 = true;
        reply
    }
}

pub(super) fn key(attempt: u32) -> TurnKey {
    TurnKey { session: SessionId::derive(&[b"mcp"]), turn: TurnId(Offset(7)), attempt }
}

pub(super) fn tool(name: &str) -> ToolSpec {
    let input_schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    ToolSpec::new(name, format!("Does {name}."), input_schema)
}

/// `share`, `fail`, `meet` and `panic` for one attempt.
pub(super) fn admit(server: &McpServer, attempt: u32, port: &Arc<Port>) -> Admission {
    let tools = ["share", "fail", "meet", "panic"].map(tool).to_vec();
    server.admit(key(attempt), tools, Arc::<Port>::clone(port))
}

/// What a client puts on the wire; the fields are there to be spoilt.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) port: u16,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Client {
    pub(super) fn new(admission: &Admission) -> Self {
        let endpoint = admission.endpoint();
        let port = endpoint.url.strip_prefix("http://127.0.0.1:").unwrap().strip_suffix("/mcp").unwrap();
        let headers = vec![
            ("Host", format!("127.0.0.1:{port}")),
            ("Authorization", format!("Bearer {}", endpoint.secret)),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("Content-Type", "application/json".to_owned()),
        ];
        Self { port: port.parse().unwrap(), method: "POST", path: "/mcp", headers }
    }

    /// The same with one header instead of the one of that name; without it where `value` is none.
    pub(super) fn with(&self, name: &'static str, value: Option<&str>) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(other, _)| *other != name);
        client.headers.extend(value.map(|value| (name, value.to_owned())));
        client
    }

    pub(super) fn head(&self, length: usize) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nContent-Length: {length}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    pub(super) async fn send(&self, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let mut stream = self.connect().await;
        stream.write_all(self.head(body.len()).as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        answer(&mut stream).await
    }

    pub(super) async fn rpc(&self, method: &str, params: Value) -> Answer {
        self.send(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()).await
    }

    /// The result of a `tools/call`.
    pub(super) async fn call(&self, name: &str, arguments: Value) -> Value {
        let answer = self.rpc("tools/call", json!({"name": name, "arguments": arguments})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["result"].clone()
    }
}

/// Waits for something that nobody announces.
pub(super) async fn until(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("not so within ten seconds");
}

/// Reads one response; the connection stays open.
pub(super) async fn answer(stream: &mut TcpStream) -> Answer {
    timeout(Duration::from_secs(10), read(stream)).await.expect("no answer in ten seconds")
}

async fn read(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.split("content-length: ").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    Answer { status, body: String::from_utf8(body).unwrap() }
}
