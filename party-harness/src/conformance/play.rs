//! What the cases share: agents in their parts, and turns read to their end.

use super::{
    Act, Part, Skipped, Stage,
    host::{Port, View, message, tool},
};
use crate::{
    Capabilities, Completion, CostSource, Harness, ResumeToken, RuntimeSession, ToolChoice, ToolDoor,
    ToolPort, Turn, TurnEnd, TurnEvent, TurnKey, TurnRequest,
};
use futures::StreamExt as _;
use party_core::{Cost, Offset, Outcome, SeatId, TurnId};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The seats of the cases.
pub(super) const ANN: SeatId = SeatId(1);
pub(super) const BOB: SeatId = SeatId(2);

/// A part that begins when `cue` is in the message.
pub(super) fn on<const N: usize>(cue: &str, acts: [Act; N]) -> Part {
    Part { cue: cue.to_owned(), acts: acts.to_vec() }
}

pub(super) fn says(text: &str) -> Act {
    Act::Say(text.to_owned())
}

pub(super) fn calls(tool: &str, arguments: Value) -> Act {
    Act::Call { tool: tool.to_owned(), arguments }
}

pub(super) fn not_shown<T>(what: &str) -> Result<T, Skipped> {
    Err(Skipped::NotShown(what.to_owned()))
}

pub(super) const fn declared(is_declared: bool, what: &'static str) -> Result<(), Skipped> {
    if is_declared { Ok(()) } else { Err(Skipped::NotDeclared(what)) }
}

/// Waits until something holds; the case's deadline ends it.
pub(super) async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A case that is being played.
pub(super) struct Play<'a> {
    pub(super) stage: &'a dyn Stage,
    pub(super) harness: Arc<dyn Harness>,
    pub(super) capabilities: Capabilities,
    pub(super) port: Arc<Port>,
    turns: AtomicU64,
}

impl<'a> Play<'a> {
    /// Agents in their parts: Ann's and Bob's turns.
    pub(super) async fn of(stage: &'a dyn Stage, ann: Vec<Part>, bob: Vec<Part>) -> Result<Self, Skipped> {
        let cast = [(ANN, ann), (BOB, bob)].into_iter().filter(|(_, parts)| !parts.is_empty()).collect();
        let Some(harness) = stage.harness(cast).await else { return not_shown("agents that do this") };
        let capabilities = harness.info().capabilities;
        assert_eq!(capabilities, stage.capabilities(), "what the stage says of the harness");
        Ok(Self { stage, harness, capabilities, port: Arc::default(), turns: AtomicU64::new(0) })
    }

    /// One agent.
    pub(super) async fn ann<const N: usize>(stage: &'a dyn Stage, parts: [Part; N]) -> Result<Self, Skipped> {
        Self::of(stage, parts.to_vec(), Vec::new()).await
    }

    pub(super) async fn open(&self, seat: SeatId) -> Arc<dyn RuntimeSession> {
        self.resume(seat, None).await
    }

    pub(super) async fn resume(&self, seat: SeatId, resume: Option<ResumeToken>) -> Arc<dyn RuntimeSession> {
        let mut spec = self.stage.spec(seat);
        spec.resume = resume;
        let port = Arc::clone(&self.port) as Arc<dyn ToolPort>;
        self.harness.open(spec, port).await.expect("a runtime session opens")
    }

    /// The next turn of a seat: a message that is also the whole view.
    pub(super) fn request(&self, seat: SeatId, text: &str) -> TurnRequest {
        let turn = TurnId(Offset(self.turns.fetch_add(1, Ordering::Relaxed) + 1));
        TurnRequest {
            key: TurnKey { session: self.stage.spec(seat).session, turn, attempt: 1 },
            delta: vec![message(text)],
            full: View::new(text),
            continuation: None,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            completion: Completion::NoToolCall,
            most_steps: None,
            mcp: None,
            own_tools: Vec::new(),
            ask: false,
            limit: None,
            alongside: vec![turn],
        }
    }

    /// The same with the host's tools.
    pub(super) async fn with_tools<const N: usize>(
        &self,
        mut request: TurnRequest,
        names: [&str; N],
    ) -> Result<TurnRequest, Skipped> {
        request.tools = names.map(tool).to_vec();
        if self.capabilities.tools == ToolDoor::McpHttp {
            let port = Arc::clone(&self.port) as Arc<dyn ToolPort>;
            request.mcp = self.stage.serve(request.key, request.tools.clone(), port).await;
            if request.mcp.is_none() {
                return not_shown("the host's tools without an mcp server");
            }
        }
        Ok(request)
    }

    /// Runs a turn to its end.
    pub(super) async fn run(&self, session: &Arc<dyn RuntimeSession>, request: TurnRequest) -> TurnEnd {
        end_of(&self.events(session, request).await)
    }

    /// Runs a turn, and gives all that it streamed.
    pub(super) async fn events(
        &self,
        session: &Arc<dyn RuntimeSession>,
        request: TurnRequest,
    ) -> Vec<TurnEvent> {
        let turn = session.turn(request).await.expect("a turn starts");
        self.read(Vec::new(), turn).await
    }

    /// Starts a turn, and reads until its runtime session is known where it is going to be.
    pub(super) async fn begin(
        &self,
        session: &Arc<dyn RuntimeSession>,
        request: TurnRequest,
    ) -> (Vec<TurnEvent>, Turn) {
        let mut turn = session.turn(request).await.expect("a turn starts");
        let mut events = Vec::new();
        let is_start = |event: &TurnEvent| matches!(event, TurnEvent::Started { .. });
        while self.capabilities.resume && !events.iter().any(is_start) {
            events.push(turn.events.next().await.expect("a turn that runs has not ended"));
        }
        (events, turn)
    }

    /// Reads a turn to its end: what holds for every turn is checked here.
    pub(super) async fn read(&self, mut events: Vec<TurnEvent>, mut turn: Turn) -> Vec<TurnEvent> {
        while let Some(event) = turn.events.next().await {
            events.push(event);
        }
        check_order(&events);
        let end = end_of(&events);
        let is_start = |event: &TurnEvent| matches!(event, TurnEvent::Started { .. });
        let has_answered = matches!(end.outcome, Outcome::Completed | Outcome::Empty);
        if self.capabilities.resume && has_answered {
            assert!(events.iter().any(is_start), "its runtime session is not known by name: {events:?}");
        }
        check_end(&end);
        check_cost(self.capabilities.cost, &end);
        events
    }

    /// Waits until nothing of a seat lives but what its session keeps for the next turn, where the
    /// stage can tell.
    pub(super) async fn rests(&self, seat: SeatId) {
        self.at_most(seat, self.stage.kept_between_turns()).await;
    }

    /// The same, but for the moment that a killed process takes to die.
    pub(super) async fn is_at_rest(&self, seat: SeatId) {
        self.has_at_most(seat, self.stage.kept_between_turns()).await;
    }

    /// Makes sure that nothing of a seat lives whose session is closed, but for the same moment.
    pub(super) async fn is_gone(&self, seat: SeatId) {
        self.has_at_most(seat, 0).await;
    }

    async fn has_at_most(&self, seat: SeatId, count: usize) {
        let found = tokio::time::timeout(Duration::from_secs(2), self.at_most(seat, count)).await;
        assert!(found.is_ok(), "processes of seat {seat} were left: {:?}", self.stage.alive(seat));
    }

    async fn at_most(&self, seat: SeatId, count: usize) {
        until(|| self.stage.alive(seat).is_none_or(|alive| alive <= count)).await;
    }
}

pub(super) fn end_of(events: &[TurnEvent]) -> TurnEnd {
    match events.last() {
        Some(TurnEvent::Ended(end)) => end.clone(),
        _ => panic!("the last event is no end: {events:?}"),
    }
}

/// The start comes before all that the agent does. What its runtime does by itself may come earlier,
/// such as a session that is not found before a new one begins.
fn check_order(events: &[TurnEvent]) {
    let ends = events.iter().filter(|event| matches!(event, TurnEvent::Ended(_))).count();
    assert_eq!(ends, 1, "one end: {events:?}");
    let end = end_of(events);
    let mut called = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            TurnEvent::Started { sent, .. } => {
                assert_eq!(*sent, end.sent, "what was sent");
                let is_early = |event: &TurnEvent| {
                    use TurnEvent::{RateLimit, Raw, Spent, Waiting};
                    matches!(event, Raw { .. } | Waiting { .. } | RateLimit { .. } | Spent { .. })
                };
                assert!(events[..at].iter().all(is_early), "the start comes first: {events:?}");
            }
            TurnEvent::ToolUse { id, .. } => called.push(id),
            TurnEvent::ToolResult { id, .. } => {
                assert!(called.contains(&id), "an answer to no call: {events:?}");
            }
            _ => {}
        }
    }
}

fn check_end(end: &TurnEnd) {
    let has_text = end.text.as_ref().is_some_and(|text| !text.trim().is_empty());
    match end.outcome {
        Outcome::Completed => assert!(end.reason.is_none(), "{end:?}"),
        Outcome::Empty => assert!(!has_text, "an empty turn has a text: {end:?}"),
        _ => assert!(end.reason.is_some(), "it does not say why: {end:?}"),
    }
    assert_eq!(end.failure.is_some(), end.outcome == Outcome::Failed, "what kind of failure: {end:?}");
}

/// A cost that nobody knows is never said to be nothing; nothing was spent where nothing was sent.
fn check_cost(source: CostSource, end: &TurnEnd) {
    let fits = match (source, end.cost) {
        (CostSource::Enforced | CostSource::Reported, Cost::Reported(_)) => true,
        (CostSource::Estimated, Cost::Estimated(_)) => true,
        (_, Cost::Unknown) => source == CostSource::Unknown || end.outcome != Outcome::Completed,
        (_, Cost::Reported(usd)) => usd.as_micros() == 0 && end.outcome != Outcome::Completed,
        (_, Cost::Estimated(_)) => false,
    };
    assert!(fits, "a cost that does not fit {source:?}: {end:?}");
}
