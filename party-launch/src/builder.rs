//! Building a party: who sits in it, what runs them, where it is stored.

use crate::{
    Error, ErrorKind, Party, Result, base_environment,
    driver::{Driver, LEASE_TERM, Parts, Status, recover},
    log::{Log, fold, message, now},
    mcp::McpServer,
    seat::{RuntimeState, SeatRuntime},
};
use party_bus::{Bus, Lease, LeaseOp, Owner};
use party_core::{
    Author, BudgetTerms, Document, NewRecord, Op, SeatId, SeatSpec, SessionId, SessionOpened, ThreadId,
    ThreadKind, Usd,
};
use party_formats::{ENGINE_VERSION, Engine, Format, Member, check, check_budget};
use party_harness::{Harness, ResumeToken, ToolDoor};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// So many requests may wait for the driver; whoever asks beyond that waits.
const REQUESTS: usize = 256;

/// A participant of a party that is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// The agent's name, unique in the party without regard to case.
    pub name: String,
    /// Its role in the format.
    pub role: String,
    /// Its own system prompt; the role's stands behind it.
    pub prompt: String,
    /// The harness that runs it; where absent the only one there is.
    pub harness: Option<String>,
    /// The model that it asks for; the runtime's default where absent.
    pub model: Option<String>,
}

impl Seat {
    /// A seat without a prompt of its own.
    pub fn new(name: impl Into<String>, role: impl Into<String>) -> Self {
        Self { name: name.into(), role: role.into(), prompt: String::new(), harness: None, model: None }
    }

    /// The same seat with a system prompt.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// The same seat, run by the harness of this name.
    #[must_use]
    pub fn harness(mut self, harness: impl Into<String>) -> Self {
        self.harness = Some(harness.into());
        self
    }

    /// The same seat with a model.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

/// Gathers what a party needs; then [`start`](Self::start) begins a session, or
/// [`resume`](Self::resume) goes on with one.
#[derive(Debug)]
pub struct PartyBuilder {
    bus: Arc<dyn Bus>,
    harnesses: BTreeMap<String, Arc<dyn Harness>>,
    folder: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    author: Author,
    format: Option<Format>,
    seats: Vec<Seat>,
    budget: Option<BudgetTerms>,
}

impl PartyBuilder {
    pub(crate) fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            harnesses: BTreeMap::new(),
            folder: None,
            environment: base_environment::<&str>(&[]),
            author: Author::human("you"),
            format: None,
            seats: Vec::new(),
            budget: None,
        }
    }

    /// Adds a harness under its own name.
    #[must_use]
    pub fn harness(mut self, harness: impl Harness) -> Self {
        self.harnesses.insert(harness.info().name.clone(), Arc::new(harness));
        self
    }

    /// Where agents have their folders; a folder for the session is made in it. A folder in the
    /// system's temporary folder where it is not set.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The whole environment of the runtimes; [`base_environment`] where it is not set.
    #[must_use]
    pub fn environment(mut self, environment: BTreeMap<String, String>) -> Self {
        self.environment = environment;
        self
    }

    /// Who speaks through this handle; a person called `you` where it is not set.
    #[must_use]
    pub fn author(mut self, author: Author) -> Self {
        self.author = author;
        self
    }

    /// The format; the forum where it is not set.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Adds a seat; the order of seats is roster order.
    #[must_use]
    pub fn seat(mut self, seat: Seat) -> Self {
        self.seats.push(seat);
        self
    }

    /// What the session may spend; without it there is no limit. Reservations never exceed `cap`.
    /// Each turn sets aside `per_turn`, or an equal part of the cap where that is `None`.
    #[must_use]
    pub const fn budget(mut self, cap: Usd, per_turn: Option<Usd>) -> Self {
        self.budget = Some(BudgetTerms { cap, per_turn });
        self
    }

    /// Starts a session with its first message. When this returns, both are stored.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] and [`ErrorKind::Invalid`] before anything is written; then
    /// [`ErrorKind::Bus`] and [`ErrorKind::Io`].
    pub async fn start(mut self, question: &str) -> Result<Party> {
        if question.trim().is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the first message is empty"));
        }
        let session = SessionId::from_uuid(Uuid::now_v7());
        let genesis = self.genesis(session)?;
        let lease = self.acquire(session).await?;
        let mut log = Log::new(Arc::clone(&self.bus), Engine::new(session), self.author.clone(), lease);
        log.commit(vec![genesis, message(&self.author, question)]).await?;
        self.drive(log, false).await
    }

    /// Goes on with a session whose driver is gone: what was said stays said, what ran is run
    /// again. A session that is closed is only read.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Busy`] where another process drives it,
    /// [`ErrorKind::Harness`] where a runtime of its seats is not there,
    /// [`ErrorKind::Invalid`] where the builder was given a format, seats or a budget: those belong
    /// to the session.
    pub async fn resume(self, session: SessionId) -> Result<Party> {
        if self.format.is_some() || !self.seats.is_empty() || self.budget.is_some() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a session that is resumed keeps its format, seats and budget",
            ));
        }
        let engine = fold(self.bus.as_ref(), session).await?;
        if engine.closed().is_some() {
            return Ok(Party::closed(self.bus, session, &engine));
        }
        let lease = self.acquire(session).await?;
        if let Err(error) = self.probe(&engine).await {
            let (session, fencing_token) = (lease.session, lease.fencing_token);
            self.bus.lease(LeaseOp::Release { session, fencing_token }).await?;
            return Err(error);
        }
        // The last driver may have written until its lease went over to us.
        let engine = fold(self.bus.as_ref(), session).await?;
        let log = Log::new(Arc::clone(&self.bus), engine, self.author.clone(), lease);
        self.drive(log, true).await
    }

    /// Without its runtimes a session would go on with everybody absent, and that cannot be undone.
    async fn probe(&self, engine: &Engine) -> Result<()> {
        let names: BTreeSet<&String> = engine.seats().iter().map(|seat| &seat.harness).collect();
        for harness in names.into_iter().filter_map(|name| self.harnesses.get(name)) {
            harness.probe().await.map_err(|error| {
                let context = format!("harness `{}` cannot run", harness.info().name);
                Error::caused(ErrorKind::Harness, context, error)
            })?;
        }
        Ok(())
    }

    async fn drive(self, mut log: Log, resumed: bool) -> Result<Party> {
        let seats = self.runtimes(&log).await?;
        if resumed {
            recover(&mut log, &seats, Owner::this_process().to_string()).await?;
        }
        let mcp = self.tool_server(&seats).await?;
        let (requests, status, drain) =
            (mpsc::channel(REQUESTS), watch::Sender::new(Status::default()), CancellationToken::new());
        let handle = Party::running(
            Arc::clone(&self.bus),
            log.session(),
            self.author,
            requests.0.downgrade(),
            status.subscribe(),
            drain.clone(),
        );
        let harnesses = self.harnesses.into_values().collect();
        let driver = Driver::new(Parts { log, seats, harnesses, mcp, requests, status, drain });
        Ok(handle.driven_by(tokio::spawn(driver.run())))
    }

    async fn tool_server(&self, seats: &[Arc<SeatRuntime>]) -> Result<Option<Arc<McpServer>>> {
        if !seats.iter().any(|seat| seat.harness.info().capabilities.tools == ToolDoor::McpHttp) {
            return Ok(None);
        }
        let server = McpServer::start().await;
        let server = server.map_err(|error| {
            Error::caused(ErrorKind::Io, "cannot listen on 127.0.0.1 for the agents' tools", error)
        })?;
        Ok(Some(Arc::new(server)))
    }

    async fn acquire(&self, session: SessionId) -> Result<Lease> {
        let acquire = LeaseOp::Acquire { session, owner: Owner::this_process(), term: LEASE_TERM };
        let lease = self.bus.lease(acquire).await?;
        lease.ok_or_else(|| {
            Error::new(ErrorKind::Busy, format!("session {session} is driven by another process"))
        })
    }

    /// The record that opens the session; prompts and the format are items of it.
    fn genesis(&mut self, session: SessionId) -> Result<NewRecord> {
        let format = self.format.take().unwrap_or_default();
        let team: Vec<Member> = self.seats.iter().map(|seat| Member::new(&seat.name, &seat.role)).collect();
        check(&format, &team)?;
        if let Some(terms) = &mut self.budget {
            terms.per_turn = Some(check_budget(&format, &team, *terms)?);
        }
        let stored = serde_json::to_string(&format)
            .map_err(|error| Error::caused(ErrorKind::Invalid, "the format cannot be stored", error))?;
        let (document, item) = Document::new(stored);
        let thread = |index: usize| ThreadId::derive(&[session.as_bytes(), &(index as u64).to_be_bytes()]);
        let mut items = BTreeMap::from([(item.id, item)]);
        let mut specs = Vec::with_capacity(self.seats.len());
        for (index, seat) in self.seats.iter().enumerate() {
            let (prompt, item) = Document::new(system_prompt(seat, &format));
            items.insert(item.id, item);
            specs.push(SeatSpec {
                name: checked_name(&seat.name)?,
                role: seat.role.clone(),
                thread: thread(index + 1),
                prompt,
                harness: self.harness_of(seat)?,
                model: seat.model.clone(),
            });
        }
        let opened = SessionOpened {
            min_engine: ENGINE_VERSION,
            format_name: format.name.clone(),
            format: document,
            feed: thread(0),
            seats: specs,
            budget: self.budget,
        };
        Ok(opening(opened, items.into_values()))
    }

    fn harness_of(&self, seat: &Seat) -> Result<String> {
        let known = || self.harnesses.keys().cloned().collect::<Vec<_>>().join(", ");
        match &seat.harness {
            Some(name) if self.harnesses.contains_key(name) => Ok(name.clone()),
            Some(name) => Err(Error::new(
                ErrorKind::Invalid,
                format!("seat `{}` wants harness `{name}`; there are: {}", seat.name, known()),
            )),
            None => match self.harnesses.keys().next() {
                Some(only) if self.harnesses.len() == 1 => Ok(only.clone()),
                _ => Err(Error::new(
                    ErrorKind::Invalid,
                    format!("seat `{}` names no harness; there are: {}", seat.name, known()),
                )),
            },
        }
    }

    /// The seats' runtimes as the log names them; prompts come from the store.
    async fn runtimes(&self, log: &Log) -> Result<Vec<Arc<SeatRuntime>>> {
        let session = log.session();
        let folder = self
            .folder
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join("party"))
            .join(session.to_string());
        let mut seats = Vec::with_capacity(log.engine.seats().len());
        for (seat, spec) in (0..).map(SeatId).zip(log.engine.seats()) {
            let Some(harness) = self.harnesses.get(&spec.harness) else {
                let context = format!(
                    "seat `{}` runs on harness `{}`, which the party was not given",
                    spec.name, spec.harness
                );
                return Err(Error::new(ErrorKind::Invalid, context));
            };
            let prompt = self.bus.items(&[spec.prompt.item]).await?;
            let token =
                log.engine.binding(seat).map(|bound| bound.token.clone()).filter(|token| !token.is_null());
            seats.push(Arc::new(SeatRuntime {
                session,
                seat,
                name: spec.name.clone(),
                prompt: prompt.first().map(|item| item.text()).unwrap_or_default(),
                model: spec.model.clone(),
                harness: Arc::clone(harness),
                folder: folder.join(format!("{:02}", seat.0)),
                env: self.environment.clone(),
                state: Mutex::new(RuntimeState { token: token.map(ResumeToken), open: None }),
            }));
        }
        Ok(seats)
    }
}

fn system_prompt(seat: &Seat, format: &Format) -> String {
    let role = format.roles.get(&seat.role).map_or("", |role| role.prompt.trim());
    [format!("Your name is {}.", seat.name).as_str(), seat.prompt.trim(), role]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn checked_name(name: &str) -> Result<String> {
    if name.trim().is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        let context = format!(
            "`{}` is no name for a seat: 1 to 64 characters, none of them a control character",
            name.escape_debug()
        );
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(name.to_owned())
}

fn opening(opened: SessionOpened, items: impl Iterator<Item = party_core::Item>) -> NewRecord {
    let feed = Op::Open { thread: opened.feed, kind: ThreadKind::Feed };
    let private = opened.seats.iter().map(|seat| Op::Open { thread: seat.thread, kind: ThreadKind::Private });
    let ops: Vec<Op> = std::iter::once(feed).chain(private).collect();
    let mut record = NewRecord::new(now(), &opened.into());
    record.ops = ops;
    record.items = items.map(Arc::new).collect();
    record
}
