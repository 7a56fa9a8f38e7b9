//! A seat of a party that has one question and no tools.

use futures::StreamExt as _;
use party_core::{ContentBlock, Framing, ModelMessage, Offset, Outcome, SeatId, SessionId, TurnId};
use party_harness::{
    FullView, Result, RuntimeSession, RuntimeSpec, ToolCall, ToolChoice, ToolPort, ToolReply, TurnEvent,
    TurnKey, TurnRequest, async_trait,
};
use std::{path::Path, sync::Arc};

/// What each turn is asked.
pub const QUESTION: &str = "Should we?";

/// Mary's seat `number`, with the folders `home` and `work` below `folder`, and one of its own, which is made.
///
/// # Panics
/// Where it cannot be made.
pub fn seat(folder: &Path, number: u16) -> RuntimeSpec {
    let own = folder.join(format!("seat-{number}"));
    std::fs::create_dir_all(&own).expect("the folder takes folders");
    let home = folder.join("home").to_string_lossy().into_owned();
    RuntimeSpec {
        session: SessionId::from_bytes([7; 16]),
        seat: SeatId(number),
        agent: "Mary".to_owned(),
        system_prompt: "You are Mary.".to_owned(),
        model: None,
        cwd: folder.join("work"),
        folder: own,
        env: [("HOME".to_owned(), home), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())]
            .into_iter()
            .collect(),
        resume: None,
    }
}

/// Asks, and waits for the end.
///
/// # Panics
/// Where the turn is not completed.
pub async fn ask(session: &dyn RuntimeSession, turn: u64) {
    let turn = session.turn(request(turn)).await.expect("it is launched");
    let events: Vec<TurnEvent> = turn.events.collect().await;
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!("{events:?}") };
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
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
    let mut message = Framing::new(QUESTION).into_message();
    message.content = vec![ContentBlock::text(QUESTION)];
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

/// A host without tools.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing")]
pub struct NoTools;

#[async_trait]
impl ToolPort for NoTools {
    async fn call(&self, _: ToolCall) -> ToolReply {
        ToolReply::error("no tools")
    }
}
