//! One seat's session: who it is, where it stands, and what ends it.

use super::{
    hub::Hub,
    link::Link,
    setup::Source,
    shape::{Shape, marker},
    token::{Place, Token, Trace},
};
use crate::{Close, Result, RuntimeSpec, RuntimeState, ToolPort, process::tree, session::Life};
use serde_json::json;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::timeout;

/// How long a seat's processes may take to die of SIGKILL.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) hub: Arc<Hub>,
    pub(super) spec: RuntimeSpec,
    pub(super) tools: Arc<dyn ToolPort>,
    pub(super) place: Place,
    resumed: bool,
    state: Mutex<State>,
    pub(super) life: Arc<Life>,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// The connection on which the token's thread is loaded with all that it needs.
    loaded: Weak<Link>,
    trace: Option<Trace>,
}

impl State {
    /// A thread that nobody here uses any more is unloaded by its server, in its own time.
    fn forget(&mut self) {
        if let (Some(link), Some(token)) = (std::mem::take(&mut self.loaded).upgrade(), &self.token) {
            link.forget(&token.thread);
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Inner {
    pub(super) fn open(hub: Arc<Hub>, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Self> {
        let (place, trace) = (Place::of(&spec), Trace::read(&spec)?);
        // What an earlier host left behind; a server of somebody else's may still run its turn.
        if trace.is_some() && matches!(hub.setup.source, Source::Own(_)) {
            tree::kill(&[], &marker(&spec), PATIENCE);
        }
        let token = spec.resume.as_ref().and_then(Token::read).filter(|token| token.place == place);
        let resumed = token.is_some();
        let state = Mutex::new(State { token, loaded: Weak::new(), trace });
        Ok(Self { hub, spec, tools, place, resumed, state, life: Arc::default() })
    }

    pub(super) fn token(&self) -> Option<Token> {
        self.state().token.clone()
    }

    pub(super) fn trace(&self) -> Option<Trace> {
        self.state().trace.clone()
    }

    pub(super) fn traced(&self, trace: Trace) {
        self.state().trace = Some(trace);
    }

    /// The thread is the session's from now on, on this connection; or there is none. One that it had
    /// before is forgotten.
    pub(super) fn remember(&self, token: Option<Token>, loaded: Option<&Arc<Link>>) {
        let mut state = self.state();
        let is_same = state.token.as_ref().map(|old| &old.thread) == token.as_ref().map(|new| &new.thread);
        if !is_same {
            state.forget();
        }
        (state.token, state.loaded) = (token, loaded.map(Arc::downgrade).unwrap_or_default());
    }

    pub(super) fn is_loaded(&self, link: &Arc<Link>) -> bool {
        self.state().loaded.upgrade().is_some_and(|loaded| Arc::ptr_eq(&loaded, link))
    }

    pub(super) fn runtime_state(&self) -> RuntimeState {
        let state = self.state();
        let token = state.token.as_ref().map(Token::write);
        RuntimeState { token, resumed: self.resumed, health: self.life.health() }
    }

    /// Ends what runs, and waits until all of it is gone.
    pub(super) async fn end(&self, how: Close) {
        self.life.end(how).await;
        self.state().forget();
    }

    /// Ends the processes that a turn left behind: those that the server knows of, and those that left
    /// their groups and parents.
    pub(super) async fn clean(&self, link: Option<&Link>, shape: &Shape, thread: &str) {
        if !shape.has_shell() {
            return;
        }
        if let Some(link) = link {
            let asked = link.request("thread/backgroundTerminals/clean", json!({ "threadId": thread }));
            let _ = timeout(self.hub.setup.limits.stop, asked).await;
        }
        let marker = marker(&self.spec);
        let killed = tokio::task::spawn_blocking(move || tree::kill(&[], &marker, PATIENCE)).await;
        if !matches!(killed, Ok(true)) {
            tracing::warn!("processes of a seat of codex could not be ended");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
