//! The one task of a bus that writes. What queues up while one transaction is on its way makes the next:
//! one sync of the server's log for all of them, and no timer.

use super::{
    append,
    board::Board,
    failure::Failure,
    fetch::Numbers,
    held::{Held, Outcome, answer},
    lease::{self, Turn},
    link::{Address, Link, Use, answered},
    open::raise_epoch,
    write::Write,
};
use crate::{Lease, Receipt, Result};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout_at},
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
    pub(super) work: W,
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<A>>,
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
    held: Held,
}

impl Writer {
    pub(super) fn new(address: Arc<Address>, link: Link, board: Arc<Board>) -> Self {
        Self { address, link: Some(link), numbers: Numbers::default(), board, held: Held::new() }
    }

    pub(super) fn queue() -> (mpsc::Sender<Job>, mpsc::Receiver<Job>) {
        mpsc::channel(QUEUE)
    }

    /// Works until a job says to close, or until nobody is left to send one.
    pub(super) async fn run(mut self, queue: mpsc::Receiver<Job>) {
        let mut incoming = Incoming { queue, closing: None, is_over: false };
        while !incoming.is_over || !self.held.is_empty() {
            let mut group = incoming.next(&self.held).await;
            self.held.join(&mut group);
            self.lease(group.leases).await;
            self.append(group.appends).await;
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        if let Some(reply) = incoming.closing {
            let _ = reply.send(Ok(()));
        }
    }

    async fn append(&mut self, pending: Vec<Pending<Write, Receipt>>) {
        let (mut writes, replies) = split(pending);
        if writes.is_empty() {
            return;
        }
        let outcomes = match self.append_all(&mut writes, &replies).await {
            Ok(outcomes) => outcomes,
            // One that the server cannot take must not keep the others from it.
            Err(error) if writes.len() > 1 && !error.is_retryable() => {
                let mut outcomes = Vec::with_capacity(writes.len());
                for (write, reply) in writes.chunks_mut(1).zip(replies.chunks(1)) {
                    let alone = self.append_all(write, reply).await;
                    outcomes.extend(alone.unwrap_or_else(|error| vec![Outcome::Done(Err(error))]));
                }
                outcomes
            }
            Err(error) => writes.iter().map(|_| Outcome::Done(Err(error.again()))).collect(),
        };
        let heads = writes.iter().zip(&outcomes).filter_map(|(write, outcome)| match outcome {
            Outcome::Done(Ok(receipt)) if !receipt.repeated => Some((write.batch.session, receipt.last)),
            Outcome::Done(_) | Outcome::Held => None,
        });
        self.board.grown(heads);
        answer(&self.address, joined(writes, replies), outcomes, &mut self.held.appends);
    }

    async fn append_all(
        &mut self,
        writes: &mut [Write],
        replies: &[Reply<Receipt>],
    ) -> Result<Vec<Outcome<Result<Receipt>>>> {
        let mut tries = Tries::new(&self.address, replies);
        loop {
            let outcome = Box::pin(answered(async {
                let (link, numbers) = self.connected().await?;
                append::run(link, writes, numbers).await
            }));
            match outcome.await {
                Ok(outcomes) => return Ok(outcomes),
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
        let outcomes = loop {
            let outcome = answered(async {
                let (link, _) = self.connected().await?;
                lease::run(link, &mut turns).await
            });
            match outcome.await {
                Ok(outcomes) => break outcomes,
                Err(failure) => match self.again(&mut tries, failure).await {
                    Some(error) => break turns.iter().map(|_| Outcome::Done(Err(error.again()))).collect(),
                    None => continue,
                },
            }
        };
        answer(&self.address, joined(turns, replies), outcomes, &mut self.held.leases);
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

fn joined<W, A>(works: Vec<W>, replies: Vec<Reply<A>>) -> Vec<Pending<W, A>> {
    let both = works.into_iter().zip(replies);
    both.map(|(work, (since, reply))| Pending { work, since, reply }).collect()
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

/// What the writer is asked to do.
struct Incoming {
    queue: mpsc::Receiver<Job>,
    closing: Option<oneshot::Sender<Result<()>>>,
    /// Nothing more comes.
    is_over: bool,
}

impl Incoming {
    /// The next group; an empty one where what is held is to be tried first.
    async fn next(&mut self, held: &Held) -> Group {
        let mut group = Group::default();
        if self.is_over || held.is_full() {
            sleep_until(held.again).await;
            return group;
        }
        let job = match held.is_empty() {
            true => self.queue.recv().await,
            false => match timeout_at(held.again, self.queue.recv()).await {
                Ok(job) => job,
                Err(_) => return group,
            },
        };
        self.take(&mut group, job);
        // Those who were just answered may have more to write: they get their turn to say so before
        // the group leaves, or it would leave half empty each time.
        let mut taken = 0;
        while !self.is_over && !group.is_full() && taken < group.len() {
            taken = group.len();
            tokio::task::yield_now().await;
            while !self.is_over && !group.is_full() {
                let Ok(job) = self.queue.try_recv() else { break };
                self.take(&mut group, Some(job));
            }
        }
        group
    }

    fn take(&mut self, group: &mut Group, job: Option<Job>) {
        match job {
            Some(Job::Append(pending)) => {
                group.bytes += pending.work.encoded.bytes;
                group.appends.push(*pending);
            }
            Some(Job::Lease(pending)) => group.leases.push(pending),
            Some(Job::Close(reply)) => (self.closing, self.is_over) = (Some(reply), true),
            None => self.is_over = true,
        }
    }
}

/// Work that is written together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) appends: Vec<Pending<Write, Receipt>>,
    pub(super) leases: Vec<Pending<Turn, Option<Lease>>>,
    bytes: usize,
}

impl Group {
    const fn len(&self) -> usize {
        self.appends.len() + self.leases.len()
    }

    const fn is_full(&self) -> bool {
        self.len() >= GROUP || self.bytes >= GROUP_BYTES
    }
}
