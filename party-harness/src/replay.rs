//! Recordings as agents: what a real runtime wrote once is what an agent does, without the runtime.
//!
//! ```
//! use futures::StreamExt as _;
//! use party_harness::{Harness as _, TurnEvent, replay::Replay};
//! # use party_harness::{
//! #     FullView, Result, RuntimeSpec, ToolCall, ToolChoice, ToolPort, ToolReply, TurnKey, TurnRequest,
//! #     async_trait, core::{ModelMessage, Offset, SeatId, SessionId, TurnId},
//! # };
//! # #[derive(Debug)]
//! # struct Nothing;
//! # #[async_trait]
//! # impl ToolPort for Nothing {
//! #     async fn call(&self, _: ToolCall) -> ToolReply { ToolReply::error("no tools") }
//! # }
//! # #[async_trait]
//! # impl FullView for Nothing {
//! #     async fn load(&self) -> Result<Vec<ModelMessage>> { Ok(Vec::new()) }
//! # }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! # let session = SessionId::from_bytes([1; 16]);
//! # let turn = TurnId(Offset(1));
//! # let spec = RuntimeSpec {
//! #     session, seat: SeatId(0), agent: "Mary".into(), system_prompt: String::new(), model: None,
//! #     cwd: "/".into(), folder: "/".into(), env: Default::default(), resume: None,
//! # };
//! # let request = TurnRequest {
//! #     key: TurnKey { session, turn, attempt: 1 }, delta: Vec::new(), full: std::sync::Arc::new(Nothing),
//! #     continuation: None, tools: Vec::new(), tool_choice: ToolChoice::Auto, mcp: None,
//! #     completion: Default::default(), most_steps: None,
//! #     own_tools: Vec::new(), ask: false, limit: None, alongside: vec![turn],
//! # };
//! // What `claude -p --output-format stream-json --verbose` printed, such as a file of it.
//! let recording = concat!(
//!     r#"{"type":"system","subtype":"init","session_id":"s-1","tools":[],"mcp_servers":[]}"#, "\n",
//!     r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"Ship it."}]}}"#, "\n",
//!     r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Ship it."}"#, "\n",
//! );
//! let replay = Replay::claude([("Mary", vec![recording])]);
//! # let tools = std::sync::Arc::new(Nothing);
//! let session = replay.open(spec, tools).await?; // the agent `Mary`
//! let mut events = session.turn(request).await?.events;
//! while let Some(event) = events.next().await {
//!     if let TurnEvent::Ended(end) = event {
//!         assert_eq!(end.text.as_deref(), Some("Ship it."));
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Each turn of an agent plays its next recording, and the last one repeats. Nothing is paced: a
//! turn takes as long as its reader and its tools. All agents of one [`Replay`] share one timeline, as
//! [scripted](crate::scripted) ones do, so the same party gives the same log.
//!
//! Calls of the host's tools are made again, with the recording's ids and arguments, and are followed
//! by what the host answers now; what the model went on to say is the recording's all the same.
//! Outcome, text, usage and cost are the recording's. One that is damaged, or cut off, plays as far as
//! it can be read and then fails the turn.

use crate::{
    Capabilities, CostSource, Error, ErrorKind, Harness, HarnessInfo, Probe, Result, RuntimeSession,
    RuntimeSpec, ToolDoor, ToolPort, TurnEvent,
    claude_code::codec::{Decoded, Decoder, Exit, Verdict},
    player::{Act, Ending, Part, Parts, Player},
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A harness whose agents are recordings.
#[derive(Debug)]
pub struct Replay(Player);

impl Replay {
    /// Agents by name, each with its recordings of Claude Code: the bytes of a `stream-json` output,
    /// one for each turn. The host's tools are those of the MCP server `party` in them.
    pub fn claude<N, R>(agents: impl IntoIterator<Item = (N, R)>) -> Self
    where
        N: Into<String>,
        R: IntoIterator<Item: AsRef<[u8]>>,
    {
        Self::claude_with("party", agents)
    }

    /// The same for recordings in which the host's tools are those of the MCP server `server`.
    pub fn claude_with<N, R>(server: &str, agents: impl IntoIterator<Item = (N, R)>) -> Self
    where
        N: Into<String>,
        R: IntoIterator<Item: AsRef<[u8]>>,
    {
        let prefix = format!("mcp__{server}__");
        let parts =
            |recordings: R| recordings.into_iter().map(|bytes| part(bytes.as_ref(), &prefix)).collect();
        let recordings = agents.into_iter().map(|(name, recordings)| (name.into(), parts(recordings)));
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::InProcess,
            cost: CostSource::Reported,
            ..Capabilities::TEXT_ONLY
        };
        let info = HarnessInfo::new("replay", capabilities);
        Self(Player::new(info, Recordings(recordings.collect())))
    }
}

/// What each agent plays, decoded.
#[derive(Debug)]
struct Recordings(BTreeMap<String, Vec<Part>>);

impl Parts for Recordings {
    fn missing(&self, agent: &str) -> Option<Error> {
        let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let context = format!("no recordings of agent `{agent}`; there are those of: {}", known.join(", "));
        let has_some = self.0.get(agent).is_some_and(|parts| !parts.is_empty());
        (!has_some).then(|| Error::new(ErrorKind::Invalid, context))
    }

    fn part(&self, agent: &str, done: u64) -> Part {
        let parts = self.0.get(agent).map_or(&[][..], Vec::as_slice);
        let index = usize::try_from(done).unwrap_or(usize::MAX).min(parts.len().saturating_sub(1));
        // Opening a session has made sure that there is one.
        parts.get(index).cloned().unwrap_or_else(|| part(b"", ""))
    }
}

/// A recording as a part. The calls of tools whose names begin with `prefix` are made again.
fn part(recording: &[u8], prefix: &str) -> Part {
    let mut decoder = Decoder::new();
    let mut decoded = decoder.feed(recording);
    let (rest, verdict) = decoder.finish(&Exit::default());
    decoded.extend(rest);
    let (mut acts, mut made) = (vec![Act::Wait(0)], BTreeSet::new());
    for decoded in decoded {
        match decoded {
            Decoded::Session(_) => acts.push(Act::Start),
            Decoded::Event(TurnEvent::ToolUse { id, name, input }) => match name.strip_prefix(prefix) {
                Some(name) => {
                    let (name, arguments) = (name.to_owned(), input.value());
                    acts.push(Act::Event(TurnEvent::ToolUse { id: id.clone(), name: name.clone(), input }));
                    made.insert(id.clone());
                    acts.push(Act::Answered { id, name, arguments });
                }
                None => acts.push(Act::Event(TurnEvent::ToolUse { id, name, input })),
            },
            Decoded::Event(TurnEvent::ToolResult { id, .. }) if made.contains(&id) => {}
            Decoded::Event(event) => acts.push(Act::Event(event)),
            // Nobody is asked: what was answered then stands.
            Decoded::Control(_) => {}
        }
    }
    let (usage, cost) = (verdict.usage, verdict.cost);
    acts.push(Act::End(ending(verdict)));
    Part { acts, usage, cost }
}

fn ending(verdict: Verdict) -> Ending {
    let Verdict { status, text, reason, failure, .. } = verdict;
    Ending { outcome: status.outcome(), text, reason, failure }
}

#[async_trait]
impl Harness for Replay {
    fn info(&self) -> &HarnessInfo {
        self.0.info()
    }

    async fn probe(&self) -> Result<Probe> {
        self.0.probe().await
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        self.0.open(spec, tools).await
    }

    async fn shutdown(&self) -> Result<()> {
        self.0.shutdown().await
    }
}
