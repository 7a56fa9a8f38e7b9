//! Which launches a turn may take, and in which order.

use super::{
    codec::{Status, Verdict},
    identity::{Place, Token, message_id, session_id},
    launch::{Message, Start},
};
use crate::{Error, ErrorKind, Result, RuntimeSpec, TurnRequest};
use party_core::{Sent, Usd, as_one_prompt};

/// How many sessions of a seat may be found in use before a turn gives up.
const MOST_LAUNCHES: u32 = 16;

/// What to go on with where the host does not say.
const GO_ON: &str = "Your last turn was cut off. Go on where you stopped.";

/// What a launch tells the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Say {
    Delta,
    Continuation,
    Full,
}

/// One launch of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) start: Start,
    /// The number of the runtime session.
    pub(super) n: u32,
    /// What that session cost before.
    pub(super) carried: Usd,
    say: Say,
    launches: u32,
}

impl Attempt {
    /// The first launch. A later attempt sends the same message again under the same id: only the
    /// runtime knows whether the message came through before the crash. It answers an id once; a
    /// message that it has and has not answered stands in its history twice then.
    pub(super) fn first(spec: &RuntimeSpec, token: Option<&Token>, n: u32, request: &TurnRequest) -> Self {
        let (start, n, carried, say) = match token {
            Some(token) => (Start::Resume(token.id.clone()), token.n, token.total, Say::Delta),
            None if request.key.attempt > 1 => (Start::Resume(session_id(spec, n)), n, Usd::ZERO, Say::Full),
            None => (Start::Fresh(session_id(spec, n)), n, Usd::ZERO, Say::Full),
        };
        Self { start, n, carried, say, launches: 1 }
    }

    /// The launch after this one ended so, if there is one.
    pub(super) fn next(&self, spec: &RuntimeSpec, verdict: &Verdict) -> Option<Self> {
        let launches = Some(self.launches + 1).filter(|launches| *launches <= MOST_LAUNCHES)?;
        // There is no field for it, and wording changes: an id that is in use is named, in whatever words.
        let names_it = |id: &str| verdict.reason.as_deref().is_some_and(|reason| reason.contains(id));
        match (&self.start, verdict.status) {
            (Start::Resume(_), Status::Repeated) if self.say != Say::Continuation => {
                Some(Self { say: Say::Continuation, launches, ..self.clone() })
            }
            (Start::Resume(_), Status::Refused) => Some(self.fresh(spec, launches)),
            (Start::Fresh(id), Status::NotStarted) if names_it(id) => Some(self.fresh(spec, launches)),
            _ => None,
        }
    }

    /// Whether nothing was launched for the turn before.
    pub(super) const fn is_first(&self) -> bool {
        self.launches == 1
    }

    fn fresh(&self, spec: &RuntimeSpec, launches: u32) -> Self {
        let n = self.n + 1;
        Self { start: Start::Fresh(session_id(spec, n)), n, carried: Usd::ZERO, say: Say::Full, launches }
    }

    /// What the runtime is sent, as the host counts it.
    pub(super) fn sent(&self) -> Sent {
        if self.say == Say::Full { Sent::Full } else { Sent::Delta }
    }

    pub(super) async fn message(&self, spec: &RuntimeSpec, request: &TurnRequest) -> Result<Message> {
        let id = Some(message_id(spec, request.key.turn));
        let message = match self.say {
            Say::Delta => Message { text: as_one_prompt(&request.delta), id },
            Say::Full => Message { text: as_one_prompt(&request.full.load().await?), id },
            Say::Continuation => {
                Message { text: request.continuation.clone().unwrap_or_else(|| GO_ON.to_owned()), id: None }
            }
        };
        if is_blank(&message.text) {
            return Err(Error::new(ErrorKind::Invalid, "the turn has nothing to tell the agent"));
        }
        Ok(message)
    }

    /// The token after this launch; none where its session is of no more use.
    pub(super) fn token(&self, place: &Place, verdict: &Verdict) -> Option<Token> {
        let kept = match (&self.start, verdict.status) {
            (Start::Resume(id), Status::NotStarted | Status::Failed | Status::Cancelled) => Some(id.clone()),
            _ => None,
        };
        let id = verdict.session.clone().or(kept)?;
        Some(Token::new(place.clone(), id, self.n, verdict.total))
    }
}

/// Whether the CLI takes it for nothing, and tells the model something else: what JavaScript trims.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c == '\u{FEFF}' || (c.is_whitespace() && c != '\u{85}'))
}
