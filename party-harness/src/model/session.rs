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
    Capabilities, Close, Error, ErrorKind, Recovery, Result, RuntimeSession, RuntimeSpec, RuntimeState,
    ToolPort, Turn, TurnKey, TurnRequest,
    session::{Busy, Life, silent_turn},
};
use async_trait::async_trait;
use reqwest::header::HeaderValue;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

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
    pub(super) life: Arc<Life>,
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
            life: Arc::default(),
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
        RuntimeState { token: None, resumed: false, health: self.0.life.health() }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        self.0.capabilities.allow(&request)?;
        let busy = (Busy::take(&self.0.life)?, self.0.life.work()?);
        let talk = talk(&request.full.load().await?, !request.tools.is_empty())?;
        let stop = self.0.life.stop.child_token();
        let (events, turn) = silent_turn(stop.clone(), "a turn of a model api");
        let bill = Bill::new(Arc::clone(&self.0.setup.prices), &self.0.model);
        let run = Run::new(Arc::clone(&self.0), request, talk, events.clone());
        let running = Running { run, bill, events, stop, busy };
        // It ends with the turn, or when nobody reads any more.
        tokio::spawn(running.run());
        Ok(turn)
    }

    /// A call ends with the process that made it; what it cost by then nobody knows.
    async fn recover(&self, _: TurnKey) -> Result<Recovery> {
        Ok(Recovery::Unknown)
    }

    async fn close(&self, how: Close) -> Result<()> {
        self.0.life.end(how).await;
        Ok(())
    }
}
