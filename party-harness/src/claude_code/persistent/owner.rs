//! The task that owns a session's process: it starts it, keeps it between turns, and ends it.

use super::{
    Order, asked,
    live::{Live, Next},
    serve::{Left, Serving},
};
use crate::claude_code::{
    attempt::Attempt,
    codec::{Control, Decoded, Decoder, Verdict},
    inner::Inner,
    launch::{Message, Start, stdin_line},
    run::{not_started, start},
};
use crate::{Result, TurnEvent, session::closed};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

#[derive(Debug)]
pub(super) struct Owner {
    inner: Arc<Inner>,
    /// How long a process may wait for its next turn.
    idle: Duration,
    orders: mpsc::Receiver<Order>,
    live: Option<Live>,
}

impl Owner {
    pub(super) const fn new(inner: Arc<Inner>, idle: Duration, orders: mpsc::Receiver<Order>) -> Self {
        Self { inner, idle, orders, live: None }
    }

    pub(super) async fn run(mut self) {
        while let Some(order) = self.next_order().await {
            self.turn(Serving::new(&self.inner, order)).await;
        }
        self.retire().await;
    }

    /// Looks after the process until there is a turn for it; none once the session is closed.
    async fn next_order(&mut self) -> Option<Order> {
        let inner = Arc::clone(&self.inner);
        let idle = Instant::now() + self.idle;
        loop {
            tokio::select! {
                biased;
                () = inner.life.stop.cancelled() => return None,
                order = self.orders.recv() => return order,
                next = next_of(&mut self.live) => self.between_turns(next).await,
                () = sleep_until(idle), if self.live.is_some() => self.retire().await,
            }
        }
    }

    /// What a process does that has nothing to do.
    async fn between_turns(&mut self, next: Next) {
        match (next, &mut self.live) {
            (Next::Said(said), Some(live)) => said.into_iter().for_each(|decoded| unasked(live, decoded)),
            _ => {
                if let Some(live) = self.live.take() {
                    let (_, exit) = live.bury(false).await;
                    tracing::debug!(?exit, "claude ended between two turns");
                }
            }
        }
    }

    async fn turn(&mut self, mut serving: Serving) {
        let request = &serving.order.request;
        let mut attempt = self.inner.first_attempt(request);
        let (end, n) = loop {
            let went_on = self.fits(&serving, &attempt);
            let verdict = match self.attempt(&mut serving, &attempt, went_on).await {
                Ok(verdict) => verdict,
                Err(error) => match serving.order.begun.take() {
                    Some(begun) => {
                        drop(serving);
                        let _ = begun.send(Err(error));
                        return;
                    }
                    None => break self.inner.ended(&attempt, not_started(&error)),
                },
            };
            let again = !serving.is_stopped();
            let next = attempt.next(&self.inner.spec, &verdict).filter(|_| again);
            // A process that had served turns before was gone before it began this one.
            let lost = again && went_on && self.live.is_none() && serving.never_ran();
            match next {
                Some(next) => attempt = next,
                None if lost => {}
                None => break self.inner.ended(&attempt, verdict),
            }
        };
        self.inner.note_end(n).await;
        if end.token.is_none() || !serving.leaves_in_step() {
            self.retire().await;
        }
        self.deliver(serving, TurnEvent::Ended(end)).await;
    }

    /// One launch of a turn, or its message to the process that runs.
    async fn attempt(&mut self, serving: &mut Serving, attempt: &Attempt, go_on: bool) -> Result<Verdict> {
        let inner = Arc::clone(&self.inner);
        let request = serving.order.request.clone();
        let mut message = tokio::select! {
            message = attempt.message(&inner.spec, &request) => message?,
            () = inner.life.stop.cancelled() => return Err(closed()),
        };
        let id = message.id.take().unwrap_or_else(|| serving.further_id());
        message.id = Some(id.clone());
        if go_on {
            self.go_on(serving, attempt, &message).await?;
        } else {
            self.retire().await;
            self.live = Some(self.launch(serving, attempt, &message).await?);
        }
        if let Some(begun) = serving.order.begun.take() {
            let _ = begun.send(Ok(()));
        }
        Ok(self.serve(serving, attempt, id).await)
    }

    /// Whether the process that runs can take the turn: it was started so, and holds that session. Only
    /// a process that reads the transcript anew knows whether it holds what an earlier attempt sent.
    fn fits(&self, serving: &Serving, attempt: &Attempt) -> bool {
        let Some(live) = &self.live else { return false };
        let anew = attempt.is_first() && serving.order.request.key.attempt > 1;
        let held = live.session.as_ref().is_some_and(|id| attempt.start == Start::Resume(id.clone()));
        !anew && held && live.shape == serving.order.shape
    }

    /// The next turn of the process that runs.
    async fn go_on(&mut self, serving: &mut Serving, attempt: &Attempt, message: &Message) -> Result<()> {
        self.inner.trace_next(serving.order.request.key, attempt.n).await?;
        if let Some(live) = &mut self.live {
            live.write(&stdin_line(message));
            if let Start::Resume(id) = &attempt.start {
                serving.named(id.clone(), attempt);
            }
        }
        Ok(())
    }

    async fn launch(&self, serving: &Serving, attempt: &Attempt, message: &Message) -> Result<Live> {
        let (inner, shape) = (&self.inner, serving.order.shape.clone());
        let plan = shape.plan(inner.setup.program.clone(), &inner.spec, &attempt.start, message)?;
        let started = start(inner, plan, serving.order.request.key, attempt).await?;
        let decoder = Decoder::with(shape.required(), attempt.carried).line_limit(inner.setup.line_limit);
        let session = match &attempt.start {
            Start::Resume(id) => Some(id.clone()),
            Start::Fresh(_) => None,
        };
        Ok(Live::new(started, shape, session, decoder, inner.setup.patience))
    }

    async fn serve(&mut self, serving: &mut Serving, attempt: &Attempt, id: String) -> Verdict {
        let Some(mut live) = self.live.take() else { return not_started(&closed()) };
        match serving.serve(&mut live, attempt, id).await {
            Left::Alive => {
                let verdict = serving.verdict(&mut live);
                live.session.clone_from(&verdict.session);
                self.live = Some(live);
                verdict
            }
            Left::Gone => {
                let (decoder, exit) = live.bury(serving.is_stopped()).await;
                let (rest, verdict) = decoder.finish(&exit);
                serving.last_verdict(rest, verdict)
            }
        }
    }

    /// Hands the reader what is left, and lets the next turn come before the end is heard.
    async fn deliver(&mut self, mut serving: Serving, end: TurnEvent) {
        let inner = Arc::clone(&self.inner);
        let Order { events, busy, commands, .. } = serving.order;
        // Whoever tells the turn something hears that it is too late, and may be its reader.
        drop(commands);
        while !serving.relay.is_empty() {
            tokio::select! {
                () = serving.relay.next() => {}
                () = inner.life.stop.cancelled(), if self.live.is_some() => self.retire().await,
            }
        }
        let permit = loop {
            tokio::select! {
                permit = events.reserve() => break permit,
                () = inner.life.stop.cancelled(), if self.live.is_some() => self.retire().await,
            }
        };
        drop(busy);
        if let Ok(permit) = permit {
            permit.send(end);
        }
    }

    /// Ends the process in order, if one runs.
    async fn retire(&mut self) {
        if let Some(live) = self.live.take() {
            live.retire(&self.inner.life.kill).await;
        }
    }
}

async fn next_of(live: &mut Option<Live>) -> Next {
    match live {
        Some(live) => live.next(true).await,
        None => std::future::pending().await,
    }
}

/// Answers whatever the CLI asks between two turns.
fn unasked(live: &mut Live, decoded: Decoded) {
    match decoded {
        Decoded::Control(Control::Asked { id, what }) => {
            let needs = asked::read(&id, what, live.shape.tools());
            live.write(&asked::without_turn(&id, needs));
        }
        Decoded::Control(Control::Answered { .. }) => live.opening = None,
        _ => {}
    }
}
