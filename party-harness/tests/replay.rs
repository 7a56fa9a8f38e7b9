//! Recordings of the real Claude Code as agents.
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use futures::StreamExt as _;
use party_harness::{
    FullView, Harness as _, Result, RuntimeSession, RuntimeSpec, ToolCall, ToolChoice, ToolPort, ToolReply,
    ToolSpec, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait,
    claude_code::codec::{Decoder, Exit},
    core::{Cost, ModelMessage, Offset, Outcome, SeatId, SessionId, TurnId, Usd},
    replay::Replay,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

#[tokio::test]
async fn a049_a_call_of_a_recording_reaches_the_host_and_is_answered_by_its_id() {
    let replay = Replay::claude_with("bus", [("Mary", [recording("2.1.197/mcp_ok")])]);
    let host = Arc::new(Host::default());
    let events = play(&*open(&replay, &host).await, request(1, &["Send"])).await;
    let call = ToolCall {
        key: request(1, &[]).key,
        id: "toolu_send1".into(),
        name: "Send".into(),
        arguments: json!({"member": "coder", "message": "m"}),
    };
    assert_eq!(*host.0.lock().unwrap(), [call]);
    let at = events.iter().position(|event| matches!(event, TurnEvent::ToolUse { .. })).unwrap();
    let answer =
        TurnEvent::ToolResult { id: "toolu_send1".into(), text: "as of today".into(), is_error: false };
    assert_eq!(events[at + 1], answer);
    assert_eq!(events.iter().filter(|event| matches!(event, TurnEvent::ToolResult { .. })).count(), 1);
    let end = end(&events);
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("x")));
    assert_eq!((end.cost, end.usage.steps), (Cost::Reported(Usd::from_micros(4225)), 2));
}

#[tokio::test]
async fn a_tool_that_the_turn_does_not_list_is_not_called() {
    let replay = Replay::claude_with("bus", [("Mary", [recording("2.1.197/mcp_ok")])]);
    let host = Arc::new(Host::default());
    let events = play(&*open(&replay, &host).await, request(1, &["Other"])).await;
    assert_eq!(*host.0.lock().unwrap(), []);
    assert!(events.iter().any(|event| matches!(event, TurnEvent::ToolResult { is_error: true, .. })));
    assert_eq!(end(&events).outcome, Outcome::Completed);
}

#[tokio::test]
async fn each_turn_plays_the_next_recording_and_the_last_repeats() {
    let recordings = [
        recording("2.1.329/rate_limit_warning_oauth"),
        recording("2.1.329/err_401"),
        recording("2.1.329/max_turns"),
    ];
    let (replay, host) = (Replay::claude([("Mary", recordings)]), Arc::new(Host::default()));
    let session = open(&replay, &host).await;
    let mut outcomes = Vec::new();
    for turn in 1..=4 {
        let end = end(&play(&*session, request(turn, &[])).await);
        outcomes.push((end.outcome, end.text.as_deref().map(str::to_owned)));
    }
    let failed = (Outcome::Failed, None);
    let spoke = (Outcome::Completed, Some("x".to_owned()));
    assert_eq!(outcomes, [spoke, failed.clone(), failed.clone(), failed]);
}

#[tokio::test]
async fn every_recording_plays_to_its_end_whole_cut_and_damaged() {
    let recordings = all();
    assert!(recordings.len() > 30);
    for path in recordings {
        let whole = fs::read(&path).unwrap();
        let cut = whole[..whole.len() * 2 / 3].to_vec();
        let damaged: Vec<u8> =
            whole.iter().zip(0_u32..).map(|(byte, at)| if at % 997 == 0 { 0xff } else { *byte }).collect();
        for recording in [whole, cut, damaged, Vec::new()] {
            let mut decoder = Decoder::new();
            decoder.feed(&recording);
            let (_, verdict) = decoder.finish(&Exit::default());
            let (replay, host) = (Replay::claude([("Mary", [recording])]), Arc::new(Host::default()));
            let end = end(&play(&*open(&replay, &host).await, request(1, &[])).await);
            let expected = (verdict.status.outcome(), verdict.text, verdict.cost, verdict.reason);
            assert_eq!((end.outcome, end.text, end.cost, end.reason), expected, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn an_agent_without_recordings_is_named() {
    let replay = Replay::claude([("Mary", vec![""]), ("John", vec![])]);
    for agent in ["John", "Ann"] {
        let spec = RuntimeSpec { agent: agent.into(), ..spec() };
        let error = replay.open(spec, Arc::new(Host::default())).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("no recordings of agent `{agent}`")), "{error}");
    }
}

/// Answers otherwise than the host of the recordings did.
#[derive(Debug, Default)]
struct Host(Mutex<Vec<ToolCall>>);

#[async_trait]
impl ToolPort for Host {
    async fn call(&self, call: ToolCall) -> ToolReply {
        self.0.lock().unwrap().push(call);
        ToolReply::text("as of today")
    }
}

#[derive(Debug)]
struct NoView;

#[async_trait]
impl FullView for NoView {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(Vec::new())
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude")
}

fn recording(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(format!("{name}.jsonl"))).unwrap()
}

fn all() -> Vec<PathBuf> {
    let versions = fs::read_dir(fixtures()).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let files = versions.flat_map(|version| fs::read_dir(version.path()).unwrap().flatten());
    files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect()
}

fn spec() -> RuntimeSpec {
    RuntimeSpec {
        session: SessionId::from_bytes([7; 16]),
        seat: SeatId(0),
        agent: "Mary".into(),
        system_prompt: String::new(),
        model: None,
        cwd: "/".into(),
        folder: "/".into(),
        env: party_harness::Environment::default(),
        resume: None,
    }
}

fn request(turn: u64, tools: &[&str]) -> TurnRequest {
    let turn = TurnId(Offset(turn));
    let tool = |name: &&str| ToolSpec::new(*name, "", json!({"type": "object"}));
    TurnRequest {
        key: TurnKey { session: spec().session, turn, attempt: 1 },
        delta: Vec::new(),
        full: Arc::new(NoView),
        continuation: None,
        tools: tools.iter().map(tool).collect(),
        tool_choice: ToolChoice::Auto,
        completion: Default::default(),
        most_steps: None,
        mcp: None,
        own_tools: Vec::new(),
        ask: false,
        limit: None,
        alongside: vec![turn],
    }
}

async fn open(replay: &Replay, host: &Arc<Host>) -> Arc<dyn RuntimeSession> {
    replay.open(spec(), Arc::clone(host) as Arc<dyn ToolPort>).await.unwrap()
}

async fn play(session: &dyn RuntimeSession, request: TurnRequest) -> Vec<TurnEvent> {
    let events: Vec<TurnEvent> = session.turn(request).await.unwrap().events.collect().await;
    assert_eq!(events.iter().filter(|event| matches!(event, TurnEvent::Ended(_))).count(), 1);
    events
}

fn end(events: &[TurnEvent]) -> TurnEnd {
    match events.last() {
        Some(TurnEvent::Ended(end)) => end.clone(),
        other => panic!("{other:?}"),
    }
}
