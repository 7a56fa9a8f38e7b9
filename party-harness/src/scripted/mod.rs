//! Scripted agents: what each says comes from a file, after a declared time, at a declared cost.
//!
//! They need no account and no network, and they say of themselves that they are scripted. All
//! agents of one [`Scripted`] share one timeline: what is due earlier comes earlier, whatever the
//! load of the machine, so that the same party gives the same log.

mod script;
mod timeline;

pub use script::{Script, ScriptError, Step};

use crate::{
    Answer, Capabilities, Close, CostSource, Error, ErrorKind, Harness, HarnessInfo, Health, Probe, Recovery,
    RequestId, Result, ResumeToken, RuntimeSession, RuntimeSpec, RuntimeState, Steered, ToolCall, ToolDoor,
    ToolPort, Turn, TurnControl, TurnEnd, TurnEvent, TurnKey, TurnRequest,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use party_core::{Cost, Failure, Outcome, Sent, Usage};
use script::Act;
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use timeline::{Place, Timeline};
use tokio_util::sync::CancellationToken;

/// A harness whose agents follow a [`Script`].
#[derive(Debug)]
pub struct Scripted {
    info: HarnessInfo,
    script: Arc<Script>,
    timeline: Arc<Timeline>,
}

impl Scripted {
    /// A harness for the agents of `script`.
    pub fn new(script: Script) -> Self {
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::InProcess,
            cost: CostSource::Reported,
            ..Capabilities::TEXT_ONLY
        };
        Self {
            info: HarnessInfo { name: "scripted".to_owned(), capabilities },
            script: Arc::new(script),
            timeline: Arc::new(Timeline::default()),
        }
    }
}

#[async_trait]
impl Harness for Scripted {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe { version: "scripted".to_owned() })
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        if !self.script.knows(&spec.agent) {
            let known = self.script.names().join(", ");
            let context = format!("no script for agent `{}`; there are scripts for: {known}", spec.agent);
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        let turns = spec.resume.and_then(|token| token.0.get("turns")?.as_u64());
        Ok(Arc::new(ScriptedSession {
            agent: spec.agent,
            script: Arc::clone(&self.script),
            timeline: Arc::clone(&self.timeline),
            tools,
            resumed: turns.is_some(),
            turns: Arc::new(Mutex::new(turns.unwrap_or(0))),
            busy: Arc::new(AtomicBool::new(false)),
        }))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct ScriptedSession {
    agent: String,
    script: Arc<Script>,
    timeline: Arc<Timeline>,
    tools: Arc<dyn ToolPort>,
    resumed: bool,
    /// How many turns have ended; the resume token.
    turns: Arc<Mutex<u64>>,
    busy: Arc<AtomicBool>,
}

#[async_trait]
impl RuntimeSession for ScriptedSession {
    fn state(&self) -> RuntimeState {
        let turns = *self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let health = if self.busy.load(Ordering::Acquire) { Health::Running } else { Health::Idle };
        RuntimeState { token: Some(token(turns)), resumed: self.resumed, health }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::Busy, format!("a turn of `{}` runs already", self.agent)));
        }
        let place = self.timeline.join(request.key.turn, &request.alongside);
        let done = *self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let step = self.script.step(&self.agent, done).clone();
        let stop = CancellationToken::new();
        let run = Run {
            acts: step.acts(&question(&request)).into(),
            cost: step.cost(),
            key: request.key,
            place,
            stop: stop.clone(),
            tools: Arc::clone(&self.tools),
            turns: Arc::clone(&self.turns),
            busy: Arc::clone(&self.busy),
            pending: VecDeque::new(),
            ended: false,
        };
        let events = stream::unfold(run, |mut run| async { run.next().await.map(|event| (event, run)) });
        Ok(Turn::new(events.boxed(), Arc::new(Stop(stop))))
    }

    /// A script runs nowhere but in this process, so an earlier process's turn has cost nothing.
    async fn recover(&self, _: TurnKey) -> Result<Recovery> {
        Ok(Recovery::NotSeen)
    }

    async fn close(&self, _: Close) -> Result<()> {
        Ok(())
    }
}

fn token(turns: u64) -> ResumeToken {
    ResumeToken(json!({ "turns": turns }))
}

/// The oldest thing that is new to the agent, for scripts that quote it.
fn question(request: &TurnRequest) -> String {
    let said = request.delta.iter().find(|message| !message.injected);
    said.and_then(|message| message.content.first()?.as_text()).unwrap_or_default().to_owned()
}

#[derive(Debug)]
struct Stop(CancellationToken);

#[async_trait]
impl TurnControl for Stop {
    async fn steer(&self, _: String) -> Result<Steered> {
        Err(Error::new(ErrorKind::Unsupported, "a script takes no further messages"))
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a script asks nothing"))
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}

/// A running turn.
struct Run {
    acts: VecDeque<Act>,
    cost: Cost,
    key: TurnKey,
    /// The timeline stands still while this turn's moment lasts.
    place: Place,
    stop: CancellationToken,
    tools: Arc<dyn ToolPort>,
    turns: Arc<Mutex<u64>>,
    busy: Arc<AtomicBool>,
    pending: VecDeque<TurnEvent>,
    ended: bool,
}

impl Run {
    async fn next(&mut self) -> Option<TurnEvent> {
        if let Some(event) = self.pending.pop_front() {
            return Some(event);
        }
        if self.ended {
            return None;
        }
        let act = self.acts.pop_front()?;
        if let Act::Hang = act {
            self.place.leave();
            self.stop.cancelled().await;
            return Some(self.end(Outcome::Cancelled, None, None));
        }
        if let Act::Wait(ms) = act {
            if !self.place.reach(ms, &self.stop).await {
                return Some(self.end(Outcome::Cancelled, None, None));
            }
            let done = *self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            return Some(TurnEvent::Started { token: token(done), sent: Sent::Delta });
        }
        Some(self.perform(act).await)
    }

    async fn perform(&mut self, act: Act) -> TurnEvent {
        match act {
            Act::Text(text) => TurnEvent::Text { text: text.into() },
            Act::Call { id, name, arguments } => {
                let call = ToolCall {
                    key: self.key,
                    id: id.clone(),
                    name: name.clone(),
                    arguments: arguments.clone(),
                };
                let reply = self.tools.call(call).await;
                let result = TurnEvent::ToolResult {
                    id: id.clone(),
                    text: reply.text.into(),
                    is_error: reply.is_error,
                };
                self.pending.push_back(result);
                TurnEvent::ToolUse { id, name, input: arguments.into() }
            }
            Act::End(outcome, text, reason) => self.end(outcome, text, reason),
            Act::Wait(_) | Act::Hang => {
                self.end(Outcome::Failed, None, Some("the script waits twice".to_owned()))
            }
        }
    }

    fn end(&mut self, outcome: Outcome, text: Option<String>, reason: Option<String>) -> TurnEvent {
        self.ended = true;
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        *turns += 1;
        let usage = Usage::default();
        let end = TurnEnd {
            outcome,
            text: text.map(Into::into),
            usage,
            cost: self.cost,
            failure: (outcome == Outcome::Failed).then_some(Failure::Other),
            reason,
            sent: Sent::Delta,
            token: Some(token(*turns)),
        };
        TurnEvent::Ended(end)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.busy.store(false, Ordering::Release);
    }
}
