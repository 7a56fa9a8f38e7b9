//! Building a party: who sits in it, what runs them, where it is stored.

use crate::{
    Error, ErrorKind, HostTool, Party, Result, Seat, base_environment,
    capable::{Seated, check_capabilities, check_prices},
    driver::{Driver, Parts, Port, Status, recover},
    lease::Held,
    log::{Log, fold, message},
    mcp::McpServer,
    seat::{RuntimeState, SeatRuntime},
    tool::Toolbox,
};
use futures::FutureExt as _;
use party_bus::{Bus, Owner};
use party_core::{Author, BudgetTerms, SeatId, SeatSpec, SessionId, Usd};
use party_formats::{Engine, Format};
use party_harness::{Environment, Harness, ResumeToken, ToolDoor, ToolPort, Turn, TurnKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

/// So many requests may wait for the driver; whoever asks beyond that waits.
const REQUESTS: usize = 256;

/// Gathers what a party needs; then [`start`](Self::start) begins a session, or
/// [`resume`](Self::resume) goes on with one.
#[derive(Debug)]
pub struct PartyBuilder {
    bus: Arc<dyn Bus>,
    pub(crate) harnesses: BTreeMap<String, Arc<dyn Harness>>,
    /// A name that two harnesses were given.
    ambiguous: Option<String>,
    folder: Option<PathBuf>,
    environment: Environment,
    author: Author,
    pub(crate) format: Option<Format>,
    pub(crate) seats: Vec<Seat>,
    pub(crate) budget: Option<BudgetTerms>,
    allows_unknown_prices: bool,
    tools: Vec<Arc<dyn HostTool>>,
}

impl PartyBuilder {
    pub(crate) fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            harnesses: BTreeMap::new(),
            ambiguous: None,
            folder: None,
            environment: base_environment::<&str>(&[]).into(),
            author: Author::human("you"),
            format: None,
            seats: Vec::new(),
            budget: None,
            allows_unknown_prices: false,
            tools: Vec::new(),
        }
    }

    /// Adds a harness under its own name. One that several parties share goes in as an `Arc`; the
    /// party closes its own runtime sessions, and leaves those of others alone.
    #[must_use]
    pub fn harness(self, harness: impl Harness) -> Self {
        let name = harness.info().name.clone();
        self.harness_as(name, harness)
    }

    /// Adds a harness under another name, such as a second one of the same kind. Seats ask for it by
    /// this name, and a session is resumed with the names that it was started with. Two of one name
    /// are an error at the start.
    #[must_use]
    pub fn harness_as(mut self, name: impl Into<String>, harness: impl Harness) -> Self {
        let name = name.into();
        if self.harnesses.insert(name.clone(), Arc::new(harness)).is_some() {
            self.ambiguous = Some(name);
        }
        self
    }

    /// Adds a tool of the host. Agents are offered it in the turns whose intent lists its name. A session
    /// that is resumed needs every tool that it was started with; what else is given then is not used.
    #[must_use]
    pub fn tool(mut self, tool: impl HostTool) -> Self {
        self.tools.push(Arc::new(tool));
        self
    }

    /// Where agents have their folders; a folder for the session is made in it. A folder of the user's
    /// data, `~/.local/share/party/agents`, where it is not set.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The whole environment of the runtimes; [`base_environment`] where it is not set.
    #[must_use]
    pub fn environment(mut self, environment: impl Into<Environment>) -> Self {
        self.environment = environment.into();
        self
    }

    /// The person who speaks through this handle; one called `you` where it is not set. An agent speaks
    /// from its seat only, so that nobody can speak under its name.
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

    /// Lets seats run of which nobody knows what they cost: on a model that its harness has no price for,
    /// or, within a budget, on a harness that knows no costs. Each attempt is charged all that its turn
    /// has set aside then. Without this such a seat is refused, at the start and when a session is resumed.
    #[must_use]
    pub const fn allow_unknown_prices(mut self) -> Self {
        self.allows_unknown_prices = true;
        self
    }

    /// Starts a session with its first message. When this returns, both are stored.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], [`ErrorKind::Invalid`], [`ErrorKind::Unsupported`], [`ErrorKind::Price`],
    /// [`ErrorKind::Tool`] and [`ErrorKind::Harness`] before anything is written; then [`ErrorKind::Bus`] and
    /// [`ErrorKind::Io`].
    pub fn start(self, question: &str) -> impl Future<Output = Result<Party>> + Send {
        // Boxed here, the driver and its server are compiled here, and not anew in each host's own crate.
        self.begin(question).boxed()
    }

    async fn begin(mut self, question: &str) -> Result<Party> {
        if question.trim().is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the first message is empty"));
        }
        self.unambiguous()?;
        let session = SessionId::from_uuid(Uuid::now_v7());
        let tools = Toolbox::new(&self.tools)?;
        let genesis = self.genesis(session, &tools)?;
        let names = self.seats.iter().map(|seat| self.harness_of(seat)).collect::<Result<_>>()?;
        let mcp = self.ready(&names).await?;
        let held = Held::acquire(&self.bus, session).await?;
        let mut log = self.log(Engine::new(session), &held);
        let begun = log.commit(vec![genesis, message(&self.author, question)]).await;
        self.drive(log, held, (mcp, tools), begun.map(|_| false)).await
    }

    /// Goes on with a session whose driver is gone: what was said stays said, what ran is run
    /// again. A session that is closed is only read.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Busy`] where another process drives it,
    /// [`ErrorKind::NewerVersion`] where a newer version wrote it, [`ErrorKind::Harness`] where a
    /// runtime is not there, [`ErrorKind::Unsupported`] where one cannot hold what the format asks
    /// for, [`ErrorKind::Price`] where nobody knows what a seat costs, [`ErrorKind::Tool`] where a tool is
    /// missing that the session was started with: nothing is written then;
    /// [`ErrorKind::Invalid`] where the builder was given a format, seats or a budget: those belong
    /// to the session.
    pub fn resume(self, session: SessionId) -> impl Future<Output = Result<Party>> + Send {
        self.go_on(session).boxed()
    }

    async fn go_on(self, session: SessionId) -> Result<Party> {
        if self.format.is_some() || !self.seats.is_empty() || self.budget.is_some() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a session that is resumed keeps its format, seats and budget",
            ));
        }
        self.unambiguous()?;
        let engine = fold(self.bus.as_ref(), session).await?;
        if engine.closed().is_some() {
            return Ok(Party::closed(self.bus, session, &engine));
        }
        let tools = Toolbox::new(&self.tools)?;
        tools.holds_all_of(&engine)?;
        let names = engine.seats().iter().map(|seat| seat.harness.clone()).collect();
        let mcp = self.ready(&names).await?;
        let seats = engine.seats().iter();
        let seats = seats.map(|seat| Seated { name: &seat.name, role: &seat.role, harness: &seat.harness });
        engine.format().map_or(Ok(()), |format| check_capabilities(format, seats, &self.harnesses))?;
        self.check_prices(engine.seats(), engine.budget().is_some())?;
        let held = Held::acquire(&self.bus, session).await?;
        // The last driver may have written until its lease went over to us.
        let (engine, folded) = match fold(self.bus.as_ref(), session).await {
            Ok(engine) => (engine, Ok(true)),
            Err(error) => (engine, Err(error)),
        };
        let log = self.log(engine, &held);
        self.drive(log, held, (mcp, tools), folded).await
    }

    pub(crate) fn check_prices(&self, seats: &[SeatSpec], has_budget: bool) -> Result<()> {
        if self.allows_unknown_prices { Ok(()) } else { check_prices(seats, has_budget, &self.harnesses) }
    }

    fn unambiguous(&self) -> Result<()> {
        let Some(name) = &self.ambiguous else { return Ok(()) };
        let context = format!("two harnesses are named `{name}`; add one under another name");
        Err(Error::new(ErrorKind::Invalid, context))
    }

    /// Finds out whether all that a driver needs is there, and listens for tools, before anything is
    /// written: a session must not fail for want of a program.
    async fn ready(&self, names: &BTreeSet<String>) -> Result<Option<Arc<McpServer>>> {
        if !matches!(self.author, Author::Human { .. }) {
            let context = format!("`{}` is no person: only people speak through a handle", self.author);
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        self.agents_folder()?;
        let mut by_http = false;
        for name in names {
            let Some(harness) = self.harnesses.get(name) else {
                let context = format!("the session runs on harness `{name}`, which the party was not given");
                return Err(Error::new(ErrorKind::Invalid, context));
            };
            let probed = harness.probe().await;
            probed.map_err(|error| {
                Error::caused(ErrorKind::Harness, format!("harness `{name}` cannot run"), error)
            })?;
            by_http |= harness.info().capabilities.tools == ToolDoor::McpHttp;
        }
        if !by_http {
            return Ok(None);
        }
        let server = McpServer::start().await;
        let refused =
            |error| Error::caused(ErrorKind::Io, "cannot listen on 127.0.0.1 for the agents' tools", error);
        server.map(|server| Some(Arc::new(server))).map_err(refused)
    }

    fn log(&self, engine: Engine, held: &Held) -> Log {
        Log::new(Arc::clone(&self.bus), engine, self.author.clone(), held.lease().fencing_token)
    }

    /// Hands the session to a driver; where that fails, lets it go. `begun` is how far it came, and
    /// whether it is resumed.
    async fn drive(
        self,
        mut log: Log,
        held: Held,
        (mcp, tools): (Option<Arc<McpServer>>, Toolbox),
        begun: Result<bool>,
    ) -> Result<Party> {
        let requests = mpsc::channel(REQUESTS);
        let port = Arc::new(Port::new(&requests.0));
        let prepared = match begun {
            Ok(resumed) => self.prepare(&mut log, resumed, &port).await,
            Err(error) => Err(error),
        };
        let (seats, handed_over) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                held.release().await;
                return Err(error);
            }
        };
        let (status, drain) = (watch::Sender::new(Status::default()), CancellationToken::new());
        let handle = Party::running(
            Arc::clone(&self.bus),
            log.session(),
            self.author,
            requests.0.downgrade(),
            status.subscribe(),
            drain.clone(),
        );
        let parts = Parts { log, seats, mcp, tools, port, handed_over, requests, status, drain };
        let driver = Driver::new(parts);
        let span = tracing::info_span!("party", session = %handle.session());
        Ok(handle.driven_by(tokio::spawn(driver.run(held).instrument(span))))
    }

    /// The seats' runtimes, and the turns of the last driver that they handed over.
    async fn prepare(
        &self,
        log: &mut Log,
        resumed: bool,
        port: &Arc<Port>,
    ) -> Result<(Vec<Arc<SeatRuntime>>, BTreeMap<TurnKey, Turn>)> {
        let seats = self.runtimes(log).await?;
        if !resumed {
            return Ok((seats, BTreeMap::new()));
        }
        let port = Arc::clone(port) as Arc<dyn ToolPort>;
        let handed_over = recover(log, &seats, &port, Owner::this_process().to_string()).await?;
        Ok((seats, handed_over))
    }

    fn agents_folder(&self) -> Result<PathBuf> {
        let home =
            || self.environment.get("HOME").map(|home| PathBuf::from(home).join(".local/share/party/agents"));
        let folder = self.folder.clone().or_else(home).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "no folder for the agents: set one, or HOME in their environment")
        })?;
        // Agents work in folders of their own, from where a relative path leads elsewhere.
        std::path::absolute(&folder).map_err(|error| {
            Error::caused(ErrorKind::Io, format!("cannot locate {}", folder.display()), error)
        })
    }

    /// The seats' runtimes as the log names them; prompts come from the store.
    async fn runtimes(&self, log: &Log) -> Result<Vec<Arc<SeatRuntime>>> {
        let session = log.session();
        let folder = self.agents_folder()?.join(session.to_string());
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
                harness_name: spec.harness.clone(),
                harness: Arc::clone(harness),
                folder: folder.join(format!("{:02}", seat.0)),
                env: self.environment.clone(),
                state: Mutex::new(RuntimeState { token: token.map(ResumeToken), open: None }),
            }));
        }
        Ok(seats)
    }
}
