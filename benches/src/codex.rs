//! A Codex server, and a client that knows nothing but its protocol.

use crate::scratch;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::header},
};

const TOKEN: &str = "a-token-that-only-this-run-knows";

/// A real `codex app-server` on a free port, whose model is a fake one; dropped, it is killed.
#[derive(Debug)]
pub struct CodexServer {
    child: Child,
    folder: TempDir,
    at: SocketAddr,
}

impl CodexServer {
    /// Starts the binary that `cargo xtask fetch` brought.
    ///
    /// # Errors
    /// Why it cannot be measured: the binary is missing, or does not listen.
    pub fn start(model: &str) -> Result<Self, String> {
        let binary = env::var_os("PARTY_TEST_CODEX").map(PathBuf::from).filter(|path| path.is_file());
        let binary = binary.ok_or("PARTY_TEST_CODEX names no file; see `cargo xtask fetch`")?;
        let folder = tempfile::tempdir_in(scratch()).map_err(|error| error.to_string())?;
        for name in ["home", "work"] {
            fs::create_dir(folder.path().join(name)).map_err(|error| error.to_string())?;
        }
        let token = folder.path().join("token");
        fs::write(&token, TOKEN).map_err(|error| error.to_string())?;
        fs::write(folder.path().join("config.toml"), config(model)).map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        command.args(["app-server", "--listen", "ws://127.0.0.1:0", "--ws-auth", "capability-token"]);
        command.arg("--ws-token-file").arg(token).current_dir(folder.path()).env_clear();
        command.env("HOME", folder.path()).env("CODEX_HOME", folder.path()).env("PATH", "/usr/bin:/bin");
        command.env("OPENAI_API_KEY", "sk-fake");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let at = listening(&mut child).inspect_err(|_| {
            let _ = child.kill();
        })?;
        Ok(Self { child, folder, at })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("ws://{}", self.at)
    }

    /// What opens it.
    pub const fn token(&self) -> &'static str {
        TOKEN
    }

    /// A folder with the folders `home` and `work` for agents.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for CodexServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address that it says on its standard error, which is read to the end meanwhile.
fn listening(child: &mut Child) -> Result<SocketAddr, String> {
    let stderr = child.stderr.take().ok_or("no pipe")?;
    let (found, finds) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some((_, at)) = line.split_once("listening on: ws://") {
                let _ = found.send(at.trim().to_owned());
            }
        }
    });
    let at = finds.recv_timeout(std::time::Duration::from_secs(30)).map_err(|_| "it does not listen")?;
    at.parse().map_err(|_| format!("it listens on `{at}`"))
}

fn config(model: &str) -> String {
    format!(
        r#"model = "gpt-5.5"
model_provider = "fake"
web_search = "disabled"
check_for_update_on_startup = false
[model_providers.fake]
name = "fake"
base_url = "{model}/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
[features]
plugins = false
apps = false
remote_plugin = false
[analytics]
enabled = false
"#
    )
}

/// A connection that keeps what it needs for its turns and nothing else.
#[derive(Debug)]
pub struct BareCodex {
    socket: WebSocketStream<TcpStream>,
    requests: u64,
}

impl BareCodex {
    /// Connects and shakes hands.
    ///
    /// # Panics
    /// Where the server does not do as its protocol says; so do all others here.
    pub async fn connect(server: &CodexServer) -> Self {
        let stream = TcpStream::connect(server.at).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        let mut request = server.url().into_client_request().expect("a url");
        let bearer = format!("Bearer {TOKEN}").parse().expect("a header");
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let (socket, _) = client_async(request, stream).await.expect("it upgrades");
        let mut bare = Self { socket, requests: 0 };
        let info = json!({"name": "bare", "title": "bare", "version": "0.1.0"});
        let hello = json!({"clientInfo": info, "capabilities": {"experimentalApi": true}});
        bare.call("initialize", hello).await;
        bare.send(json!({"method": "initialized"})).await;
        bare
    }

    /// Starts threads, one after the other.
    pub async fn threads(&mut self, server: &CodexServer, count: usize) -> Vec<String> {
        let mut threads = Vec::new();
        for _ in 0..count {
            let asked = json!({
                "cwd": server.folder().join("work"), "approvalPolicy": "never", "sandbox": "read-only",
                "developerInstructions": "You are Mary.",
            });
            let started = self.call("thread/start", asked).await;
            threads.push(started["thread"]["id"].as_str().expect("an id").to_owned());
        }
        threads
    }

    /// One turn on each thread at once, to the end of the last.
    pub async fn turns(&mut self, threads: &[String], text: &str) {
        for thread in threads {
            let input = json!([{"type": "text", "text": text}]);
            self.request("turn/start", json!({"threadId": thread, "input": input})).await;
        }
        let mut running: BTreeSet<&str> = threads.iter().map(String::as_str).collect();
        while !running.is_empty() {
            let message = self.next().await;
            assert!(message.get("error").is_none(), "{message}");
            if message["method"] == "turn/completed" {
                assert_eq!(message["params"]["turn"]["status"], "completed", "{message}");
                running.remove(message["params"]["threadId"].as_str().expect("an id"));
            }
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        loop {
            let mut message = self.next().await;
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{message}");
                return message["result"].take();
            }
        }
    }

    async fn request(&mut self, method: &str, params: Value) -> u64 {
        self.requests += 1;
        self.send(json!({"method": method, "id": self.requests, "params": params})).await;
        self.requests
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("it reads");
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("it goes on").expect("it speaks");
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }
}
