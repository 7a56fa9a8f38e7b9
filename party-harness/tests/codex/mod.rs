//! What the tests of the Codex adapter share: seats with their folders, tools, and turns read to their
//! end.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]
#![allow(dead_code, reason = "each test program uses a part")]

use futures::StreamExt as _;
use party_core::{ContentBlock, Framing, ModelMessage, Offset, SeatId, SessionId, TurnId};
use party_harness::{
    FullView, Harness as _, Result, ResumeToken, RuntimeSession, RuntimeSpec, ToolCall, ToolChoice, ToolPort,
    ToolReply, ToolSpec, Turn, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait, codex::Codex,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// The host's tools: `wait` answers when it is let go, `hang` never, `refuse` by an error, `panic` falls
/// over, `tell` says a megabyte, all others answer at once.
#[derive(Debug)]
pub(crate) struct Tools {
    calls: Mutex<Vec<ToolCall>>,
    go: Semaphore,
}

#[async_trait]
impl ToolPort for Tools {
    async fn call(&self, call: ToolCall) -> ToolReply {
        let name = call.name.clone();
        self.calls.lock().unwrap().push(call);
        match name.as_str() {
            "panic" => panic!("the tool's own trouble"),
            "hang" => std::future::pending().await,
            "wait" => {
                self.go.acquire().await.unwrap().forget();
                ToolReply::text("waited")
            }
            "tell" => ToolReply::text("x".repeat(1 << 20)),
            "refuse" => ToolReply::error("slots full: 3 of 3"),
            _ => ToolReply::text("shared as 7"),
        }
    }
}

impl Tools {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { calls: Mutex::default(), go: Semaphore::new(0) })
    }

    /// Lets one call of `wait` return.
    pub(crate) fn release(&self) {
        self.go.add_permits(1);
    }

    pub(crate) fn calls(&self) -> Vec<ToolCall> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.name).collect()
    }
}

pub(crate) fn tool(name: &str) -> ToolSpec {
    let input_schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    ToolSpec::new(name, format!("Does {name}."), input_schema)
}

#[derive(Debug)]
struct Whole(String);

#[async_trait]
impl FullView for Whole {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(vec![message(&self.0)])
    }
}

fn message(text: &str) -> ModelMessage {
    let mut message = Framing::new(text).into_message();
    message.injected = 0;
    message.content = vec![ContentBlock::text(text)];
    message
}

/// A host's folders. They lie outside of the system's temporary folder, which Codex does not like for
/// its home.
#[derive(Debug)]
pub(crate) struct Bench {
    root: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    env: BTreeMap<String, String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut bench = Self::at(root.path().to_owned());
        bench._temporary = Some(root);
        bench
    }

    /// On folders that another process has made.
    pub(crate) fn at(root: PathBuf) -> Self {
        let home = root.join("home").display().to_string();
        let env = [("HOME", home.as_str()), ("PATH", "/usr/bin:/bin"), ("OPENAI_API_KEY", "sk-fake")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let bench = Self { root, _temporary: None, env };
        bench.folder("home");
        bench
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        self.env.clone()
    }

    pub(crate) fn spec(&self, seat: u16, resume: Option<ResumeToken>) -> RuntimeSpec {
        RuntimeSpec {
            session: SessionId::from_bytes([7; 16]),
            seat: SeatId(seat),
            agent: format!("Seat {seat}"),
            system_prompt: format!("You are seat {seat}."),
            model: None,
            cwd: self.folder(&format!("work-{seat}")),
            folder: self.folder(&format!("seat-{seat}")),
            env: self.env.clone().into(),
            resume,
        }
    }

    pub(crate) async fn open(&self, codex: &Codex, tools: &Arc<Tools>) -> Arc<dyn RuntimeSession> {
        self.open_with(codex, tools, None).await
    }

    pub(crate) async fn open_with(
        &self,
        codex: &Codex,
        tools: &Arc<Tools>,
        resume: Option<ResumeToken>,
    ) -> Arc<dyn RuntimeSession> {
        let port = Arc::clone(tools) as Arc<dyn ToolPort>;
        codex.open(self.spec(1, resume), port).await.unwrap()
    }
}

pub(crate) fn key(offset: u64, attempt: u32) -> TurnKey {
    TurnKey { session: SessionId::from_bytes([7; 16]), turn: TurnId(Offset(offset)), attempt }
}

/// A turn that is told `text`, whether it remembers or not.
pub(crate) fn request(offset: u64, text: &str, tools: &[&str]) -> TurnRequest {
    let key = key(offset, 1);
    TurnRequest {
        key,
        delta: vec![message(text)],
        full: Arc::new(Whole(text.to_owned())),
        continuation: None,
        tools: tools.iter().map(|name| tool(name)).collect(),
        tool_choice: ToolChoice::Auto,
        completion: Default::default(),
        most_steps: None,
        mcp: None,
        own_tools: Vec::new(),
        ask: false,
        limit: None,
        alongside: vec![key.turn],
    }
}

pub(crate) async fn begin(session: &Arc<dyn RuntimeSession>, request: TurnRequest) -> Turn {
    within(session.turn(request)).await.unwrap()
}

pub(crate) async fn run(session: &Arc<dyn RuntimeSession>, request: TurnRequest) -> TurnEnd {
    end_of(begin(session, request).await).await
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes too long")
}

/// All events of a turn: one end, and it is the last.
pub(crate) async fn events_of(turn: Turn) -> Vec<TurnEvent> {
    let events = within(turn.events.collect::<Vec<_>>()).await;
    let ends = events.iter().filter(|event| matches!(event, TurnEvent::Ended(_))).count();
    assert!(ends == 1 && matches!(events.last(), Some(TurnEvent::Ended(_))), "{events:?}");
    events
}

pub(crate) async fn end_of(turn: Turn) -> TurnEnd {
    end_in(&events_of(turn).await)
}

pub(crate) fn end_in(events: &[TurnEvent]) -> TurnEnd {
    match events.last() {
        Some(TurnEvent::Ended(end)) => end.clone(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn texts(events: &[TurnEvent]) -> Vec<&str> {
    let texts = events.iter().filter_map(|event| match event {
        TurnEvent::Text { text } => Some(&**text),
        _ => None,
    });
    texts.collect()
}

/// Events until one is found, which is the last of them.
pub(crate) async fn until(turn: &mut Turn, is_it: impl Fn(&TurnEvent) -> bool) -> Vec<TurnEvent> {
    let mut seen = Vec::new();
    let find = async {
        while let Some(event) = turn.events.next().await {
            seen.push(event);
            if seen.last().is_some_and(&is_it) {
                return;
            }
        }
        panic!("the turn is over: {seen:?}");
    };
    within(find).await;
    seen
}

/// A program in a folder. Another process writes it: no child of this one holds it open, so that it is
/// never busy.
pub(crate) fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let write = "printf %s \"$1\" >\"$0\" && chmod 700 \"$0\"";
    let written = Command::new("/bin/sh").args(["-c", write]).arg(&path).arg(text).status();
    assert!(written.unwrap().success());
    path
}

pub(crate) async fn holds(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
