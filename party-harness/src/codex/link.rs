//! One connection to a server: requests and their answers, and what threads are told.
//!
//! ```text
//! request ──> out ──> writer task          reader task ──> answer ──> whoever asked
//!                                                      ├─> inbox of the thread
//!                                                      └─> an error, to a question that nobody hears
//! ```
//!
//! The reader never waits: a thread that is not read is given up before it holds up the others.

use super::{
    codec::{Frame, is_delta, one_line},
    inbox::{Inbox, Sender, inbox},
    setup::Setup,
    wire::{Listener, Speaker, Text},
};
use crate::{Error, ErrorKind, RawJson, jsonl::view::Json, socket::SocketError};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How many messages may wait to be sent.
const OUT: usize = 256;

/// How many requests may be unanswered at once; a server that has more refuses some.
const IN_FLIGHT: usize = 64;

/// The server's word for having too much to do.
const OVERLOADED: i64 = -32001;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection went.
    Lost(String),
    /// There was no answer for so long.
    Late(&'static str, Duration),
    /// The server refused.
    Refused { method: &'static str, code: i64, why: String },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "the connection to codex went: {why}"),
            Self::Late(method, patience) => {
                write!(f, "codex does not answer `{method}` within {} ms", patience.as_millis())
            }
            Self::Refused { method, code, why } => write!(f, "codex refuses `{method}` ({code}): {why}"),
        }
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        let kind = match trouble {
            Trouble::Lost(_) => ErrorKind::Io,
            Trouble::Late(..) => ErrorKind::Protocol,
            Trouble::Refused { code: -32602, .. } => ErrorKind::Invalid,
            Trouble::Refused { .. } => ErrorKind::Launch,
        };
        Self::new(kind, trouble.to_string())
    }
}

type Reply = Result<RawJson, (i64, String)>;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    out: mpsc::Sender<String>,
    next: AtomicU64,
    gate: Semaphore,
    patience: Duration,
    /// Tells it from those before and after.
    pub(super) generation: u64,
    _tasks: [AbortOnDropHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Reply>>>,
    inboxes: Mutex<BTreeMap<String, Sender>>,
    gone: CancellationToken,
    end: OnceLock<(String, bool)>,
    /// How much may wait for a turn that is not read: more than one message may be large.
    most_held: usize,
}

impl Link {
    pub(super) fn new((mut speaker, listener): (Speaker, Listener), generation: u64, setup: &Setup) -> Self {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            inboxes: Mutex::default(),
            gone: CancellationToken::new(),
            end: OnceLock::new(),
            most_held: setup.frame_limit.saturating_mul(2),
        });
        let (out, mut texts) = mpsc::channel::<String>(OUT);
        let writes = Arc::clone(&shared);
        let writing = async move {
            while let Some(text) = texts.recv().await {
                if let Err(error) = speaker.send(text).await {
                    return writes.end(&error);
                }
            }
            speaker.close().await;
        };
        let reading = read(listener, Arc::clone(&shared), out.downgrade());
        let tasks = [tokio::spawn(writing), tokio::spawn(reading)].map(AbortOnDropHandle::new);
        let gate = Semaphore::new(IN_FLIGHT);
        Self {
            shared,
            out,
            next: AtomicU64::new(1),
            gate,
            patience: setup.limits.request,
            generation,
            _tasks: tasks,
        }
    }

    /// Done when the connection is gone.
    pub(super) fn gone(&self) -> &CancellationToken {
        &self.shared.gone
    }

    /// Why it is gone, and whether another connection may do.
    pub(super) fn end(&self) -> (String, bool) {
        self.shared.end.get().cloned().unwrap_or_else(|| ("it was given up".to_owned(), true))
    }

    /// Gives it up.
    pub(super) fn break_off(&self) {
        self.shared.gone.cancel();
        lock(&self.shared.waiting).clear();
        lock(&self.shared.inboxes).clear();
    }

    /// Hears what a thread is told from now on; whoever heard it before hears nothing more.
    pub(super) fn hear(&self, thread: &str) -> Inbox {
        let (sender, inbox) = inbox(self.shared.most_held);
        lock(&self.shared.inboxes).insert(thread.to_owned(), sender);
        inbox
    }

    /// The thread is not needed any more: the server may unload it.
    pub(super) fn forget(&self, thread: &str) {
        lock(&self.shared.inboxes).remove(thread);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let params = json!({ "threadId": thread });
        // Nobody waits for the answer; a server that is that busy keeps the thread.
        let _ = self
            .out
            .try_send(json!({"method": "thread/unsubscribe", "id": id, "params": params}).to_string());
    }

    /// Asks, and waits for the answer. Asks again where the server has too much to do. Safe to cancel;
    /// what was asked for may be done then.
    pub(super) async fn request(&self, method: &'static str, params: Value) -> Result<RawJson, Trouble> {
        let end = Instant::now() + self.patience;
        let mut pause = Duration::from_millis(50);
        loop {
            match self.once(method, &params, end).await {
                Err(Trouble::Refused { code: OVERLOADED, .. }) if Instant::now() + pause < end => {
                    // No two of those who were refused together ask again together.
                    let spread = self.next.load(Ordering::Relaxed) % 50;
                    sleep(pause + Duration::from_millis(spread)).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
    }

    async fn once(&self, method: &'static str, params: &Value, end: Instant) -> Result<RawJson, Trouble> {
        let late = |_| Trouble::Late(method, self.patience);
        let _permit = timeout_at(end, self.gate.acquire()).await.map_err(late)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.shared.waiting).insert(id, sender);
        let asked = Asked(&self.shared, id);
        let text = json!({"method": method, "id": id, "params": params}).to_string();
        let answer = async {
            if self.shared.gone.is_cancelled() || self.out.send(text).await.is_err() {
                return Err(Trouble::Lost(self.end().0));
            }
            match receiver.await {
                Ok(Ok(result)) => Ok(result),
                Ok(Err((code, why))) => Err(Trouble::Refused { method, code, why: one_line(&why) }),
                Err(_) => Err(Trouble::Lost(self.end().0)),
            }
        };
        let answer = timeout_at(end, answer).await.map_err(late)?;
        drop(asked);
        answer
    }

    /// Tells the server something that it does not answer.
    pub(super) async fn notify(&self, method: &str) {
        let _ = self.out.send(json!({ "method": method }).to_string()).await;
    }

    /// Answers a question of the server. Never waits: a server that reads nothing is given up.
    pub(super) fn answer(&self, id: &RawJson, answer: &Answer) {
        if self.out.try_send(answer.text(id)).is_err() {
            self.break_off();
        }
    }
}

/// What a server's question is answered by.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Result(Value),
    Unsupported,
    Error(&'static str),
}

impl Answer {
    fn text(&self, id: &RawJson) -> String {
        let body = match self {
            Self::Result(value) => format!("\"result\":{value}"),
            Self::Unsupported => r#""error":{"code":-32601,"message":"unsupported"}"#.to_owned(),
            Self::Error(why) => format!("\"error\":{}", json!({"code": -32000, "message": why})),
        };
        format!("{{\"id\":{},{body}}}", id.get())
    }
}

/// A request whose answer is awaited.
struct Asked<'a>(&'a Shared, u64);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).remove(&self.1);
    }
}

async fn read(mut listener: Listener, shared: Arc<Shared>, out: mpsc::WeakSender<String>) {
    loop {
        match listener.next().await {
            Ok(Some(text)) => {
                if let Some(unheard) = shared.take(text)
                    && let Some(out) = out.upgrade()
                    && out.try_send(unheard).is_err()
                {
                    return shared.end(&SocketError::Protocol("it reads no answers".to_owned()));
                }
            }
            Ok(None) => tracing::warn!("codex sent something that is no text"),
            Err(error) => return shared.end(&error),
        }
    }
}

impl Shared {
    fn end(&self, error: &SocketError) {
        let _ = self.end.set((error.to_string(), error.may_pass()));
        self.gone.cancel();
        lock(&self.waiting).clear();
        lock(&self.inboxes).clear();
    }

    /// Passes a message on; gives the answer to a question that nobody hears.
    fn take(&self, text: Text) -> Option<String> {
        let Some(frame) = Frame::read(&text) else {
            tracing::warn!(bytes = text.len(), "codex sent something that is no message");
            return None;
        };
        let thread = frame.params.thread_id.and_then(Json::string);
        match (frame.method(), frame.id) {
            (None, Some(id)) => {
                self.answered(id, &frame);
                None
            }
            (Some(method), id) => {
                let is_beat = is_delta(method) && id.is_none();
                let question = id.map(RawJson::from);
                // A retry that is announced again and again is no sign of life.
                let lives = method != "error";
                let heard = thread.is_some_and(|thread| self.tell(&thread, is_beat, lives, text.clone()));
                question.filter(|_| !heard).map(|id| Answer::Unsupported.text(&id))
            }
            (None, None) => None,
        }
    }

    fn answered(&self, id: Json<'_>, frame: &Frame<'_>) {
        let Some(asked) = id.u64().and_then(|id| lock(&self.waiting).remove(&id)) else { return };
        let reply = match frame.error {
            Some(error) => {
                let error = error.fields();
                let why = error.get("message").and_then(Json::string).unwrap_or_default();
                Err((error.get("code").and_then(Json::i64).unwrap_or_default(), why))
            }
            None => Ok(frame.result.map_or_else(RawJson::null, RawJson::from)),
        };
        let _ = asked.send(reply);
    }

    /// Whether somebody hears what the thread is told.
    fn tell(&self, thread: &str, is_beat: bool, lives: bool, text: Text) -> bool {
        let mut inboxes = lock(&self.inboxes);
        let Some(sender) = inboxes.get(thread) else { return false };
        if lives {
            sender.lives();
        }
        if is_beat || sender.send(text) {
            return true;
        }
        inboxes.remove(thread);
        false
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
