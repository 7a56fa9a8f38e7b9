//! A running turn: its processes one after another, their output as events, and one end.

use super::{
    INSTALL,
    attempt::Attempt,
    codec::{Decoded, Decoder, Exit, Status, Verdict},
    files::{self, Trace},
    launch::{self, LaunchPlan, marker},
    session::{Busy, Inner},
};
use crate::process::{Patience, Pipes, Running, Start, code_and_signal, drain, ladder, write_all};
use crate::{Result, TurnEvent, TurnKey, TurnRequest};
use std::{
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt as _,
    process::ChildStdout,
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};

/// How long output is awaited once the process is gone; others may hold its end.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// A process that was started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) running: Running,
    pub(super) token: TaskTrackerToken,
    pub(super) pipes: Pipes,
}

/// A started process with all that it needs.
#[derive(Debug)]
pub(super) struct Launched {
    attempt: Attempt,
    started: Started,
    stdin: Vec<u8>,
    decoder: Decoder,
}

/// A turn in its task.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) inner: Arc<Inner>,
    pub(super) request: TurnRequest,
    pub(super) events: mpsc::Sender<TurnEvent>,
    pub(super) stop: CancellationToken,
    pub(super) busy: Busy,
}

/// How far a process is, as its output tells.
#[derive(Debug, Clone, Copy)]
enum Progress {
    Working,
    /// It answered; nothing was left to do at this time.
    Done(Instant),
    Poisoned,
}

pub(super) async fn launch(inner: &Inner, request: &TurnRequest, attempt: Attempt) -> Result<Launched> {
    let spec = &inner.spec;
    let message = attempt.message(spec, request).await?;
    let plan = LaunchPlan::new(inner.setup.program.clone(), spec, request, &attempt.start, &message)?;
    let required = launch::required(request)?;
    let started = start(inner, request.key, attempt.n, &plan).await?;
    let decoder = Decoder::with(required, attempt.carried).line_limit(inner.setup.line_limit);
    Ok(Launched { attempt, started, stdin: plan.stdin, decoder })
}

/// Writes what a launch reads, starts it, and leaves a trace of it.
pub(super) async fn start(inner: &Inner, key: TurnKey, n: u32, plan: &LaunchPlan) -> Result<Started> {
    let spec = &inner.spec;
    tracing::debug!(?plan, "claude is launched");
    files::prepare(spec, plan)?;
    // Written before, so that a crash in between does not make the turn unseen.
    Trace::new(key, n, None).write(spec)?;
    let token = inner.process_token()?;
    let start = Start {
        name: "claude",
        install: INSTALL,
        program: &plan.program,
        args: &plan.args,
        env: &plan.env,
        cwd: &plan.cwd,
        marker: &marker(spec),
    };
    let (running, pipes) = Running::start(&start).await?;
    Trace::new(key, n, running.process()).write(spec)?;
    Ok(Started { running, token, pipes })
}

impl Run {
    pub(super) async fn run(self, mut launched: Launched) {
        let (end, n) = loop {
            let attempt = launched.attempt.clone();
            let verdict = self.one(launched).await;
            let stopped = self.stop.is_cancelled() || self.events.is_closed();
            let Some(next) = attempt.next(&self.inner.spec, &verdict).filter(|_| !stopped) else {
                break self.inner.ended(&attempt, verdict);
            };
            match launch(&self.inner, &self.request, next.clone()).await {
                Ok(next) => launched = next,
                Err(error) => break self.inner.ended(&next, not_started(&error)),
            }
        };
        if let Err(error) = Trace::new(self.request.key, n, None).write(&self.inner.spec) {
            tracing::warn!(%error, "the end of a turn is not noted");
        }
        drop(self.busy);
        let _ = self.events.send(TurnEvent::Ended(end)).await;
    }

    /// One process, from its first byte to the last of its children.
    async fn one(&self, launched: Launched) -> Verdict {
        let Launched { attempt, started, stdin, decoder } = launched;
        let Started { mut running, token, pipes } = started;
        let (progress, seen) = watch::channel(Progress::Working);
        let [gone, read, heard] = std::array::from_fn(|_| CancellationToken::new());
        let tail = Mutex::new(Vec::new());
        let pump = async {
            let decoder = self.pump(&attempt, pipes.stdout, decoder, progress, &gone).await;
            read.cancel();
            decoder
        };
        let watch = async {
            let (exit, interrupted) = self.watch(&mut running, seen).await;
            let (code, signal) = code_and_signal(&exit);
            if signal.is_some() || interrupted {
                running.sweep().await;
            } else {
                running.gone();
            }
            drop(token);
            let _ = timeout(DRAIN, async { tokio::join!(read.cancelled(), heard.cancelled()) }).await;
            gone.cancel();
            Exit { code, signal, stderr: String::new(), interrupted }
        };
        let hear = async {
            drain(pipes.stderr, &tail).await;
            heard.cancel();
        };
        let others = async { tokio::join!(write_all(pipes.stdin, &stdin), hear) };
        let others = async {
            tokio::select! { _ = others => {}, () = gone.cancelled() => {} }
        };
        let (decoder, mut exit, ()) = tokio::join!(pump, watch, others);
        exit.stderr = tail.lock().map(|tail| String::from_utf8_lossy(&tail).into_owned()).unwrap_or_default();
        let (events, verdict) = decoder.finish(&exit);
        self.relay(&attempt, events).await;
        verdict
    }

    /// Reads output to its end and hands it on; a slow reader slows the process.
    async fn pump(
        &self,
        attempt: &Attempt,
        mut stdout: ChildStdout,
        mut decoder: Decoder,
        progress: watch::Sender<Progress>,
        gone: &CancellationToken,
    ) -> Decoder {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = tokio::select! {
                // What was written before the process ended is read before its end is heard.
                biased;
                read = stdout.read(&mut buffer) => read.unwrap_or(0),
                () = gone.cancelled() => 0,
            };
            if read == 0 {
                return decoder;
            }
            let events = decoder.feed(&buffer[..read]);
            progress.send_replace(match decoder.poisoned() {
                Some(_) => Progress::Poisoned,
                None if decoder.is_done() => Progress::Done(Instant::now()),
                None => Progress::Working,
            });
            self.relay(attempt, events).await;
        }
    }

    async fn relay(&self, attempt: &Attempt, events: Vec<Decoded>) {
        for event in events {
            let event = match event {
                Decoded::Event(event) => event,
                // A process per turn is asked nothing and asks nothing.
                Decoded::Control(_) => continue,
                Decoded::Session(id) => self.inner.named(id, attempt),
            };
            // Nobody listens any more: the process is being ended, its output is read all the same.
            let _ = self.events.send(event).await;
        }
    }

    /// Waits for the exit, and brings it about where it is due. Says whether it was asked for.
    async fn watch(
        &self,
        running: &mut Running,
        mut seen: watch::Receiver<Progress>,
    ) -> (std::io::Result<ExitStatus>, bool) {
        let Patience { rung, exit: patience } = self.inner.setup.patience;
        loop {
            let progress = *seen.borrow_and_update();
            let stuck = async {
                match progress {
                    Progress::Done(since) => sleep_until(since + patience).await,
                    Progress::Working | Progress::Poisoned => std::future::pending().await,
                }
            };
            if matches!(progress, Progress::Poisoned) {
                running.kill();
                return (running.wait().await, false);
            }
            tokio::select! {
                exit = running.wait() => return (exit, false),
                () = self.stop.cancelled() => return (ladder(running, rung).await, true),
                () = self.events.closed() => return (ladder(running, rung).await, true),
                () = stuck => return (ladder(running, rung).await, false),
                Ok(()) = seen.changed() => {}
            }
        }
    }
}

/// A launch in the middle of a turn that came to nothing.
pub(super) fn not_started(error: &crate::Error) -> Verdict {
    Verdict {
        status: Status::NotStarted,
        text: None,
        reason: Some(error.to_string()),
        session: None,
        usage: party_core::Usage::default(),
        cost: party_core::Cost::Reported(party_core::Usd::ZERO),
        total: party_core::Usd::ZERO,
    }
}
