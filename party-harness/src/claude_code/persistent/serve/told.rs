//! What a turn is told: by its host, by its reader's leaving, by the clock.

use super::{MOST_WAITING, Serving, stopping::Stopping};
use crate::claude_code::{
    launch::{Message, stdin_line},
    persistent::{Command, lines, live::Live},
};
use crate::{Answer, Error, ErrorKind, RequestId, Result, Steered};
use tokio::{sync::oneshot, time::Instant};

impl Serving {
    pub(super) fn told(&mut self, live: &mut Live, command: Option<Command>) {
        match command {
            Some(Command::Steer(text, reply)) => self.steer(live, text, reply),
            Some(Command::Answer(RequestId(id), answer)) => {
                let Some(input) = self.questions.remove(&id) else { return };
                live.write(&match answer {
                    Answer::Allow => lines::allow(&id, &input),
                    Answer::Deny { why } => lines::deny(&id, &why),
                });
            }
            None => self.commanded = false,
        }
    }

    /// A message waits until the turn's own is taken: the CLI would merge them.
    fn steer(&mut self, live: &mut Live, text: String, reply: oneshot::Sender<Result<Steered>>) {
        let steered = if self.is_stopped() {
            Ok(Steered::TooLate)
        } else if self.early.len() + live.backlog() >= MOST_WAITING {
            Err(Error::new(ErrorKind::Busy, "too many messages wait for the agent"))
        } else {
            self.early.push(text);
            Ok(Steered::Taken)
        };
        let _ = reply.send(steered);
        if self.receipts.is_taken() {
            self.send_early(live);
        }
    }

    pub(super) fn send_early(&mut self, live: &mut Live) {
        for text in std::mem::take(&mut self.early) {
            let id = self.further_id();
            live.write(&stdin_line(&Message { text, id: Some(id.clone()) }));
            self.receipts.sent(id);
        }
    }

    /// Nobody reads the events any more.
    pub(super) fn unheard(&mut self, live: &mut Live) {
        self.relay.unheard();
        self.stop(live);
    }

    pub(super) fn stop(&mut self, live: &mut Live) {
        if self.stopping.is_none() {
            self.stopping = Some(Stopping::new(self.inner.setup.patience.rung));
            self.early.clear();
            live.write(&lines::interrupt(self.number()));
        }
    }

    pub(super) async fn stop_now(&mut self, live: &mut Live) {
        self.stopping = Some(Stopping::killed(self.inner.setup.patience.rung));
        live.child.kill().await;
    }

    /// The CLI does not come to a message. The turn's own must not be answered unseen.
    async fn passed_over(&mut self, live: &mut Live) {
        if self.receipts.is_taken() {
            self.out_of_step = true;
            return;
        }
        if !self.is_stopped() {
            self.fatal = Some("claude did not take the turn's message".to_owned());
        }
        live.child.kill().await;
    }

    /// Whatever was awaited did not come in time.
    pub(super) async fn due(&mut self, live: &mut Live) {
        let now = Instant::now();
        let rung = self.inner.setup.patience.rung;
        if let Some(stopping) = self.stopping.as_mut().filter(|stopping| stopping.due() <= now) {
            match stopping.climb(rung) {
                Some(signal) => live.child.signal(signal),
                None => live.child.kill().await,
            }
        } else if self.late.take_if(|late| *late <= now).is_some() {
            self.passed_over(live).await;
        } else if live.opening.take_if(|opening| *opening <= now).is_some() {
            self.fatal = Some("claude does not answer the control protocol".to_owned());
            live.child.kill().await;
        }
    }
}
