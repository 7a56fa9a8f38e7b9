//! The one task of a bus that writes. What queues up while one transaction is on its way makes the next:
//! one sync of the server's log for all of them, and no timer.

use super::{
    append,
    board::Board,
    failure::Failure,
    fetch::Numbers,
    lease::{self, Turn},
    link::{Address, Link, Use, answered},
    open::raise_epoch,
    write::Write,
};
use crate::{Lease, Receipt, Result};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

/// Batches that may wait for the writer; more have to wait for a place.
const QUEUE: usize = 1_024;
/// At most so many pieces of work in one transaction.
const GROUP: usize = 256;
/// Past so many bytes a transaction takes no more work.
const GROUP_BYTES: usize = 4 << 20;
/// The first and the longest pause between tries.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];

/// A piece of work and where its answer goes.
pub(super) enum Job {
    Append(Box<Pending<Write, Receipt>>),
    Lease(Pending<Turn, Option<Lease>>),
    Close(oneshot::Sender<Result<()>>),
}

pub(super) struct Pending<W, A> {
    work: W,
    since: Instant,
    reply: oneshot::Sender<Result<A>>,
}

impl<W, A> Pending<W, A> {
    pub(super) fn new(work: W, reply: oneshot::Sender<Result<A>>) -> Self {
        Self { work, since: Instant::now(), reply }
    }
}

pub(super) struct Writer {
    address: Arc<Address>,
    link: Option<Link>,
    numbers: Numbers,
    board: Arc<Board>,
}

impl Writer {
    pub(super) fn new(address: Arc<Address>, link: Link, board: Arc<Board>) -> Self {
        Self { address, link: Some(link), numbers: Numbers::default(), board }
    }

    pub(super) fn queue() -> (mpsc::Sender<Job>, mpsc::Receiver<Job>) {
        mpsc::channel(QUEUE)
    }

    /// Works until a job says to close, or until nobody is left to send one.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(job) = queue.recv().await else { break };
            let mut group = Group::default();
            closing = group.take(job);
            // Those who were just answered may have more to write: they get their turn to say so before
            // the group leaves, or it would leave half empty each time.
            let mut taken = 0;
            while closing.is_none() && !group.is_full() && taken < group.len() {
                taken = group.len();
                tokio::task::yield_now().await;
                while closing.is_none() && !group.is_full() {
                    let Ok(job) = queue.try_recv() else { break };
                    closing = group.take(job);
                }
            }
            self.lease(group.leases).await;
            self.append(group.appends).await;
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        if let Some(reply) = closing {
            let _ = reply.send(Ok(()));
        }
    }

    async fn append(&mut self, pending: Vec<Pending<Write, Receipt>>) {
        let (mut writes, replies) = split(pending);
        if writes.is_empty() {
            return;
        }
        let answers = match self.append_all(&mut writes, &replies).await {
            Ok(answers) => answers,
            // One that the server cannot take must not keep the others from it.
            Err(error) if writes.len() > 1 && !error.is_retryable() => {
                let mut answers = Vec::with_capacity(writes.len());
                for (write, reply) in writes.chunks_mut(1).zip(replies.chunks(1)) {
                    let alone = self.append_all(write, reply).await;
                    answers.extend(alone.unwrap_or_else(|error| vec![Err(error)]));
                }
                answers
            }
            Err(error) => writes.iter().map(|_| Err(error.again())).collect(),
        };
        let heads = writes.iter().zip(&answers).filter_map(|(write, answer)| {
            let receipt = answer.as_ref().ok().filter(|receipt| !receipt.repeated)?;
            Some((write.batch.session, receipt.last))
        });
        self.board.grown(heads);
        answer(replies, answers);
    }

    async fn append_all(
        &mut self,
        writes: &mut [Write],
        replies: &[Reply<Receipt>],
    ) -> Result<Vec<Result<Receipt>>> {
        let mut tries = Tries::new(&self.address, replies);
        loop {
            let outcome = Box::pin(answered(async {
                let (link, numbers) = self.connected().await?;
                append::run(link, writes, numbers).await
            }));
            match outcome.await {
                Ok(answers) => return Ok(answers),
                Err(failure) => match self.again(&mut tries, failure).await {
                    Some(error) => return Err(error),
                    None => continue,
                },
            }
        }
    }

    async fn lease(&mut self, pending: Vec<Pending<Turn, Option<Lease>>>) {
        let (mut turns, replies) = split(pending);
        if turns.is_empty() {
            return;
        }
        let mut tries = Tries::new(&self.address, &replies);
        let answers = loop {
            let outcome = answered(async {
                let (link, _) = self.connected().await?;
                lease::run(link, &mut turns).await
            });
            match outcome.await {
                Ok(answers) => break answers.into_iter().map(Ok).collect(),
                Err(failure) => match self.again(&mut tries, failure).await {
                    Some(error) => break turns.iter().map(|_| Err(error.again())).collect(),
                    None => continue,
                },
            }
        };
        answer(replies, answers);
    }

    async fn connected(&mut self) -> Result<(&mut Link, &mut Numbers), Failure> {
        let link = match self.link.take().filter(|link| !link.is_closed()) {
            Some(link) => link,
            None => {
                // A server that crashed may give the numbers out again that it gave last.
                self.numbers = Numbers::default();
                let mut link = self.address.connect(Use::Keys, None).await?;
                link.begin("BEGIN").await?;
                raise_epoch(&link).await?;
                link.commit().await?;
                link
            }
        };
        Ok((self.link.insert(link), &mut self.numbers))
    }

    /// Makes ready for another try, after a pause; the error where there is to be none.
    async fn again(&mut self, tries: &mut Tries, failure: Failure) -> Option<crate::Error> {
        if let Some(mut link) = self.link.take().filter(|_| !matches!(failure, Failure::Broken(_)))
            && answered(link.undo()).await.is_ok()
        {
            self.link = Some(link);
        }
        if failure.may_pass() && tries.pause().await {
            return None;
        }
        let error = self.address.error(failure, "write to");
        tracing::warn!(kind = ?error.kind(), "{error}");
        Some(error)
    }
}

type Reply<A> = (Instant, oneshot::Sender<Result<A>>);

fn split<W, A>(pending: Vec<Pending<W, A>>) -> (Vec<W>, Vec<Reply<A>>) {
    pending.into_iter().map(|pending| (pending.work, (pending.since, pending.reply))).unzip()
}

/// Hands out answers; a caller that has gone away misses its own.
fn answer<A>(replies: Vec<Reply<A>>, answers: Vec<Result<A>>) {
    for ((_, reply), answer) in replies.into_iter().zip(answers) {
        let _ = reply.send(answer);
    }
}

/// How long a group is tried: until those who wait longest for it have waited long enough.
pub(super) struct Tries {
    until: Instant,
    pause: Duration,
}

impl Tries {
    fn new<A>(address: &Address, replies: &[Reply<A>]) -> Self {
        let youngest = replies.iter().map(|(since, _)| *since).max().unwrap_or_else(Instant::now);
        Self::since(address, youngest)
    }

    pub(super) fn since(address: &Address, since: Instant) -> Self {
        Self { until: since + address.patience, pause: PAUSES[0] }
    }

    /// Pauses before another try; whether there is time for one.
    pub(super) async fn pause(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.until {
            return false;
        }
        // Others try again, too, and not all at once.
        let jitter =
            self.pause.mul_f64(0.5 + 0.5 * f64::from(crate::process::now().as_micros() as u8) / 255.0);
        sleep(jitter.min(self.until - now)).await;
        self.pause = (self.pause * 2).min(PAUSES[1]);
        true
    }
}

/// Work that is written together.
#[derive(Default)]
struct Group {
    appends: Vec<Pending<Write, Receipt>>,
    leases: Vec<Pending<Turn, Option<Lease>>>,
    bytes: usize,
}

impl Group {
    /// Takes a job in; gives back the answer's way of one that says to close.
    fn take(&mut self, job: Job) -> Option<oneshot::Sender<Result<()>>> {
        match job {
            Job::Append(pending) => {
                self.bytes += pending.work.encoded.bytes;
                self.appends.push(*pending);
            }
            Job::Lease(pending) => self.leases.push(pending),
            Job::Close(reply) => return Some(reply),
        }
        None
    }

    const fn len(&self) -> usize {
        self.appends.len() + self.leases.len()
    }

    const fn is_full(&self) -> bool {
        self.len() >= GROUP || self.bytes >= GROUP_BYTES
    }
}
