//! One seat's session: it remembers nothing, so each turn is told the whole view.

use super::{
    Setup,
    bill::Bill,
    fault::{Fault, Less},
    http::Http,
    run::{Run, Running},
    talk::talk,
};
use crate::{
    Answer, Capabilities, Close, Error, ErrorKind, Health, Recovery, RequestId, Result, RuntimeSession,
    RuntimeSpec, RuntimeState, Steered, ToolPort, Turn, TurnControl, TurnEvent, TurnKey, TurnRequest,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use reqwest::header::HeaderValue;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::mpsc;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// How many events may wait for their reader.
const EVENTS: usize = 64;

/// What all turns of a session share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) setup: Setup,
    pub(super) capabilities: Capabilities,
    pub(super) http: Http,
    pub(super) key: Option<HeaderValue>,
    pub(super) model: String,
    pub(super) system: String,
    pub(super) tools: Arc<dyn ToolPort>,
    /// What the model cannot be asked for, found out when it was: to call a tool, and to reason where it is
    /// offered some.
    cannot_force: AtomicBool,
    cannot_reason: AtomicBool,
    busy: AtomicBool,
    stop: CancellationToken,
    turns: TaskTracker,
}

impl Inner {
    pub(super) fn new(
        setup: Setup,
        capabilities: Capabilities,
        http: Http,
        spec: RuntimeSpec,
        tools: Arc<dyn ToolPort>,
    ) -> Result<Self> {
        let model = spec.model.or_else(|| setup.model.clone()).ok_or_else(|| {
            let context = "no model is named: name one for the seat, or a default by `ModelApi::model`";
            Error::new(ErrorKind::Invalid, context)
        })?;
        let key = setup.key.header(setup.wire, &spec.env)?;
        Ok(Self {
            setup,
            capabilities,
            http,
            key,
            model,
            system: spec.system_prompt,
            tools,
            cannot_force: AtomicBool::new(false),
            cannot_reason: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            stop: CancellationToken::new(),
            turns: TaskTracker::new(),
        })
    }

    pub(super) fn can(&self, what: Less) -> bool {
        !self.place_of(what).load(Ordering::Acquire)
    }

    /// The model cannot be asked for this from now on; says whether that is new.
    pub(super) fn ask_less(&self, what: Less) -> bool {
        !self.place_of(what).swap(true, Ordering::AcqRel)
    }

    const fn place_of(&self, what: Less) -> &AtomicBool {
        match what {
            Less::Force => &self.cannot_force,
            Less::Reasoning => &self.cannot_reason,
        }
    }

    /// What a server says of a failure may show what it was sent.
    pub(super) fn without_key(&self, mut fault: Fault) -> Fault {
        let header = self.key.as_ref().and_then(|header| header.to_str().ok()).unwrap_or_default();
        let key = header.strip_prefix(self.setup.wire.key_header().1).unwrap_or(header);
        if !key.is_empty() {
            fault.reason = fault.reason.replace(key, "(the key)");
        }
        fault
    }

    /// Ends what runs, and returns when it has ended.
    pub(super) async fn end(&self) {
        self.stop.cancel();
        self.turns.close();
        self.turns.wait().await;
    }
}

/// The right to run the session's one turn; a close waits until it is given back.
#[derive(Debug)]
pub(super) struct Busy {
    inner: Arc<Inner>,
    _open: TaskTrackerToken,
}

impl Busy {
    fn take(inner: &Arc<Inner>) -> Result<Self> {
        let open = inner.turns.token();
        if inner.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Closed, "the runtime session was closed"));
        }
        if inner.busy.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::Busy, "a turn runs already in this runtime session"));
        }
        Ok(Self { inner: Arc::clone(inner), _open: open })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.inner.busy.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
pub(super) struct ModelSession(Arc<Inner>);

impl ModelSession {
    pub(super) const fn new(inner: Arc<Inner>) -> Self {
        Self(inner)
    }
}

#[async_trait]
impl RuntimeSession for ModelSession {
    fn state(&self) -> RuntimeState {
        let health = match self.0.busy.load(Ordering::Acquire) {
            _ if self.0.stop.is_cancelled() => Health::Closed,
            true => Health::Running,
            false => Health::Idle,
        };
        RuntimeState { token: None, resumed: false, health }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        self.0.capabilities.allow(&request)?;
        let busy = Busy::take(&self.0)?;
        let talk = talk(&request.full.load().await?, !request.tools.is_empty())?;
        let (events, receiver) = mpsc::channel(EVENTS);
        let stop = self.0.stop.child_token();
        let bill = Bill::new(Arc::clone(&self.0.setup.prices), &self.0.model);
        let run = Run::new(Arc::clone(&self.0), request, talk, events.clone());
        let running = Running { run, bill, events, stop: stop.clone(), busy };
        // It ends with the turn, or when nobody reads any more.
        tokio::spawn(running.run());
        Ok(Turn::new(stream_of(receiver), Arc::new(Stop(stop))))
    }

    /// A call ends with the process that made it; what it cost by then nobody knows.
    async fn recover(&self, _: TurnKey) -> Result<Recovery> {
        Ok(Recovery::Unknown)
    }

    async fn close(&self, _: Close) -> Result<()> {
        self.0.end().await;
        Ok(())
    }
}

fn stream_of(receiver: mpsc::Receiver<TurnEvent>) -> stream::BoxStream<'static, TurnEvent> {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

#[derive(Debug)]
struct Stop(CancellationToken);

#[async_trait]
impl TurnControl for Stop {
    async fn steer(&self, _: String) -> Result<Steered> {
        Err(Error::new(ErrorKind::Unsupported, "a model api takes no message while it answers"))
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a model api asks nothing"))
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}
