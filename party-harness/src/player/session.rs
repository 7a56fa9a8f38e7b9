//! One seat's session with a player.

use super::{
    Parts, Player, Seen,
    inbox::{Control, Inbox},
    run::Run,
    timeline::Timeline,
};
use crate::{
    Capabilities, Close, Error, ErrorKind, Health, Recovery, Result, ResumeToken, RuntimeSession,
    RuntimeSpec, RuntimeState, ToolPort, Turn, TurnKey, TurnRequest,
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use party_core::{SeatId, Sent, SessionId};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct PlayerSession {
    spec: RuntimeSpec,
    capabilities: Capabilities,
    parts: Arc<dyn Parts>,
    timeline: Arc<Timeline>,
    seen: Arc<Seen>,
    tools: Arc<dyn ToolPort>,
    memory: Arc<Memory>,
    resumed: bool,
    stop: CancellationToken,
}

/// What the runtime session remembers: how many turns it had.
#[derive(Debug)]
pub(super) struct Memory {
    session: SessionId,
    seat: SeatId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None while it is fresh.
    turns: Option<u64>,
    busy: bool,
}

/// A memory fits the seat that it was made for.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    session: SessionId,
    seat: SeatId,
    turns: u64,
}

impl Memory {
    pub(super) fn token(&self) -> Option<ResumeToken> {
        let turns = self.lock().turns?;
        let token = Token { session: self.session, seat: self.seat, turns };
        serde_json::to_value(token).ok().map(ResumeToken)
    }

    /// The session is known by name from now on.
    pub(super) fn begin(&self) {
        self.lock().turns.get_or_insert(0);
    }

    /// A turn is over, and the next one may come.
    pub(super) fn end_turn(&self, happened: bool) {
        let mut state = self.lock();
        if happened {
            *state.turns.get_or_insert(0) += 1;
        }
        state.busy = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlayerSession {
    pub(super) fn new(
        player: &Player,
        spec: RuntimeSpec,
        tools: Arc<dyn ToolPort>,
        stop: CancellationToken,
    ) -> Self {
        let token = spec.resume.clone().and_then(|token| serde_json::from_value::<Token>(token.0).ok());
        let own = token.filter(|token| (token.session, token.seat) == (spec.session, spec.seat));
        // Before its first turn is over there is nothing to remember.
        let turns = own.map(|token| token.turns).filter(|turns| *turns > 0);
        let state = Mutex::new(State { turns, busy: false });
        Self {
            memory: Arc::new(Memory { session: spec.session, seat: spec.seat, state }),
            capabilities: player.info.capabilities,
            parts: Arc::clone(&player.parts),
            timeline: Arc::clone(&player.timeline),
            seen: Arc::clone(&player.seen),
            resumed: turns.is_some(),
            spec,
            tools,
            stop,
        }
    }

    /// The right to run a turn, and the turns before it; none where the session is fresh.
    fn take(&self) -> Result<Option<u64>> {
        let mut state = self.memory.lock();
        if self.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Closed, "the runtime session was closed"));
        }
        if std::mem::replace(&mut state.busy, true) {
            return Err(Error::new(ErrorKind::Busy, format!("a turn of `{}` runs already", self.spec.agent)));
        }
        Ok(state.turns)
    }
}

#[async_trait]
impl RuntimeSession for PlayerSession {
    fn state(&self) -> RuntimeState {
        let health = match self.memory.lock().busy {
            _ if self.stop.is_cancelled() => Health::Closed,
            true => Health::Running,
            false => Health::Idle,
        };
        RuntimeState { token: self.memory.token(), resumed: self.resumed, health }
    }

    async fn turn(&self, request: TurnRequest) -> Result<Turn> {
        self.capabilities.allow(&request)?;
        let turns = self.take()?;
        let (stop, inbox) = (self.stop.child_token(), Arc::<Inbox>::default());
        let control =
            Control { capabilities: self.capabilities, inbox: Arc::clone(&inbox), stop: stop.clone() };
        let mut run = Run::new(
            self.parts.part(&self.spec.agent, turns.unwrap_or(0)),
            self.timeline.join(request.key.turn, &request.alongside),
            (Arc::clone(&self.memory), Arc::clone(&self.tools), inbox, stop),
            request,
        );
        run.read(if turns.is_some() { Sent::Delta } else { Sent::Full }).await?;
        let seat = (self.spec.session, self.spec.seat);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(seat, run.key());
        let events = stream::unfold(run, |mut run| async { run.next().await.map(|event| (event, run)) });
        Ok(Turn::new(events.boxed(), Arc::new(control)))
    }

    /// A part is played nowhere but in this process, so a turn of an earlier one has cost nothing.
    async fn recover(&self, turn: TurnKey) -> Result<Recovery> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen.get(&(self.spec.session, self.spec.seat));
        Ok(if last == Some(&turn) { Recovery::Unknown } else { Recovery::NotSeen })
    }

    /// A part is played by whoever reads it, so nothing is left to wait for.
    async fn close(&self, _: Close) -> Result<()> {
        self.stop.cancel();
        Ok(())
    }
}
