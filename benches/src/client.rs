//! An HTTP client that keeps one connection, the same for either side.

use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Result, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

/// About as much as an agent says.
const TEXT: usize = 800;

/// A connection to a server of tools, with the secret that it asks for.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    head: String,
    calls: u64,
    text: String,
}

impl Client {
    /// Connects to `http://HOST:PORT/PATH`.
    pub fn connect(url: &str, secret: &str) -> Result<Self> {
        let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap_or((url, ""));
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\n\
             Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\
             MCP-Protocol-Version: 2025-11-25\r\n"
        );
        let text = "It is a fair question. ".chars().cycle().take(TEXT).collect();
        Ok(Self { stream: BufReader::new(stream), head, calls: 0, text })
    }

    /// Calls `share` once, as Claude Code does, and gives the time to the last byte of the answer.
    pub fn share(&mut self) -> Result<Duration> {
        self.calls += 1;
        let arguments = json!({ "text": format!("{} {}", self.calls, self.text) });
        let meta = json!({ "claudecode/toolUseId": format!("toolu_{:020}", self.calls) });
        let params = json!({ "name": "share", "arguments": arguments, "_meta": meta });
        let call = json!({ "jsonrpc": "2.0", "id": self.calls, "method": "tools/call", "params": params });
        let body = call.to_string();
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        let begun = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes())?;
        let answer = self.answer()?;
        let time = begun.elapsed();
        let answer: Value = serde_json::from_slice(&answer)?;
        let said = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(said.starts_with("shared as "), "{answer}");
        Ok(time)
    }

    fn answer(&mut self) -> Result<Vec<u8>> {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}
