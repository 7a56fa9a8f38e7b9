//! A running turn: its processes one after another, their output as events, and one end.

use super::{
    INSTALL,
    attempt::Attempt,
    codec::{Decoded, Decoder, Exit, Status, Verdict},
    files::{self, Trace},
    inner::{Inner, blocking},
    launch::{LaunchPlan, marker},
    tools,
};
use crate::process::{Pipes, Running, Start, code_and_signal, drain, ladder, lock::Guard, write_all};
use crate::{Result, TurnEvent, TurnKey, TurnRequest, session::Busy};
use rustix::process::Signal;
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
    pub(super) stdin: Vec<u8>,
}

/// A started process with all that it needs.
#[derive(Debug)]
pub(super) struct Launched {
    attempt: Attempt,
    started: Started,
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
    let required = tools::required(request)?;
    let started = start(inner, plan, request.key, &attempt).await?;
    let decoder = Decoder::with(required, attempt.carried).line_limit(inner.setup.line_limit);
    Ok(Launched { attempt, started, decoder })
}

/// Starts what is planned, with all that it reads.
pub(super) async fn start(
    inner: &Inner,
    plan: LaunchPlan,
    key: TurnKey,
    attempt: &Attempt,
) -> Result<Started> {
    tracing::debug!(?plan, "claude is launched");
    let token = inner.life.work()?;
    let (plan, lock) = prepare(inner, plan, key, attempt).await?;
    let start = Start {
        name: "claude",
        install: INSTALL,
        program: &plan.program,
        args: &plan.args,
        env: &plan.env,
        cwd: &plan.cwd,
        marker: &marker(&inner.spec),
    };
    let (running, pipes) = Running::start(&start, Some(lock)).await?;
    Ok(Started { running, token, pipes, stdin: plan.stdin })
}

/// Takes the session's lock and writes the files of the launch. Its trace is among them: a crash from
/// here on does not make the turn unseen.
async fn prepare(
    inner: &Inner,
    plan: LaunchPlan,
    key: TurnKey,
    attempt: &Attempt,
) -> Result<(LaunchPlan, Guard)> {
    let (spec, id) = (Arc::clone(&inner.spec), attempt.start.id().to_owned());
    let trace = Trace::launched(key, attempt.n, Some(files::lock_of(&spec, &id)));
    let written = trace.clone();
    let prepare = move || {
        let lock = files::lock(&spec, &id)?;
        files::prepare(&spec, &plan)?;
        written.write(&spec)?;
        Ok((plan, lock))
    };
    let prepared = blocking(prepare).await?;
    inner.traced(trace);
    Ok(prepared)
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
        self.inner.note_end(n).await;
        drop(self.busy);
        let _ = self.events.send(TurnEvent::Ended(end)).await;
    }

    /// One process, from its first byte to the last of its children.
    async fn one(&self, launched: Launched) -> Verdict {
        let Launched { attempt, started, decoder } = launched;
        let Started { mut running, token, pipes, stdin } = started;
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
            let at_end = || timeout(DRAIN, async { tokio::join!(read.cancelled(), heard.cancelled()) });
            let own_tools = !self.request.own_tools.is_empty();
            running.finish(&exit, interrupted, own_tools, async { at_end().await.is_ok() }).await;
            drop(token);
            let _ = at_end().await;
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
                // Nothing more can come: what does not exit now is ended.
                progress.send_if_modified(|progress| {
                    let is_working = matches!(progress, Progress::Working);
                    if is_working {
                        *progress = Progress::Done(Instant::now());
                    }
                    is_working
                });
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
        let patience = self.inner.setup.patience.exit;
        loop {
            let progress = *seen.borrow_and_update();
            let stuck = async {
                match progress {
                    Progress::Done(since) => sleep_until(since + patience).await,
                    Progress::Working | Progress::Poisoned => std::future::pending().await,
                }
            };
            if matches!(progress, Progress::Poisoned) {
                // At once: the look at all processes takes longer than the CLI to ask the model.
                running.signal(Signal::STOP);
                return (running.kill().await, false);
            }
            tokio::select! {
                exit = running.wait() => return (exit, false),
                () = self.stop.cancelled() => return (self.stop(running).await, true),
                () = self.events.closed() => return (self.stop(running).await, true),
                () = stuck => return (self.stop(running).await, false),
                Ok(()) = seen.changed() => {}
            }
        }
    }

    /// Ends the process in order, until there is no more time for that.
    async fn stop(&self, running: &mut Running) -> std::io::Result<ExitStatus> {
        tokio::select! {
            biased;
            () = self.inner.life.kill.cancelled() => {}
            exit = ladder(running, self.inner.setup.patience.rung) => return exit,
        }
        running.kill().await
    }
}

/// A launch in the middle of a turn that came to nothing.
pub(super) fn not_started(error: &crate::Error) -> Verdict {
    Verdict {
        status: Status::NotStarted,
        text: None,
        reason: Some(error.to_string()),
        failure: Some(party_core::Failure::NotStarted),
        session: None,
        usage: party_core::Usage::default(),
        cost: party_core::Cost::Reported(party_core::Usd::ZERO),
        total: party_core::Usd::ZERO,
    }
}
