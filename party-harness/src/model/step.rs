//! A model call of a turn, made again where that is safe.

use super::{
    bill::Bill,
    fault::{Again, Fault, Less},
    hints,
    http::Answer,
    run::Run,
    wire::{Ask, Piece, Reply},
};
use crate::TurnEvent;
use party_core::Failure;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a count of tokens is awaited behind an answer that is whole.
const COUNT: Duration = Duration::from_secs(5);

/// A call that came to nothing.
#[derive(Debug)]
struct Failed {
    fault: Fault,
    /// Something of the answer was shown already; another would be shown behind it.
    has_shown: bool,
}

impl Run {
    /// Asks the model until it answers, or waiting helps no more.
    pub(super) async fn ask(&mut self, bill: &mut Bill) -> Result<Reply, Fault> {
        let mut waits = self.inner.setup.retry.waits();
        loop {
            let is_forced = self.is_forced();
            let Failed { fault, has_shown } = match self.call(bill, is_forced).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            if fault.failure == Failure::RateLimited {
                self.tell(limited(&fault)).await;
            }
            let wait = match fault.again {
                Again::Less(what) => {
                    let has_asked = match what {
                        Less::Force => is_forced,
                        Less::Reasoning => !self.request.tools.is_empty(),
                    };
                    (has_asked && self.inner.ask_less(what)).then_some(Duration::ZERO)
                }
                again => waits.next(again, self.patience).filter(|_| !has_shown),
            };
            let Some(wait) = wait else { return Err(fault) };
            self.patience = self.patience.saturating_sub(wait);
            tracing::debug!(?wait, reason = fault.reason, "a model call is made again");
            self.tell(TurnEvent::Waiting { reason: fault.reason }).await;
            sleep(wait).await;
        }
    }

    async fn call(&self, bill: &mut Bill, is_forced: bool) -> Result<Reply, Failed> {
        let inner = &self.inner;
        let body = inner.setup.wire.body(&Ask {
            model: &inner.model,
            system: &self.system,
            messages: &self.messages,
            tools: &self.request.tools,
            is_forced,
            may_reason: inner.can(Less::Reasoning),
            most_output: inner.setup.most_output,
            names_completion: inner.setup.names_completion,
            temperature: inner.setup.temperature,
        });
        let body = body.to_string().into_bytes();
        bill.begin(body.len());
        let mut heard = Heard::default();
        let answer = inner.http.ask(&inner.model, inner.key.clone(), body).await;
        let read = match answer {
            Ok(answer) => self.read(answer, bill, &mut heard).await,
            Err(fault) => {
                // What broke off may have been worked on.
                if !matches!(fault.failure, Failure::Died | Failure::Idle) {
                    bill.refused();
                }
                Err(fault)
            }
        };
        bill.settle(read.is_ok());
        read.map_err(|fault| Failed { fault: inner.without_key(fault), has_shown: heard.has_shown })
    }

    /// Reads an answer to its end, and shows what there is to see.
    async fn read(&self, mut answer: Answer, bill: &mut Bill, heard: &mut Heard) -> Result<Reply, Fault> {
        let mut decoder = self.inner.setup.wire.decoder();
        while !decoder.reply().is_over {
            // Only a count of tokens may still come behind an answer that is whole.
            let events = if decoder.reply().is_whole {
                timeout(COUNT, answer.next()).await.ok().and_then(Result::ok).flatten()
            } else {
                answer.next().await?
            };
            let Some(events) = events else { break };
            for data in events {
                let pieces = decoder.event(&data);
                heard.calls = decoder.reply().calls.iter().map(|call| call.arguments.len()).sum();
                for piece in pieces? {
                    heard.words += piece.len();
                    bill.heard(heard.bytes(), decoder.reply().usage);
                    heard.has_shown |= !matches!(piece, Piece::Raw(_));
                    self.tell(shown(piece)).await;
                }
                bill.heard(heard.bytes(), decoder.reply().usage);
            }
        }
        let reply = decoder.into_reply();
        if reply.is_whole { Ok(reply) } else { Err(Fault::cut("the answer ended in its middle")) }
    }
}

/// How much of an answer has come.
#[derive(Debug, Default)]
struct Heard {
    words: usize,
    calls: usize,
    has_shown: bool,
}

impl Heard {
    const fn bytes(&self) -> usize {
        self.words + self.calls
    }
}

fn shown(piece: Piece) -> TurnEvent {
    match piece {
        Piece::Text(text) => TurnEvent::Text { text: text.into() },
        Piece::Thinking(text) => TurnEvent::Thinking { text: text.into() },
        Piece::Raw(event) => TurnEvent::Raw { event },
    }
}

fn limited(fault: &Fault) -> TurnEvent {
    let resets_at = match fault.again {
        Again::After(wait) => {
            let seconds = i64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(i64::MAX);
            Some(hints::now().as_second().saturating_add(seconds))
        }
        Again::Never | Again::Soon | Again::Less(_) => None,
    };
    TurnEvent::RateLimit { rejected: true, resets_at }
}
