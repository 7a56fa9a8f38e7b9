//! A harness whose turns do what a test says. They outlive their driver, as those of a server do.

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use party_launch::{
    core::{Cost, Outcome, Sent, Usage, Usd},
    harness::{
        Answer, Capabilities, Close, Harness, HarnessInfo, Health, Permissions, Probe, RawJson, Recovery,
        RequestId, Result, ResumeToken, RuntimeSession, RuntimeSpec, RuntimeState, Steered, ToolCall,
        ToolDoor, ToolPort, ToolReply, Turn, TurnControl, TurnEnd, TurnEvent, TurnKey, TurnRequest,
        async_trait,
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What one turn is made of: what it was asked, and how it talks to its driver.
pub(crate) struct Stage {
    pub(crate) agent: String,
    pub(crate) request: TurnRequest,
    pub(crate) interrupted: CancellationToken,
    tools: Arc<dyn ToolPort>,
    events: mpsc::UnboundedSender<TurnEvent>,
    answers: mpsc::UnboundedReceiver<(RequestId, Answer)>,
}

impl Stage {
    pub(crate) fn tell(&self, event: TurnEvent) {
        // A driver that is gone hears nothing.
        let _ = self.events.send(event);
    }

    pub(crate) fn ask(&self, request: &str) {
        self.ask_for(request, "ls");
    }

    pub(crate) fn ask_for(&self, request: &str, command: &str) {
        let (request, tool) = (RequestId(request.to_owned()), "Bash".to_owned());
        let input = RawJson::from(json!({ "command": command }));
        self.tell(TurnEvent::PermissionAsked { request, tool, input });
    }

    pub(crate) async fn answered(&mut self) -> (String, Answer) {
        let (request, answer) = self.answers.recv().await.unwrap();
        (request.0, answer)
    }

    pub(crate) async fn call(&self, id: &str, name: &str, arguments: Value) -> ToolReply {
        let call = ToolCall { key: self.request.key, id: id.to_owned(), name: name.to_owned(), arguments };
        self.tools.call(call).await
    }

    /// What the agent is told last.
    pub(crate) fn told(&self) -> String {
        let last = self.request.delta.last().and_then(|message| message.content.last()?.as_text());
        last.unwrap_or_default().to_owned()
    }
}

pub(crate) fn end(outcome: Outcome, text: Option<&str>) -> TurnEnd {
    TurnEnd {
        outcome,
        text: text.map(Into::into),
        usage: Usage::default(),
        cost: Cost::Reported(Usd::from_micros(10_000)),
        reason: None,
        failure: None,
        sent: Sent::Delta,
        token: Some(ResumeToken(json!("puppet"))),
    }
}

pub(crate) fn said(text: &str) -> TurnEnd {
    end(Outcome::Completed, Some(text))
}

type Play = Arc<dyn Fn(Stage) -> BoxFuture<'static, TurnEnd> + Send + Sync>;

/// The harness. Shared by two drivers, it is the runtime that both find.
pub(crate) struct Puppet {
    info: HarnessInfo,
    play: Play,
    turns: Arc<Turns>,
}

#[derive(Default)]
struct Turns {
    live: Mutex<BTreeMap<TurnKey, Live>>,
    playing: watch::Sender<usize>,
    /// Nobody can say what became of an earlier turn.
    forgets: AtomicBool,
}

#[derive(Clone)]
struct Live {
    events: Arc<AsyncMutex<mpsc::UnboundedReceiver<TurnEvent>>>,
    control: Arc<Control>,
}

impl Puppet {
    pub(crate) fn new<F>(play: impl Fn(Stage) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = TurnEnd> + Send + 'static,
    {
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::InProcess,
            own_tools: true,
            permissions: Permissions::Reissued,
            recover: true,
            ..Capabilities::TEXT_ONLY
        };
        Self::with(capabilities, play)
    }

    pub(crate) fn with<F>(
        capabilities: Capabilities,
        play: impl Fn(Stage) -> F + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = TurnEnd> + Send + 'static,
    {
        let info = HarnessInfo::new("puppet", capabilities);
        Arc::new(Self { info, play: Arc::new(move |stage| play(stage).boxed()), turns: Arc::default() })
    }

    /// Waits until no turn is played any more.
    pub(crate) async fn rested(&self) {
        let mut playing = self.turns.playing.subscribe();
        playing.wait_for(|playing| *playing == 0).await.unwrap();
    }

    pub(crate) fn forget(&self) {
        self.turns.forgets.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Harness for Puppet {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe::new("1"))
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let (agent, play, turns) = (spec.agent, Arc::clone(&self.play), Arc::clone(&self.turns));
        Ok(Arc::new(Strings { agent, play, turns, tools }))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

struct Strings {
    agent: String,
    play: Play,
    turns: Arc<Turns>,
    tools: Arc<dyn ToolPort>,
}

#[async_trait]
impl RuntimeSession for Strings {
    fn state(&self) -> RuntimeState {
        RuntimeState { token: None, resumed: false, health: Health::Idle }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        let (events, heard) = mpsc::unbounded_channel();
        let (tell, answers) = mpsc::unbounded_channel();
        let interrupted = CancellationToken::new();
        let control = Arc::new(Control { interrupted: interrupted.clone(), answers: tell });
        let live = Live { events: Arc::new(AsyncMutex::new(heard)), control };
        let key = request.key;
        self.turns.live.lock().unwrap_or_else(PoisonError::into_inner).insert(key, live.clone());
        let (agent, tools) = (self.agent.clone(), Arc::clone(&self.tools));
        let stage = Stage { agent, request, interrupted, tools, events: events.clone(), answers };
        let playing = (self.play)(stage);
        let turns = Arc::clone(&self.turns);
        turns.playing.send_modify(|playing| *playing += 1);
        tokio::spawn(async move {
            let _ = events.send(TurnEvent::Ended(playing.await));
            turns.playing.send_modify(|playing| *playing -= 1);
        });
        Ok(live.turn())
    }

    async fn recover(&self, key: TurnKey) -> Result<Recovery> {
        let live = self.turns.live.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let Some(live) = live else { return Ok(Recovery::NotSeen) };
        if self.turns.forgets.load(Ordering::SeqCst) {
            return Ok(Recovery::Unknown);
        }
        let mut events = live.events.lock().await;
        while let Ok(event) = events.try_recv() {
            if let TurnEvent::Ended(end) = event {
                return Ok(Recovery::Ended(end));
            }
        }
        Ok(Recovery::Running(live.turn()))
    }

    async fn close(&self, _: Close) -> Result<()> {
        Ok(())
    }
}

impl Live {
    fn turn(&self) -> Turn {
        let events = stream::unfold(Arc::clone(&self.events), |events| async {
            let event = events.lock().await.recv().await?;
            Some((event, events))
        });
        Turn::new(events.boxed(), Arc::clone(&self.control) as Arc<dyn TurnControl>)
    }
}

#[derive(Debug)]
struct Control {
    interrupted: CancellationToken,
    answers: mpsc::UnboundedSender<(RequestId, Answer)>,
}

#[async_trait]
impl TurnControl for Control {
    async fn steer(&self, _: String) -> Result<Steered> {
        Ok(Steered::TooLate)
    }

    async fn answer(&self, request: RequestId, answer: Answer) -> Result<()> {
        let _ = self.answers.send((request, answer));
        Ok(())
    }

    async fn interrupt(&self) -> Result<()> {
        self.interrupted.cancel();
        Ok(())
    }
}

impl fmt::Debug for Puppet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puppet").finish_non_exhaustive()
    }
}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strings").field("agent", &self.agent).finish_non_exhaustive()
    }
}
