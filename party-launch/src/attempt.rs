//! One attempt at a turn: opens the seat's runtime session, runs the turn, keeps its time, and
//! hands everything to the driver. It ends with exactly one `Ended`.

mod attend;
mod calls;
mod pulse;
mod trace;

pub(crate) use calls::{CallCounts, Entered};

use crate::{
    mcp::{Admission, McpServer},
    request::Request,
    seat::SeatRuntime,
    view::View,
};
use party_core::{Cost, Failure, Offset, Outcome, Sent, TurnId, Usage, Usd};
use party_harness::{
    Answer, Completion, Error, ErrorKind, RequestId, Result, ToolChoice, ToolDoor, ToolPort, ToolSpec, Turn,
    TurnEnd, TurnEvent, TurnKey, TurnRequest,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Span, field::Empty};

/// All that an attempt needs; it holds nothing of the driver.
pub(crate) struct Attempt {
    pub(crate) key: TurnKey,
    pub(crate) seat: Arc<SeatRuntime>,
    pub(crate) view: View,
    /// How far the runtime session has seen the thread for sure.
    pub(crate) seen: Offset,
    pub(crate) continuation: Option<String>,
    pub(crate) tools: Vec<ToolSpec>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) completion: Completion,
    pub(crate) most_steps: Option<u32>,
    pub(crate) own_tools: Vec<String>,
    pub(crate) ask: bool,
    pub(crate) limit: Option<Usd>,
    pub(crate) timeout: Duration,
    pub(crate) grace: Duration,
    /// How long the runtime may show no sign of life.
    pub(crate) idle: Option<Duration>,
    pub(crate) alongside: Vec<TurnId>,
    pub(crate) mcp: Option<Arc<McpServer>>,
    pub(crate) port: Arc<dyn ToolPort>,
    pub(crate) interrupt: CancellationToken,
    /// Answers to the runtime's questions.
    pub(crate) answers: mpsc::Receiver<(RequestId, Answer)>,
    pub(crate) calls: Entered,
    /// What the runtime asks already, where it hands the turn over.
    pub(crate) asked: Vec<RequestId>,
    pub(crate) requests: mpsc::Sender<Request>,
}

impl Attempt {
    /// A span with the names of OpenTelemetry's conventions for generative AI.
    pub(crate) fn span(&self) -> Span {
        tracing::info_span!(
            "turn",
            turn = %self.key.turn,
            attempt = self.key.attempt,
            seat = %self.seat.seat,
            harness = %self.seat.harness_name,
            gen_ai.operation.name = "invoke_agent",
            gen_ai.agent.name = %self.seat.name,
            gen_ai.conversation.id = %self.key.session,
            gen_ai.request.model = self.seat.model.as_deref(),
            gen_ai.usage.input_tokens = Empty,
            gen_ai.usage.output_tokens = Empty,
            outcome = Empty,
        )
    }

    /// Runs it from the start, or goes on with a turn that the runtime handed over.
    pub(crate) async fn run(mut self, handed_over: Option<Turn>) {
        let end = match handed_over {
            Some(turn) => self.attend(turn).await,
            None => self.run_from_the_start().await,
        };
        let span = Span::current();
        span.record("gen_ai.usage.input_tokens", end.usage.input_tokens);
        span.record("gen_ai.usage.output_tokens", end.usage.output_tokens);
        span.record("outcome", tracing::field::debug(end.outcome));
        self.tell(TurnEvent::Ended(end)).await;
    }

    async fn run_from_the_start(&mut self) -> TurnEnd {
        tokio::select! {
            biased;
            () = self.interrupt.cancelled(), if self.interrupt.is_cancelled() => {
                // Stopped before anything was sent.
                TurnEnd { cost: Cost::Reported(Usd::ZERO), ..ended(Outcome::Cancelled, "it was stopped") }
            }
            () = self.interrupt.cancelled() => ended(Outcome::Cancelled, "it was stopped"),
            begun = timeout(self.timeout, self.begin()) => match begun {
                Ok(Ok((turn, _admission))) => self.attend(turn).await,
                Ok(Err(error)) => failed(&error),
                Err(_) => ended(Outcome::TimedOut, "the runtime did not start in time"),
            },
        }
    }

    async fn begin(&self) -> Result<(Turn, Option<Admission>)> {
        let runtime = self.seat.open(Arc::clone(&self.port)).await?;
        let admission = self.admit();
        let request = TurnRequest {
            key: self.key,
            delta: self.view.delta(self.seen).await?,
            full: Arc::new(self.view.clone()),
            continuation: self.continuation.clone(),
            tools: self.tools.clone(),
            tool_choice: self.tool_choice,
            completion: self.completion.clone(),
            most_steps: self.most_steps,
            own_tools: self.own_tools.clone(),
            ask: self.ask,
            mcp: admission.as_ref().map(Admission::endpoint),
            limit: self.limit,
            alongside: self.alongside.clone(),
        };
        Ok((runtime.turn(request).await?, admission))
    }

    /// Opens the tools' door for this attempt alone, where the runtime needs one.
    fn admit(&self) -> Option<Admission> {
        let by_http = self.seat.harness.info().capabilities.tools == ToolDoor::McpHttp;
        let server = self.mcp.as_ref().filter(|_| by_http && !self.tools.is_empty())?;
        Some(server.admit(self.key, self.tools.clone(), Arc::clone(&self.port)))
    }

    async fn tell(&self, event: TurnEvent) {
        let key = self.key;
        let request = match event {
            TurnEvent::Started { .. }
            | TurnEvent::PermissionAsked { .. }
            | TurnEvent::PermissionWithdrawn { .. }
            | TurnEvent::Ended(_) => Request::Event { key, event },
            // Made here, as that may take its time, and the driver has one task for all.
            event => Request::Trace { key, event: trace::traced(&event) },
        };
        // A driver that is gone has no use for it.
        let _ = self.requests.send(request).await;
    }
}

/// Nothing was sent to a model, so nothing was spent.
fn failed(error: &Error) -> TurnEnd {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    TurnEnd { cost: Cost::Reported(Usd::ZERO), ..broken(failure_of(error.kind()), &reason) }
}

/// A runtime that says what cannot be did start, and is given up.
const fn failure_of(kind: ErrorKind) -> Failure {
    match kind {
        ErrorKind::Protocol => Failure::Died,
        // Whatever stood in the way, the runtime did not begin with the turn.
        _ => Failure::NotStarted,
    }
}

/// The end of a turn that failed in this way.
pub(crate) fn broken(failure: Failure, reason: &str) -> TurnEnd {
    TurnEnd { failure: Some(failure), ..ended(Outcome::Failed, reason) }
}

/// An end that the runtime did not tell.
pub(crate) fn ended(outcome: Outcome, reason: &str) -> TurnEnd {
    TurnEnd {
        outcome,
        text: None,
        usage: Usage::default(),
        cost: Cost::Unknown,
        reason: Some(reason.to_owned()),
        failure: None,
        sent: Sent::Delta,
        token: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_runtime_that_spoke_has_died() {
        for kind in
            [ErrorKind::Launch, ErrorKind::Missing, ErrorKind::Io, ErrorKind::Busy, ErrorKind::Invalid]
        {
            assert_eq!(failed(&Error::new(kind, "no")).failure, Some(Failure::NotStarted), "{kind:?}");
        }
        assert_eq!(failed(&Error::new(ErrorKind::Protocol, "no")).failure, Some(Failure::Died));
    }
}
