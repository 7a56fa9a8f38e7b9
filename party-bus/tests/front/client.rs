//! A client: lines out, lines in.

use serde_json::Value;
use std::{path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// Nothing here takes so long; only a hang does.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    pub(super) writer: OwnedWriteHalf,
}

impl Client {
    pub(super) async fn connect(path: &Path) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap())
    }

    pub(super) fn over(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { lines: BufReader::new(reader).lines(), writer }
    }

    pub(super) async fn say(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// What is said next; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Value> {
        let line = timeout(DEADLINE, self.lines.next_line()).await.expect("the front says something");
        // Who is let go with a request unread is told so by the system.
        line.unwrap_or_default().map(|line| serde_json::from_str(&line).unwrap())
    }

    pub(super) async fn hear(&mut self) -> Value {
        self.next().await.expect("the front says something more")
    }

    /// What a request gives; records that come in between are left out.
    pub(super) async fn ask(&mut self, request: Value) -> Value {
        self.say(&request.to_string()).await;
        loop {
            let said = self.hear().await;
            if said.get("follow").is_none() {
                assert_eq!(said["id"], request["id"], "{said}");
                return said;
            }
        }
    }

    /// The kind and the message of the error that a request gives.
    pub(super) async fn refused(&mut self, request: Value) -> (String, String) {
        let said = self.ask(request).await;
        trouble(&said["error"])
    }

    /// The offsets of the records that come until `last`.
    pub(super) async fn offsets_to(&mut self, last: u64) -> Vec<u64> {
        let mut offsets = Vec::new();
        while offsets.last() != Some(&last) {
            let said = self.hear().await;
            offsets.push(said["record"]["offset"].as_u64().unwrap_or_else(|| panic!("a record: {said}")));
        }
        offsets
    }
}

pub(super) fn trouble(error: &Value) -> (String, String) {
    let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("no error: {error}")).to_owned();
    (text("kind"), text("message"))
}
