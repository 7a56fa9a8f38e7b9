//! How a turn begins: the thread that it runs in, and what it is told.

use super::{Heard, Order, Started, abandon::Asked, stop::AGAIN};
use crate::{
    Error, ErrorKind, RawJson, Result,
    codex::{
        codec::TurnView,
        inbox::Inbox,
        link::{Link, Trouble},
        server::blocking,
        token::{Token, Trace, message_id, turn_id},
    },
    core::{ModelMessage, Sent, as_one_prompt},
    jsonl::view::Json,
    session::closed,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How often a turn is begun whose connection goes.
const TRIES: u32 = 3;

/// What to go on with where the host does not say.
const GO_ON: &str = "Your last turn was cut off. Go on where you stopped.";

/// How many turns of a thread are looked at for one that was cut off.
pub(in crate::codex) const LOOKED_AT: u32 = 8;

/// A thread with which a turn can begin.
struct Ready {
    thread: String,
    inbox: Inbox,
    /// It remembers the turns before.
    remembers: bool,
}

/// What a turn can be asked for with, or the turn that was asked for already.
enum Prepared {
    Ready { link: Arc<Link>, ready: Ready, text: String, sent: Sent },
    Found(Started),
}

/// Why a turn did not begin.
pub(super) enum Stumble {
    /// The connection went: another may do.
    Lost(Trouble),
    /// The server does not answer.
    Late(Trouble),
    Fatal(Error),
}

impl From<Trouble> for Stumble {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Lost(_) => Self::Lost(trouble),
            Trouble::Late(..) => Self::Late(trouble),
            trouble => Self::Fatal(trouble.into()),
        }
    }
}

impl From<Error> for Stumble {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl Order {
    /// Starts the turn. Nothing is sent to a model where it fails and `asked` is none. A connection that
    /// goes meanwhile, as that of a server that was just killed, is made again. A stop ends it.
    pub(super) async fn begin(&self, asked: &mut Option<Asked>) -> Result<Started> {
        let end = Instant::now() + self.inner.hub.setup.limits.reconnect;
        let mut lost = None;
        for _ in 0..TRIES {
            let tried = Box::pin(self.once(asked));
            let tried = if lost.is_none() { Ok(tried.await) } else { timeout_at(end, tried).await };
            match tried {
                Ok(Ok(started)) => return Ok(started),
                Ok(Err(Stumble::Fatal(error))) => return Err(error),
                Ok(Err(Stumble::Late(trouble))) => return Err(trouble.into()),
                Ok(Err(Stumble::Lost(trouble))) => lost = Some(trouble),
                Err(_) => break,
            }
        }
        Err(lost.unwrap_or_else(|| Trouble::Lost("it goes again and again".to_owned())).into())
    }

    async fn once(&self, asked: &mut Option<Asked>) -> Result<Started, Stumble> {
        let prepared = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(closed().into()),
            prepared = self.prepared(asked.is_some()) => prepared?,
        };
        let (link, ready, text, sent) = match prepared {
            Prepared::Found(started) => return Ok(started),
            Prepared::Ready { link, ready, text, sent } => (link, ready, text, sent),
        };
        if link.gone().is_cancelled() {
            return Err(Stumble::Lost(Trouble::Lost(link.end().0)));
        }
        let before = asked.replace(Asked { generation: link.generation, sent, is_over: false });
        let said = tokio::select! {
            said = self.start(&link, &ready.thread, &text) => said,
            () = self.out_of_time() => return Err(closed().into()),
        };
        let turn = match said {
            Ok(said) => Json::read(said.get()).and_then(|said| said.field("turn")?.field("id")?.string()),
            Err(trouble) => {
                if matches!(trouble, Trouble::Refused { .. }) {
                    *asked = before;
                }
                let is_over = self.inner.hub.late(&trouble, link.generation).await;
                asked.iter_mut().for_each(|asked| asked.is_over = is_over);
                return Err(trouble.into());
            }
        };
        let turn = turn.ok_or_else(|| strange("turn/start"))?;
        let Ready { thread, inbox, .. } = ready;
        Ok(Started { link, inbox, thread, turn, sent, heard: Heard::FromStart })
    }

    /// All that comes before the turn is asked for; it may be given up anywhere.
    async fn prepared(&self, is_asked: bool) -> Result<Prepared, Stumble> {
        let inner = &self.inner;
        let is_fit = |token: &Token| token.shape == self.shape.hash();
        let (told, cut_off) = (inner.token(), self.cut_off());
        let is_cut_off = told.is_none() && cut_off.is_some();
        let known = told.or(cut_off).filter(is_fit);
        // What cannot be told is found out before anything is started.
        let full = if known.is_none() || is_cut_off { Some(self.full().await?) } else { None };
        let link = inner.hub.link(&inner.spec.env).await?;
        let prepared = async {
            if is_asked && let Some(started) = self.found(&link).await? {
                return Ok(Prepared::Found(started));
            }
            let ready = self.ready(&link, known).await?;
            let (text, sent) = match (ready.remembers, full) {
                (true, None) => (self.news(&link, &ready.thread).await?, Sent::Delta),
                (true, Some(_)) if self.has_message(&link, &ready.thread).await? => {
                    (self.go_on(), Sent::Delta)
                }
                (_, Some(full)) => (full, Sent::Full),
                (false, None) => (self.full().await?, Sent::Full),
            };
            self.trace(&ready.thread).await?;
            Ok(Prepared::Ready { link: Arc::clone(&link), ready, text, sent })
        };
        let prepared = prepared.await;
        if let Err(Stumble::Late(trouble)) = &prepared {
            inner.hub.late(trouble, link.generation).await;
        }
        prepared
    }

    /// The thread of an earlier attempt at this turn whose host died before it could keep the token.
    fn cut_off(&self) -> Option<Token> {
        let (key, trace) = (self.request.key, self.inner.trace()?);
        let is_own = key.attempt > 1 && (trace.key.session, trace.key.turn) == (key.session, key.turn);
        is_own.then(|| Token::new(self.inner.place.clone(), trace.thread, trace.shape))
    }

    /// The turn, where the server was asked for it and its answer did not come.
    pub(super) async fn found(&self, link: &Arc<Link>) -> Result<Option<Started>, Stumble> {
        let Some(trace) = self.inner.trace().filter(|trace| trace.key == self.request.key) else {
            return Ok(None);
        };
        let listed = match turns(link, &trace.thread, LOOKED_AT).await {
            Ok(listed) => listed,
            Err(Trouble::Refused { .. }) => return Ok(None),
            Err(trouble) => return Err(trouble.into()),
        };
        let own = listed.into_iter().find(|turn| turn.message.as_ref() == Some(&trace.message));
        let inbox = link.hear(&trace.thread);
        Ok(own.map(|own| Started {
            link: Arc::clone(link),
            inbox,
            thread: trace.thread,
            turn: own.id,
            sent: if self.inner.token().is_some() { Sent::Delta } else { Sent::Full },
            heard: Heard::Nothing,
        }))
    }

    /// The session's thread, loaded; a new one where there is none that fits.
    async fn ready(&self, link: &Arc<Link>, known: Option<Token>) -> Result<Ready, Stumble> {
        if let Some(token) = known {
            let inbox = link.hear(&token.thread);
            let thread = token.thread.clone();
            if self.inner.is_loaded(link) {
                return Ok(Ready { thread, inbox, remembers: true });
            }
            match self.resume(link, &thread).await {
                Ok(status) if status != "active" || self.quiet(link, &thread).await? => {
                    self.inner.remember(Some(token), Some(link));
                    return Ok(Ready { thread, inbox, remembers: true });
                }
                // A message would be told to the turn that runs in it.
                Ok(_) => {
                    link.forget(&thread);
                    self.inner.remember(None, None);
                }
                // It is not there any more: its folder is another, or was emptied.
                Err(Trouble::Refused { .. }) => self.inner.remember(None, None),
                Err(trouble) => return Err(trouble.into()),
            }
        }
        let params = self.shape.start(&self.inner.hub.setup, &self.inner.spec, &self.foreign(link).await?);
        let said = link.request("thread/start", params).await?;
        let thread = Json::read(said.get()).and_then(|said| said.field("thread")?.field("id")?.string());
        let thread = thread.ok_or_else(|| strange("thread/start"))?;
        let inbox = link.hear(&thread);
        Ok(Ready { thread, inbox, remembers: false })
    }

    /// Ends a turn that still runs in the thread; whether that is over.
    async fn quiet(&self, link: &Link, thread: &str) -> Result<bool, Trouble> {
        let quiet = async {
            loop {
                for turn in turns(link, thread, LOOKED_AT).await?.iter().filter(|turn| turn.runs()) {
                    let params = json!({"threadId": thread, "turnId": turn.id});
                    match link.request("turn/interrupt", params).await {
                        // It is over, or takes no interrupt yet.
                        Ok(_) | Err(Trouble::Refused { .. }) => {}
                        Err(trouble) => return Err(trouble),
                    }
                }
                if self.resume(link, thread).await? != "active" {
                    return Ok(true);
                }
                sleep(AGAIN).await;
            }
        };
        match timeout(self.inner.hub.setup.limits.stop, quiet).await {
            Ok(Err(Trouble::Refused { .. })) | Err(_) => Ok(false),
            Ok(done) => done,
        }
    }

    /// Loads a thread with all that it needs; gives what it does.
    pub(in crate::codex) async fn resume(&self, link: &Link, thread: &str) -> Result<String, Trouble> {
        let foreign = self.foreign(link).await?;
        let params = self.shape.resume(&self.inner.hub.setup, &self.inner.spec, &foreign, thread);
        let said = link.request("thread/resume", params).await?;
        let status = Json::read(said.get()).and_then(|said| said.field("thread")?.field("status"));
        Ok(status.and_then(|status| status.field("type")?.string()).unwrap_or_default())
    }

    /// The names of the MCP servers that the server's own configuration has, and that of the seat's
    /// folder. None of them is for a party.
    async fn foreign(&self, link: &Link) -> Result<Vec<String>, Trouble> {
        let params = json!({"includeLayers": false, "cwd": self.inner.spec.cwd});
        let said = link.request("config/read", params).await?;
        let config = Json::read(said.get()).and_then(|said| said.field("config"));
        let servers = config.and_then(|config| config.field("mcp_servers"));
        let servers = servers.map(Json::fields).unwrap_or_default();
        Ok(servers.iter().map(|(name, _)| name.to_owned()).collect())
    }

    async fn start(&self, link: &Link, thread: &str, text: &str) -> Result<RawJson, Trouble> {
        let params = json!({
            "threadId": thread,
            "input": input(text),
            "clientUserMessageId": message_id(&self.inner.spec, self.request.key),
            "approvalPolicy": if self.request.ask { "untrusted" } else { "never" },
        });
        link.request("turn/start", params).await
    }

    async fn full(&self) -> Result<String> {
        told(&self.request.full.load().await?)
    }

    /// What a thread that remembers is told: how to go on, where it has the turn's message already.
    async fn news(&self, link: &Link, thread: &str) -> Result<String, Stumble> {
        if self.request.key.attempt > 1 && self.has_message(link, thread).await? {
            return Ok(self.go_on());
        }
        Ok(told(&self.request.delta)?)
    }

    fn go_on(&self) -> String {
        self.request.continuation.clone().unwrap_or_else(|| GO_ON.to_owned())
    }

    async fn has_message(&self, link: &Link, thread: &str) -> Result<bool, Trouble> {
        let begins = turn_id(&self.inner.spec, self.request.key.turn);
        let turns = turns(link, thread, LOOKED_AT).await?;
        Ok(turns.iter().any(|turn| turn.message.as_ref().is_some_and(|id| id.starts_with(&begins))))
    }

    async fn trace(&self, thread: &str) -> Result<()> {
        let message = message_id(&self.inner.spec, self.request.key);
        let trace =
            Trace { key: self.request.key, thread: thread.to_owned(), shape: self.shape.hash(), message };
        if self.inner.trace().as_ref() == Some(&trace) {
            return Ok(());
        }
        let (spec, written) = (self.inner.spec.clone(), trace.clone());
        blocking(move || written.write(&spec)).await?;
        self.inner.traced(trace);
        Ok(())
    }
}

/// A turn as a server lists it.
#[derive(Debug)]
pub(in crate::codex) struct Listed {
    pub(in crate::codex) id: String,
    /// The id of its message.
    pub(in crate::codex) message: Option<String>,
    /// All of it.
    pub(in crate::codex) json: String,
}

impl Listed {
    fn runs(&self) -> bool {
        let view = serde_json::from_str::<TurnView<'_>>(&self.json);
        view.is_ok_and(|view| view.status() == Some("inProgress"))
    }
}

/// The last turns of a thread, the latest first.
pub(in crate::codex) async fn turns(link: &Link, thread: &str, most: u32) -> Result<Vec<Listed>, Trouble> {
    let params = json!({"threadId": thread, "limit": most, "sortDirection": "desc", "itemsView": "full"});
    let said = link.request("thread/turns/list", params).await?;
    let turns = Json::read(said.get()).and_then(|said| said.field("data")?.items()).unwrap_or_default();
    let listed = |turn: Json<'_>| {
        let items = turn.field("items").and_then(Json::items).unwrap_or_default();
        let message = items.into_iter().find_map(|item| item.field("clientId")?.string());
        Some(Listed { id: turn.field("id")?.string()?, message, json: turn.get().to_owned() })
    };
    Ok(turns.into_iter().filter_map(listed).collect())
}

pub(super) fn input(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

fn told(messages: &[ModelMessage]) -> Result<String> {
    let text = as_one_prompt(messages);
    if text.trim().is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the turn has nothing to tell the agent"));
    }
    Ok(text)
}

fn strange(method: &str) -> Error {
    Error::new(ErrorKind::Protocol, format!("codex answers `{method}` without a name"))
}
