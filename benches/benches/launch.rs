//! What a turn costs beyond its runtime: the adapter's open and turn of a stub, against a bare spawn
//! of the same stub, without the arguments and files that the adapter adds.
#![expect(clippy::print_stdout, reason = "a bench says what it found")]

use futures::StreamExt as _;
use party_benches::{Goal, Measured, Pairs, Row, is_bench_run, report, scratch};
use party_core::{ContentBlock, Framing, ModelMessage, Offset, Outcome, SeatId, SessionId, TurnId};
use party_harness::{
    FullView, Harness as _, Result, RuntimeSpec, ToolCall, ToolChoice, ToolPort, ToolReply, TurnEvent,
    TurnKey, TurnRequest, async_trait, claude_code::ClaudeCode,
};
use std::{
    cell::Cell,
    fs,
    path::Path,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Instant,
};
use tokio::{io::AsyncWriteExt as _, process::Command, runtime::Runtime};

const STUB: &str = env!("CARGO_BIN_EXE_stub_runtime");
const MESSAGE: &str = "Should we?";
const PAIRS: usize = 200;

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime starts");
    let folder = tempfile::tempdir_in(scratch()).expect("the target folder takes folders");
    for name in ["home", "work", "seat"] {
        fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    if !is_bench_run() {
        runtime.block_on(ours(folder.path(), 1));
        return ExitCode::SUCCESS;
    }
    let turn = Cell::new(0);
    let measured = Pairs::in_memory(PAIRS).run(
        || {
            turn.set(turn.get() + 1);
            runtime.block_on(ours(folder.path(), turn.get()))
        },
        || runtime.block_on(bare(folder.path())),
    );
    let what = in_words(&measured);
    println!("{what}");
    let overhead =
        Measured { ratio: measured.difference, quartiles: measured.difference_quartiles, ..measured };
    report([Row::timed("launch_overhead_ms", Goal::AtMost(5.0), &overhead, what)])
}

fn in_words(measured: &Measured) -> String {
    let (ours, bare) = measured.sides;
    format!("open and turn of a stub ({ours:.2} ms) - its bare spawn to exit ({bare:.2} ms), {PAIRS} pairs")
}

/// Opens a seat and runs a turn to its end: milliseconds.
async fn ours(folder: &Path, turn: u64) -> f64 {
    let (spec, request) = (spec(folder), request(turn));
    let begun = Instant::now();
    let harness = ClaudeCode::new(STUB);
    let session = harness.open(spec, Arc::new(NoTools)).await.expect("it opens");
    let events: Vec<TurnEvent> = session.turn(request).await.expect("it is launched").events.collect().await;
    let time = begun.elapsed().as_secs_f64() * 1e3;
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!("{events:?}") };
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    time
}

/// Spawns the stub, gives it a message, and reads its output to the exit: milliseconds.
async fn bare(folder: &Path) -> f64 {
    let env = spec(folder).env;
    let begun = Instant::now();
    let mut command = Command::new(STUB);
    command.env_clear().envs(&env).current_dir(folder.join("work"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is spawned");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(MESSAGE.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it exits");
    let time = begun.elapsed().as_secs_f64() * 1e3;
    assert!(output.status.success() && !output.stdout.is_empty());
    time
}

fn spec(folder: &Path) -> RuntimeSpec {
    let home = folder.join("home").to_string_lossy().into_owned();
    RuntimeSpec {
        session: SessionId::from_bytes([7; 16]),
        seat: SeatId(1),
        agent: "Mary".to_owned(),
        system_prompt: "You are Mary.".to_owned(),
        model: None,
        cwd: folder.join("work"),
        folder: folder.join("seat"),
        env: [("HOME".to_owned(), home), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())]
            .into_iter()
            .collect(),
        resume: None,
    }
}

fn request(turn: u64) -> TurnRequest {
    let turn = TurnId(Offset(turn));
    TurnRequest {
        key: TurnKey { session: SessionId::from_bytes([7; 16]), turn, attempt: 1 },
        delta: vec![message()],
        full: Arc::new(Whole),
        continuation: None,
        tools: Vec::new(),
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

fn message() -> ModelMessage {
    let mut message = Framing::new(MESSAGE).into_message();
    message.content = vec![ContentBlock::text(MESSAGE)];
    message
}

#[derive(Debug)]
struct Whole;

#[async_trait]
impl FullView for Whole {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Ok(vec![message()])
    }
}

#[derive(Debug)]
struct NoTools;

#[async_trait]
impl ToolPort for NoTools {
    async fn call(&self, _: ToolCall) -> ToolReply {
        ToolReply::error("no tools")
    }
}
