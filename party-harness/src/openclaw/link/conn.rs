//! A connection that is up: requests and their answers by number, events by run.

use super::{
    handshake::Hello,
    mailbox::{Mailbox, Slot, mailbox},
};
use crate::{
    Error, ErrorKind, Result,
    openclaw::codec::{Frame, one_line},
    socket::{self, Reader, SocketError, Text, Writer},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many requests may wait to be written.
const OUT: usize = 64;

/// How many frames may wait for whoever they are for. What comes on top is dropped: a run's texts are
/// told whole again and again, and its end comes by another way.
const FRAMES: usize = 512;

/// How many answers to one request may wait; a gateway gives three at most.
const ANSWERS: usize = 16;

/// How long a request may take to be written.
const WRITING: Duration = Duration::from_secs(30);

/// Why a connection is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    kind: ErrorKind,
    why: String,
}

impl Gone {
    /// Whether another connection may do better.
    pub(crate) fn may_pass(&self) -> bool {
        self.kind == ErrorKind::Io
    }

    /// Something else that another connection may do better.
    pub(crate) fn passing(error: &Error) -> Self {
        Self { kind: ErrorKind::Io, why: error.to_string() }
    }

    pub(crate) fn error(&self) -> Error {
        Error::new(self.kind, self.why.clone())
    }
}

impl From<SocketError> for Gone {
    fn from(error: SocketError) -> Self {
        let error = Error::from(error);
        Self { kind: error.kind(), why: error.to_string() }
    }
}

/// An answer to a request, taken apart.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Reply {
    #[serde(default)]
    pub(crate) ok: bool,
    #[serde(default)]
    pub(crate) payload: Value,
    #[serde(default)]
    error: Value,
}

impl Reply {
    /// What was asked for, or why not.
    pub(crate) fn payload(self, what: &str) -> Result<Value> {
        if self.ok {
            return Ok(self.payload);
        }
        let why = one_line(self.error["message"].as_str().unwrap_or_default());
        let kind = match self.error["code"].as_str() {
            Some("UNAVAILABLE") => ErrorKind::Io,
            _ => ErrorKind::Launch,
        };
        Err(Error::new(kind, format!("the gateway refuses {what}: {why}")))
    }
}

#[derive(Debug)]
enum Out {
    Text(String),
    Ping,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Table {
    waiting: Mutex<Waiting>,
    gone: OnceLock<Gone>,
}

#[derive(Debug, Default)]
struct Waiting {
    number: u64,
    /// Answers by request. A request may have several.
    answers: BTreeMap<String, Slot>,
    runs: BTreeMap<String, Slot>,
    /// Whoever takes the events that are of no run.
    others: Option<Slot>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self, text: &Text) {
        match Frame::read(text) {
            Some(Frame::Answer(answer)) => {
                if self.lock().answers.get(&*answer.id).is_some_and(|answers| !answers.put(text)) {
                    tracing::debug!("an answer of the gateway was not read in time");
                }
            }
            Some(Frame::Event(event)) => {
                let waiting = self.lock();
                let for_whom = match event.run() {
                    Some(run) => waiting.runs.get(&*run),
                    None => waiting.others.as_ref(),
                };
                if for_whom.is_some_and(|whoever| !whoever.put(text)) {
                    tracing::debug!(event = &*event.name, "a frame of the gateway was not read in time");
                }
            }
            Some(Frame::Strange) | None => tracing::debug!("the gateway said something unknown"),
        }
    }

    /// Nobody waits any more.
    fn end(&self, gone: Gone) {
        let _ = self.gone.set(gone);
        let mut waiting = self.lock();
        waiting.answers.clear();
        waiting.runs.clear();
        waiting.others = None;
    }
}

/// A connection to a gateway. It ends when the last clone of its `Arc` does.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) hello: Hello,
    out: mpsc::Sender<Out>,
    table: Arc<Table>,
    ended: CancellationToken,
    _ends: DropGuard,
}

impl Conn {
    /// Takes over a connection on which the first words were spoken.
    pub(super) fn new((writer, reader): (Writer, Reader), hello: Hello) -> Arc<Self> {
        let (out, queue) = mpsc::channel(OUT);
        let (table, ended, stop) =
            (Arc::<Table>::default(), CancellationToken::new(), CancellationToken::new());
        let work = serve(writer, reader, Arc::clone(&table), queue, out.downgrade(), hello.tick);
        let (of_work, has_ended, is_stopped) = (Arc::clone(&table), ended.clone(), stop.clone());
        // Its owner is the connection: it ends with it.
        tokio::spawn(async move {
            let gone = tokio::select! {
                gone = work => gone,
                () = is_stopped.cancelled() => Gone { kind: ErrorKind::Closed, why: "the connection was closed".to_owned() },
            };
            of_work.end(gone);
            has_ended.cancel();
        });
        Arc::new(Self { hello, out, table, ended, _ends: stop.drop_guard() })
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.ended.is_cancelled()
    }

    /// Waits for the end, and says what it was.
    pub(crate) async fn ended(&self) -> Gone {
        self.ended.cancelled().await;
        self.gone()
    }

    pub(crate) fn gone(&self) -> Gone {
        let unknown = || Gone { kind: ErrorKind::Io, why: "the connection ended".to_owned() };
        self.table.gone.get().cloned().unwrap_or_else(unknown)
    }

    /// Asks, and waits for the one answer. Safe to cancel: an answer that comes later is dropped.
    ///
    /// # Errors
    /// Where the connection ends, or nothing is answered within `patience`.
    pub(crate) async fn ask(&self, method: &str, params: Value, patience: Duration) -> Result<Reply> {
        let end = Instant::now() + patience;
        let late = || {
            let waited = patience.as_millis();
            Error::new(ErrorKind::Io, format!("the gateway does not answer `{method}` within {waited} ms"))
        };
        let asked = timeout_at(end, self.start(method, params)).await;
        let mut answers = asked.map_err(|_| late())??;
        let text = timeout_at(end, answers.next()).await.map_err(|_| late())?;
        let text = text.ok_or_else(|| self.gone().error())?;
        serde_json::from_str(&text).map_err(|error| {
            Error::new(ErrorKind::Protocol, "an answer of the gateway cannot be read").with_source(error)
        })
    }

    /// Asks something that may be answered several times.
    pub(crate) async fn start(&self, method: &str, params: Value) -> Result<Answers> {
        let (sender, receiver) = mailbox(ANSWERS);
        let id = {
            let mut waiting = self.table.lock();
            waiting.number += 1;
            // The first request of all was that of the handshake.
            let id = format!("p{}", waiting.number);
            waiting.answers.insert(id.clone(), sender);
            id
        };
        let answers = Answers { id: id.clone(), receiver, table: Arc::clone(&self.table) };
        let request = json!({"type": "req", "id": id, "method": method, "params": params}).to_string();
        let sent = self.out.send(Out::Text(request)).await;
        match sent {
            Ok(()) if self.is_alive() => Ok(answers),
            _ => Err(self.gone().error()),
        }
    }

    /// All events of a run from now on, or of no run where it is `None`.
    pub(crate) fn follow(&self, run: Option<&str>) -> Events {
        let (sender, receiver) = mailbox(FRAMES);
        let mut waiting = self.table.lock();
        // What has ended tells nothing more: the sender is dropped here, or was cleared.
        if self.is_alive() && self.table.gone.get().is_none() {
            match run {
                Some(run) => drop(waiting.runs.insert(run.to_owned(), sender)),
                None => waiting.others = Some(sender),
            }
        }
        Events { run: run.map(str::to_owned), receiver, table: Arc::clone(&self.table) }
    }
}

/// The answers to one request.
#[derive(Debug)]
pub(crate) struct Answers {
    id: String,
    receiver: Mailbox,
    table: Arc<Table>,
}

impl Answers {
    /// The next one; none when the connection has ended. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Text> {
        self.receiver.next().await
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.table.lock().answers.remove(&self.id);
    }
}

/// Events of one run.
#[derive(Debug)]
pub(crate) struct Events {
    run: Option<String>,
    receiver: Mailbox,
    table: Arc<Table>,
}

impl Events {
    /// The next one; none when the connection has ended. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Text> {
        self.receiver.next().await
    }

    /// One that is there already.
    pub(crate) fn now(&mut self) -> Option<Text> {
        self.receiver.now()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            self.table.lock().runs.remove(run);
        }
    }
}

/// Reads and writes until either fails. Reading never waits for writing.
async fn serve(
    mut writer: Writer,
    mut reader: Reader,
    table: Arc<Table>,
    mut queue: mpsc::Receiver<Out>,
    out: mpsc::WeakSender<Out>,
    tick: Duration,
) -> Gone {
    let writing = async {
        while let Some(next) = queue.recv().await {
            let written = async {
                match next {
                    Out::Text(text) => writer.send(text).await,
                    Out::Ping => writer.ping().await,
                }
            };
            match timeout(WRITING, written).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => {
                    return Gone {
                        kind: ErrorKind::Io,
                        why: "the gateway reads nothing any more".to_owned(),
                    };
                }
            }
        }
        writer.close().await;
        Gone { kind: ErrorKind::Closed, why: "the connection was closed".to_owned() }
    };
    let reading = async {
        let mut was_asked = false;
        loop {
            match timeout(tick, reader.next()).await {
                Ok(Ok(socket::Frame::Text(text))) => table.hand_out(&text),
                Ok(Ok(socket::Frame::Alive)) => {}
                Ok(Ok(socket::Frame::Binary(_))) => {
                    return Gone {
                        kind: ErrorKind::Protocol,
                        why: "the gateway sends something that is no text".to_owned(),
                    };
                }
                Ok(Err(error)) => return error.into(),
                // Two ticks without a word, the second after it was asked for a sign of life.
                Err(_) if was_asked => {
                    return Gone { kind: ErrorKind::Io, why: "the gateway has fallen silent".to_owned() };
                }
                Err(_) => {
                    was_asked = true;
                    if let Some(out) = out.upgrade() {
                        let _ = out.try_send(Out::Ping);
                    }
                    continue;
                }
            }
            was_asked = false;
        }
    };
    tokio::select! { gone = writing => gone, gone = reading => gone }
}
