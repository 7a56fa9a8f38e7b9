//! What the parts of a session share: who the seat is, where it stands, and what ends it.

use super::{
    codec::{Status, Verdict},
    desk::Desk,
    history::Past,
    link::{Conn, Link},
    names::{Token, run_id},
    node::Node,
};
use crate::{
    Error, ErrorKind, Result, ResumeToken, RuntimeSpec, RuntimeState, ToolPort, TurnEnd, TurnEvent, TurnKey,
    session::Life,
};
use party_core::{Cost, Sent, Usage, Usd};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_util::sync::DropGuard;

/// How many sessions of a seat may be found in use before a turn gives up.
const MOST_SESSIONS: u32 = 64;

/// How many earlier attempts at a turn are looked for.
const ATTEMPTS: u32 = 16;

/// What a turn tells the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// What is new.
    Delta,
    /// To go on: the session has the message.
    Continuation,
    /// Everything.
    Full,
}

impl Say {
    /// As the host counts it.
    pub(super) const fn sent(self) -> Sent {
        match self {
            Self::Full => Sent::Full,
            Self::Delta | Self::Continuation => Sent::Delta,
        }
    }
}

/// How a gateway is used, whatever the session.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// The gateway's agent that seats are sessions of.
    pub(super) agent: String,
    pub(super) patience: Patience,
    /// Whether the gateway's figures are the cost.
    pub(super) reports_cost: bool,
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a connection, at first.
    pub(super) connect: Duration,
    /// For another one, in the middle of a turn.
    pub(super) reconnect: Duration,
    /// For an answer to a request.
    pub(super) answer: Duration,
    /// For a run to tell of itself, while no tool of the host's is at work.
    pub(super) silence: Duration,
    /// For a run to end that was told to.
    pub(super) stop: Duration,
}

/// The ways to a gateway, shared by a harness and all its sessions. They end with the last of these.
#[derive(Debug, Clone)]
pub(super) struct Ways {
    pub(super) operator: Arc<Link>,
    pub(super) node: Arc<Node>,
    pub(super) desk: Arc<Desk>,
    pub(super) _alive: Arc<DropGuard>,
}

/// One seat's session.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) setup: Setup,
    pub(super) ways: Ways,
    pub(super) spec: RuntimeSpec,
    pub(super) tools: Arc<dyn ToolPort>,
    resumed: bool,
    state: Mutex<State>,
    pub(super) life: Arc<Life>,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// The number of the next session, where there is no token.
    n: u32,
}

impl Inner {
    pub(super) async fn open(
        setup: Setup,
        ways: Ways,
        spec: RuntimeSpec,
        tools: Arc<dyn ToolPort>,
    ) -> Result<Self> {
        let conn = ways.operator.conn(setup.patience.connect).await?;
        let given = Token::read(&setup.agent, &spec);
        let token = match given.clone() {
            // A gateway that forgot it, or another one, begins afresh.
            Some(token) if !Past::read(&conn, &token.key, setup.patience.answer).await?.is_empty() => {
                Some(token)
            }
            _ => None,
        };
        let (resumed, n) = (token.is_some(), given.map_or(0, |token| token.n));
        let state = Mutex::new(State { token, n });
        Ok(Self { setup, ways, spec, tools, resumed, state, life: Arc::default() })
    }

    /// Where the next turn runs and what it is told: a session that remembers, the one that an earlier
    /// attempt left behind, or the next that nobody used.
    pub(super) async fn place(&self, conn: &Conn, key: TurnKey) -> Result<(Token, Say)> {
        let known = self.known();
        if key.attempt > 1 {
            let earlier = |past: &Past| {
                let attempts = key.attempt.saturating_sub(ATTEMPTS).max(1)..key.attempt;
                attempts.into_iter().any(|attempt| past.has(&run_id(&self.spec, TurnKey { attempt, ..key })))
            };
            if let Some((token, past)) = self.last_session(conn).await?
                && earlier(&past)
            {
                return Ok((token, Say::Continuation));
            }
        }
        if let (Some(token), _) = known {
            return Ok((token, Say::Delta));
        }
        for n in known.1..known.1.saturating_add(MOST_SESSIONS) {
            let token = Token::new(&self.setup.agent, &self.spec, n);
            if self.past(conn, &token).await?.is_empty() {
                return Ok((token, Say::Full));
            }
        }
        Err(Error::new(ErrorKind::Launch, "the gateway has too many sessions of this seat"))
    }

    async fn past(&self, conn: &Conn, token: &Token) -> Result<Past> {
        Past::read(conn, &token.key, self.setup.patience.answer).await
    }

    fn known(&self) -> (Option<Token>, u32) {
        let state = self.state();
        (state.token.clone(), state.n)
    }

    /// The session of the seat that was used last.
    pub(super) async fn last_session(&self, conn: &Conn) -> Result<Option<(Token, Past)>> {
        let (token, n) = self.known();
        if let Some(token) = token {
            let past = self.past(conn, &token).await?;
            return Ok(Some((token, past)));
        }
        let mut last = None;
        for n in n..n.saturating_add(MOST_SESSIONS) {
            let token = Token::new(&self.setup.agent, &self.spec, n);
            let past = self.past(conn, &token).await?;
            if past.is_empty() {
                break;
            }
            last = Some((token, past));
        }
        Ok(last)
    }

    /// The session has the turn.
    pub(super) fn began(&self, token: &Token, sent: Sent) -> TurnEvent {
        self.state().token = Some(token.clone());
        TurnEvent::Started { token: token.write(), sent }
    }

    /// The session is left: a run may go on there that this host knows no more of. The next turn has
    /// another one, so that no call of the old run is taken for one of its own.
    pub(super) fn leave(&self, token: &Token) {
        let mut state = self.state();
        (state.token, state.n) = (None, state.n.max(token.n.saturating_add(1)));
    }

    /// Where the next turn stands: in the session that there is, or afresh after those that were left.
    fn standing(&self) -> Option<ResumeToken> {
        let state = self.state();
        let next = || (state.n > 0).then(|| Token::new(&self.setup.agent, &self.spec, state.n));
        state.token.clone().or_else(next).as_ref().map(Token::write)
    }

    /// A turn's end.
    pub(super) fn ended(&self, verdict: Verdict, sent: Sent) -> TurnEnd {
        let cost = self.cost(&verdict);
        TurnEnd {
            outcome: verdict.status.outcome(),
            text: verdict.text,
            usage: verdict.usage,
            cost,
            reason: verdict.reason,
            failure: verdict.failure,
            sent,
            token: self.standing(),
        }
    }

    /// By the gateway's own prices, where the host says that it has them: what has no price is no gift.
    pub(super) fn cost(&self, verdict: &Verdict) -> Cost {
        let nothing = verdict.usage == Usage::default();
        match verdict.cost {
            _ if verdict.status == Status::Refused => Cost::Reported(Usd::ZERO),
            Cost::Reported(usd) if self.setup.reports_cost && (usd > Usd::ZERO || nothing) => {
                Cost::Reported(usd)
            }
            _ => Cost::Unknown,
        }
    }

    pub(super) fn runtime_state(&self) -> RuntimeState {
        RuntimeState { token: self.standing(), resumed: self.resumed, health: self.life.health() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
