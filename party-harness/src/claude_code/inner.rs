//! What both transports share: who the seat is, where it stands, and what ends it.

use super::{
    attempt::Attempt,
    codec::Verdict,
    files::Trace,
    identity::{Place, Token},
};
use crate::{
    Error, ErrorKind, Recovery, Result, RuntimeSpec, RuntimeState, ToolPort, TurnEnd, TurnEvent, TurnKey,
    TurnRequest, process::Patience, session::Life,
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How the CLI is run, whatever the session.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) program: PathBuf,
    pub(super) patience: Patience,
    pub(super) line_limit: usize,
    /// How long a process may wait for its next turn; a process per turn where absent.
    pub(super) idle: Option<Duration>,
}

/// One seat's session, whatever its transport.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) setup: Setup,
    pub(super) spec: Arc<RuntimeSpec>,
    pub(super) tools: Arc<dyn ToolPort>,
    pub(super) place: Place,
    resumed: bool,
    state: Mutex<State>,
    pub(super) life: Arc<Life>,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// The number of the runtime session, of the next one where there is no token.
    n: u32,
    /// What the seat's file says of its launches, and whether it can tell of those before.
    trace: Trace,
    proves: bool,
}

impl Inner {
    pub(super) fn open(setup: Setup, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Self> {
        let (place, (trace, proves)) = (Place::of(&spec), Trace::open(&spec)?);
        let given = spec.resume.as_ref().and_then(Token::read);
        let next = given.as_ref().map_or(0, |token| token.n + 1);
        let token = given.filter(|token| token.place == place);
        let resumed = token.is_some();
        let n = token.as_ref().map_or(next, |token| token.n).max(trace.n);
        let state = Mutex::new(State { token, n, trace, proves });
        let spec = Arc::new(spec);
        Ok(Self { setup, spec, tools, place, resumed, state, life: Arc::default() })
    }

    /// The seat's file says so now.
    pub(super) fn traced(&self, trace: Trace) {
        let mut state = self.state();
        (state.trace, state.proves) = (trace, true);
    }

    pub(super) fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    /// Writes down that the process that runs serves another turn.
    pub(super) async fn trace_next(&self, key: TurnKey, n: u32) -> Result<()> {
        self.write_trace(self.trace().serving(key, n)).await
    }

    /// Writes down the number that the next runtime session goes by, where the launch did not.
    pub(super) async fn note_end(&self, n: u32) {
        if let Err(error) = self.write_trace(self.trace().leaving(n)).await {
            tracing::warn!(%error, "the end of a turn is not noted");
        }
    }

    async fn write_trace(&self, trace: Trace) -> Result<()> {
        if trace == self.trace() {
            return Ok(());
        }
        let (spec, written) = (Arc::clone(&self.spec), trace.clone());
        blocking(move || written.write(&spec)).await?;
        self.traced(trace);
        Ok(())
    }

    /// What became of a turn of an earlier host, as far as the seat's file tells. Where that cannot
    /// tell, the turn counts as launched from now on, whoever asks again.
    pub(super) fn recovery(&self, turn: TurnKey) -> Result<Recovery> {
        let state = self.state();
        match (state.proves, state.trace.excludes(turn)) {
            (true, true) => return Ok(Recovery::NotSeen),
            (true, false) => return Ok(Recovery::Unknown),
            (false, _) => {}
        }
        let trace = Trace::launched(turn, state.n, None);
        drop(state);
        trace.write(&self.spec)?;
        self.traced(trace);
        Ok(Recovery::Unknown)
    }

    /// The first launch of a turn.
    pub(super) fn first_attempt(&self, request: &TurnRequest) -> Attempt {
        let state = self.state();
        Attempt::first(&self.spec, state.token.as_ref(), state.n, request)
    }

    /// The runtime session has a name.
    pub(super) fn named(&self, id: String, attempt: &Attempt) -> TurnEvent {
        let token = Token::new(self.place.clone(), id, attempt.n, attempt.carried);
        let started = TurnEvent::Started { token: token.write(), sent: attempt.sent() };
        self.remember(Some(token), attempt.n);
        started
    }

    /// A turn's end, and the number that the next runtime session goes by.
    pub(super) fn ended(&self, attempt: &Attempt, verdict: Verdict) -> (TurnEnd, u32) {
        let token = attempt.token(&self.place, &verdict);
        let n = if token.is_some() { attempt.n } else { attempt.n + 1 };
        self.remember(token.clone(), n);
        let end = TurnEnd {
            outcome: verdict.status.outcome(),
            text: verdict.text,
            usage: verdict.usage,
            cost: verdict.cost,
            reason: verdict.reason,
            failure: verdict.failure,
            sent: attempt.sent(),
            token: token.as_ref().map(Token::write),
        };
        (end, n)
    }

    fn remember(&self, token: Option<Token>, n: u32) {
        let mut state = self.state();
        (state.token, state.n) = (token, n);
    }

    pub(super) fn runtime_state(&self) -> RuntimeState {
        let state = self.state();
        let token = state.token.as_ref().map(Token::write);
        RuntimeState { token, resumed: self.resumed, health: self.life.health() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what may block where nobody minds.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error| Error::new(ErrorKind::Io, "the work was given up").with_source(error);
    tokio::task::spawn_blocking(work).await.map_err(|error: tokio::task::JoinError| failed(error))?
}
