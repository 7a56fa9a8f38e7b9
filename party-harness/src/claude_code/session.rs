//! One seat's session with the CLI.

use super::{
    attempt::Attempt,
    files::Trace,
    identity::{Place, Token},
    run::{Run, launch},
};
use crate::process::Patience;
use crate::{
    Answer, Close, Error, ErrorKind, Health, Recovery, RequestId, Result, RuntimeSession, RuntimeSpec,
    RuntimeState, Steered, Turn, TurnControl, TurnEvent, TurnKey, TurnRequest,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// How many events may wait for their reader.
const EVENTS: usize = 64;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) program: PathBuf,
    pub(super) spec: Arc<RuntimeSpec>,
    pub(super) place: Place,
    pub(super) patience: Patience,
    pub(super) line_limit: usize,
    resumed: bool,
    state: Mutex<State>,
    stop: CancellationToken,
    /// There is no time to end anything in order.
    kill: CancellationToken,
    processes: TaskTracker,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// The number of the runtime session, of the next one where there is no token.
    n: u32,
    busy: bool,
    /// What the seat's file says of its launches, and whether it can tell of those before.
    trace: Trace,
    proves: bool,
}

impl Inner {
    pub(super) fn open(
        program: PathBuf,
        spec: RuntimeSpec,
        patience: Patience,
        line_limit: usize,
    ) -> Result<Self> {
        let (place, (trace, proves)) = (Place::of(&spec), Trace::open(&spec)?);
        let given = spec.resume.as_ref().and_then(Token::read);
        let next = given.as_ref().map_or(0, |token| token.n + 1);
        let token = given.filter(|token| token.place == place);
        let resumed = token.is_some();
        let n = token.as_ref().map_or(next, |token| token.n).max(trace.n);
        let state = Mutex::new(State { token, n, busy: false, trace, proves });
        let (stop, kill, processes) = Default::default();
        let spec = Arc::new(spec);
        Ok(Self { program, spec, place, patience, line_limit, resumed, state, stop, kill, processes })
    }

    /// The seat's file says so now.
    pub(super) fn traced(&self, trace: Trace) {
        let mut state = self.state();
        (state.trace, state.proves) = (trace, true);
    }

    pub(super) fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    /// What became of a turn of an earlier host, as far as the seat's file tells. Where that cannot
    /// tell, the turn counts as launched from now on, whoever asks again.
    fn recovery(&self, turn: TurnKey) -> Result<Recovery> {
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

    pub(super) fn remember(&self, token: Option<Token>, n: u32) {
        let mut state = self.state();
        (state.token, state.n) = (token, n);
    }

    /// Ends what runs, and waits until all of it is gone.
    pub(super) async fn end(&self, how: Close) {
        if matches!(how, Close::Now) {
            self.kill.cancel();
        }
        self.stop.cancel();
        self.processes.close();
        self.processes.wait().await;
    }

    /// When nothing may be ended in order any more.
    pub(super) async fn killed(&self) {
        self.kill.cancelled().await;
    }

    /// Held as long as a process runs.
    pub(super) fn process_token(&self) -> TaskTrackerToken {
        self.processes.token()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to run the session's one turn.
#[derive(Debug)]
pub(super) struct Busy(Arc<Inner>);

impl Busy {
    fn take(inner: &Arc<Inner>) -> Result<Self> {
        if inner.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Closed, "the runtime session was closed"));
        }
        if std::mem::replace(&mut inner.state().busy, true) {
            return Err(Error::new(ErrorKind::Busy, "a turn runs already in this runtime session"));
        }
        Ok(Self(Arc::clone(inner)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state().busy = false;
    }
}

#[derive(Debug)]
pub(super) struct ClaudeSession(pub(super) Arc<Inner>);

#[async_trait]
impl RuntimeSession for ClaudeSession {
    fn state(&self) -> RuntimeState {
        let state = self.0.state();
        let health = match state.busy {
            _ if self.0.stop.is_cancelled() => Health::Closed,
            true => Health::Running,
            false => Health::Idle,
        };
        RuntimeState { token: state.token.as_ref().map(Token::write), resumed: self.0.resumed, health }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        if request.ask {
            return Err(Error::new(ErrorKind::Unsupported, "a process per turn cannot ask for permission"));
        }
        let inner = Arc::clone(&self.0);
        let busy = Busy::take(&inner)?;
        let attempt = {
            let state = inner.state();
            Attempt::first(&inner.spec, state.token.as_ref(), state.n, &request)
        };
        let launched = launch(&inner, &request, attempt).await?;
        let (events, receiver) = mpsc::channel(EVENTS);
        let stop = inner.stop.child_token();
        let run = Run { inner: Arc::clone(&inner), request, events, stop: stop.clone(), busy };
        // Its end is the reader's: it lives as long as its process runs and its events are read.
        tokio::spawn(run.run(launched));
        Ok(Turn::new(stream_of(receiver), Arc::new(Stop(stop))))
    }

    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let busy = Busy::take(&self.0)?;
        blocking(move || {
            busy.0.trace().end_orphan(&busy.0.spec)?;
            busy.0.recovery(turn)
        })
        .await
    }

    async fn close(&self, how: Close) -> Result<()> {
        self.0.end(how).await;
        Ok(())
    }
}

/// Does what may block where nobody minds.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error| Error::new(ErrorKind::Io, "the work was given up").with_source(error);
    tokio::task::spawn_blocking(work).await.map_err(|error: tokio::task::JoinError| failed(error))?
}

fn stream_of(receiver: mpsc::Receiver<TurnEvent>) -> stream::BoxStream<'static, TurnEvent> {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

#[derive(Debug)]
struct Stop(CancellationToken);

#[async_trait]
impl TurnControl for Stop {
    async fn steer(&self, _: String) -> Result<Steered> {
        Err(Error::new(ErrorKind::Unsupported, "a process per turn takes one message"))
    }

    async fn answer(&self, _: RequestId, _: Answer) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "a process per turn asks nothing"))
    }

    async fn interrupt(&self) -> Result<()> {
        self.0.cancel();
        Ok(())
    }
}
