//! A runtime whose every move a test makes, and a party of one seat on it.

use futures::{StreamExt as _, stream};
use party_launch::{
    CallContext, HostTool, Party, PartyBuilder, Seat, Tool,
    bus::{Bus, BusExt, Classes},
    core::{Cost, Event, Offset, Outcome, Sent, SessionId, Usage, Usd},
    formats::{Engine, Format},
    harness::{
        Answer, Capabilities, Close, CostSource, Harness, HarnessInfo, Health, Probe, Recovery, RequestId,
        Result, ResumeToken, RuntimeSession, RuntimeSpec, RuntimeState, Steered, ToolCall, ToolDoor,
        ToolPort, ToolReply, Turn, TurnControl, TurnEnd, TurnEvent, TurnKey, TurnRequest, async_trait,
    },
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, mpsc, oneshot};

/// A turn that the test has in its hands.
pub(crate) struct Held {
    pub(crate) key: TurnKey,
    pub(crate) request: TurnRequest,
    pub(crate) port: Arc<dyn ToolPort>,
    end: oneshot::Sender<Option<String>>,
}

impl Held {
    pub(crate) fn call(&self, id: &str, name: &str, arguments: Value) -> ToolCall {
        ToolCall { key: self.key, id: id.to_owned(), name: name.to_owned(), arguments }
    }

    pub(crate) async fn ask(&self, id: &str, name: &str, arguments: Value) -> ToolReply {
        self.port.call(self.call(id, name, arguments)).await
    }

    /// The turn ends with these words.
    pub(crate) fn say(self, text: &str) {
        let _ = self.end.send(Some(text.to_owned()));
    }
}

#[derive(Debug)]
pub(crate) struct Hands {
    info: HarnessInfo,
    turns: mpsc::UnboundedSender<Held>,
}

impl Hands {
    pub(crate) fn new(tools: ToolDoor) -> (Self, mpsc::UnboundedReceiver<Held>) {
        let capabilities = Capabilities { tools, cost: CostSource::Reported, ..Capabilities::TEXT_ONLY };
        let (turns, held) = mpsc::unbounded_channel();
        (Self { info: HarnessInfo::new("hands", capabilities), turns }, held)
    }
}

#[async_trait]
impl Harness for Hands {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(Probe::new("1"))
    }

    async fn open(&self, _: RuntimeSpec, port: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        Ok(Arc::new(Session { port, turns: self.turns.clone() }))
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct Session {
    port: Arc<dyn ToolPort>,
    turns: mpsc::UnboundedSender<Held>,
}

#[async_trait]
impl RuntimeSession for Session {
    fn state(&self) -> RuntimeState {
        RuntimeState { token: None, resumed: false, health: Health::Idle }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        let (end, ended) = oneshot::channel();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let key = request.key;
        let _ = self.turns.send(Held { key, request, port: Arc::clone(&self.port), end });
        let ended = async move {
            tokio::select! {
                text = ended => TurnEvent::Ended(end_of(text.ok().flatten())),
                () = stopped.notified() => TurnEvent::Ended(end_of(None)),
            }
        };
        Ok(Turn::new(stream::once(ended).boxed(), Arc::new(Control(stop))))
    }

    async fn recover(&self, _: TurnKey) -> Result<Recovery> {
        Ok(Recovery::NotSeen)
    }

    async fn close(&self, _: Close) -> Result<()> {
        Ok(())
    }
}

fn end_of(text: Option<String>) -> TurnEnd {
    TurnEnd {
        outcome: if text.is_some() { Outcome::Completed } else { Outcome::Cancelled },
        text: text.map(Into::into),
        usage: Usage::default(),
        cost: Cost::Reported(Usd::ZERO),
        reason: None,
        failure: None,
        sent: Sent::Full,
        token: Some(ResumeToken(json!({ "hands": 1 }))),
    }
}

#[derive(Debug)]
struct Control(Arc<Notify>);

#[async_trait]
impl TurnControl for Control {
    async fn steer(&self, _: String) -> Result<Steered> {
        unreachable!("nobody steers")
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        unreachable!("nobody asks")
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.notify_one();
        Ok(())
    }
}

/// One clerk, who may call `share` and these tools; the session closes when it has answered.
pub(crate) fn format(tools: &str) -> Format {
    let text = format!(
        "name: desk
roles: {{ clerk: {{ intent: answer }} }}
intents: {{ answer: {{ tools: [share, {tools}], timeoutSecs: 30, graceSecs: 1 }} }}
quiescence: [{{ do: {{ close: {{ reason: finished }} }} }}]
"
    );
    Format::from_yaml(&text).unwrap()
}

pub(crate) fn builder(bus: Arc<dyn Bus>) -> (PartyBuilder, mpsc::UnboundedReceiver<Held>) {
    builder_by(ToolDoor::InProcess, bus)
}

pub(crate) fn builder_by(door: ToolDoor, bus: Arc<dyn Bus>) -> (PartyBuilder, mpsc::UnboundedReceiver<Held>) {
    let (hands, turns) = Hands::new(door);
    (Party::builder(bus).harness(hands).folder(std::env::temp_dir().join("party-tests")), turns)
}

/// A party of Ada, her first turn, and what she can call.
pub(crate) async fn desk(bus: Arc<dyn Bus>, tools: Vec<Tool>) -> (Party, Held) {
    let names: Vec<String> = tools.iter().map(|tool| tool.spec().name).collect();
    let (mut builder, mut turns) = builder(bus);
    for tool in tools {
        builder = builder.tool(tool);
    }
    let party = builder.format(format(&names.join(", "))).seat(Seat::new("Ada", "clerk"));
    let party = party.start("Well?").await.unwrap();
    (party, turns.recv().await.unwrap())
}

pub(crate) fn schema() -> Value {
    json!({ "type": "object" })
}

/// Counts its calls, and answers with the arguments.
pub(crate) fn counting(name: &str, count: &Arc<AtomicUsize>) -> Tool {
    let count = Arc::clone(count);
    Tool::new(name, "Echoes.", schema(), move |arguments, _: CallContext| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { Ok(format!("got {arguments}").into()) }
    })
}

/// The answers on the log: the call, who answered, the text, whether it is an error.
pub(crate) async fn answers(bus: &dyn Bus, session: SessionId) -> Vec<(String, &'static str, String, bool)> {
    let records = bus.read_to_end(session, Offset::START, Classes::ALL).await.unwrap();
    let answer = |event| match event {
        Event::ToolRan(event) => Some((event.call, "ran", event.text, event.is_error)),
        Event::ToolAnswered(event) if event.repeated => {
            Some((event.call, "repeated", event.text, event.is_error))
        }
        Event::ToolAnswered(event) => Some((event.call, "answered", event.text, event.is_error)),
        _ => None,
    };
    records.iter().filter_map(|record| answer(record.event().unwrap())).collect()
}

/// Waits until the party's state is so.
pub(crate) async fn until(party: &Party, holds: impl Fn(&Engine) -> bool) {
    let waiting = async { while !holds(&party.state().await.unwrap()) {} };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is not so in time");
}
