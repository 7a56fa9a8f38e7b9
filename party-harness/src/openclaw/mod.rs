//! OpenClaw: a gateway that runs agents, over its WebSocket.
//!
//! ```text
//! TurnRequest ── order ──> tools on the desk, the session's list of them, method `agent`
//!                                                   │
//!   operator ══ challenge, claim, hello ══ requests and events by run ── codec ──> TurnEvents
//!   node     ══ challenge, claim, hello ══ calls of the host's tools ──> ToolPort
//! ```
//!
//! A seat is a session of one of the gateway's agents, under a name that is derived from the seat. Its
//! model is offered exactly the host's tools and those of the agent's own that the turn names: no
//! shell, no messages to others and no foreign MCP server comes with the gateway's settings.
//!
//! A run goes on when the connection is lost, and so does its turn: over the next connection the same
//! order is given again, which the gateway answers by the end that it has. Where the gateway itself was
//! restarted meanwhile, what it wrote down counts, and a run that it lost is told as lost.
//!
//! Messages reach the model with the time before them, `[Fri 2026-11-20 11:31 UTC]`, which the gateway
//! puts there. Tested with version 2026.9.6, protocol 4.

pub mod codec;

mod desk;
mod gateway;
mod history;
mod identity;
mod inner;
mod link;
mod names;
mod node;
mod order;
mod outbox;
mod session;
mod turn;

pub use gateway::{Gateway, GatewaySetup};

use crate::{
    Capabilities, Close, CostSource, Harness, HarnessInfo, Probe, Result, RuntimeSession, RuntimeSpec,
    ToolDoor, ToolPort,
    socket::{Address, Bearer, Target},
};
use async_trait::async_trait;
use desk::Desk;
use identity::Identity;
use inner::{Inner, Patience, Setup, Ways};
use link::{Link, NODE, OPERATOR};
use node::Node;
use session::OpenClawSession;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long a gateway keeps the end of a run for a host that lost its connection: 5 minutes, less the
/// minute that may pass before the loss is noticed, and a margin.
const KEPT: Duration = Duration::from_secs(3 * 60);

/// A running OpenClaw gateway as a harness.
///
/// A gateway gives each call of a host's tool 30 seconds; then the agent is told that it failed, while
/// the host may still be at work. At most 256 calls run at a time; those on top fail at once.
///
/// ```no_run
/// use party_harness::openclaw::OpenClaw;
///
/// # fn main() -> party_harness::Result<()> {
/// let token = std::env::var("OPENCLAW_GATEWAY_TOKEN").unwrap_or_default();
/// let harness = OpenClaw::attach("ws://127.0.0.1:18789", token)?.keys("/var/lib/party/keys").agent("main");
/// # let _ = harness;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OpenClaw {
    info: HarnessInfo,
    setup: Setup,
    target: Target,
    token: Bearer,
    keys: Option<PathBuf>,
    ways: OnceLock<Ways>,
    open: Mutex<Vec<Weak<Inner>>>,
    stop: CancellationToken,
}

impl OpenClaw {
    /// A harness for the gateway at `ws://IP:PORT` on this machine, opened by its shared token. Nothing
    /// is connected before the first use. A gateway elsewhere is reached through a tunnel that ends on
    /// this machine.
    ///
    /// The token has to be an administrator's: only those may say which tools a session has. Whoever
    /// holds it can do anything that the gateway can.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for another address.
    pub fn attach(url: &str, token: impl Into<String>) -> Result<Self> {
        Ok(Self::to(Target::new(Address::parse(url)?), token.into()))
    }

    fn to(target: Target, token: String) -> Self {
        let capabilities = Capabilities {
            resume: true,
            tools: ToolDoor::InProcess,
            own_tools: true,
            recover: true,
            ..Capabilities::TEXT_ONLY
        };
        let patience = Patience {
            connect: Duration::from_secs(60),
            reconnect: Duration::from_secs(120),
            answer: Duration::from_secs(30),
            silence: Duration::from_secs(10 * 60),
            stop: Duration::from_secs(10),
        };
        Self {
            info: HarnessInfo::new("openclaw", capabilities),
            setup: Setup { agent: "main".to_owned(), patience, reports_cost: false },
            target,
            token: Bearer::new(token),
            keys: None,
            ways: OnceLock::new(),
            open: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// The folder of this host's keys, which are made where they are missing, for their owner only; the
    /// gateway knows the host by them. Without it the host is another one at each start, and leaves a
    /// record of each in the gateway.
    #[must_use]
    pub fn keys(mut self, folder: impl Into<PathBuf>) -> Self {
        self.keys = Some(folder.into());
        self
    }

    /// The gateway's agent that seats are sessions of; `main`. Its workspace is where tools of its own
    /// work, and its files are part of what the model is told.
    #[must_use]
    pub fn agent(mut self, agent: &str) -> Self {
        self.setup.agent = agent.to_lowercase();
        self
    }

    /// Takes the gateway's figures for what a turn costs: for one whose configuration has the prices of
    /// all models that are used. What it has no price for it calls free; that is told as unknown.
    #[must_use]
    pub const fn reports_cost(mut self) -> Self {
        self.setup.reports_cost = true;
        self.info.capabilities.cost = CostSource::Reported;
        self
    }

    /// How long the gateway may be out of reach, or starting, before a call fails; 60 s.
    #[must_use]
    pub const fn connect_patience(mut self, patience: Duration) -> Self {
        self.setup.patience.connect = patience;
        self
    }

    /// How long it may be out of reach in the middle of a turn, before that ends as lost; 2 minutes, and
    /// at most 3: a gateway forgets the end of a run after 5, and would do it again. Later only what it
    /// wrote down is looked at.
    #[must_use]
    pub fn reconnect_patience(mut self, patience: Duration) -> Self {
        self.setup.patience.reconnect = patience.min(KEPT);
        self
    }

    /// How long the gateway may take to answer a request; 30 s.
    #[must_use]
    pub const fn answer_patience(mut self, patience: Duration) -> Self {
        self.setup.patience.answer = patience;
        self
    }

    /// How long a run may tell nothing of itself, while no tool is at work, before it is stopped and ends
    /// as timed out; 10 minutes. A gateway itself asks a provider that fails for about two.
    #[must_use]
    pub const fn silence_patience(mut self, patience: Duration) -> Self {
        self.setup.patience.silence = patience;
        self
    }

    /// How long a run may take to end that was told to, or that a host finds when it comes back; 10 s.
    #[must_use]
    pub const fn stop_patience(mut self, patience: Duration) -> Self {
        self.setup.patience.stop = patience;
        self
    }

    /// How large a frame of the gateway may be; 64 MiB. A larger one ends the connection.
    #[must_use]
    pub const fn frame_limit(mut self, bytes: usize) -> Self {
        self.target.limit = bytes;
        self
    }

    /// What the names of the host's tools begin with as the gateway's models see them: a model calls
    /// `share` by this and `share`. It is the same as long as the [keys](Self::keys) are.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) where the keys cannot be used.
    pub fn tool_prefix(&self) -> Result<String> {
        Ok(self.ways()?.desk.prefix(1))
    }

    /// The ways to the gateway, with the host's keys.
    fn ways(&self) -> Result<&Ways> {
        if let Some(ways) = self.ways.get() {
            return Ok(ways);
        }
        let identity = |name: &str| match &self.keys {
            Some(folder) => Identity::load(&folder.join(name)),
            None => Identity::fresh(),
        };
        // A gateway knows a key in one role only.
        let link = |role, key| {
            Link::new(self.target.clone(), self.token.clone(), role, Some(key), self.stop.child_token())
        };
        let operator = Arc::new(link(OPERATOR, identity("operator.key")?));
        let node = identity("node.key")?;
        let desk = Arc::new(Desk::new(&node.id));
        let node = link(NODE, node);
        let node = Node::new(node, Arc::clone(&operator), Arc::clone(&desk), self.stop.child_token());
        // A guard ends all when it is dropped, so none is made where another thread was first.
        let guard = || Arc::new(self.stop.clone().drop_guard());
        Ok(self.ways.get_or_init(|| Ways { operator, node, desk, _alive: guard() }))
    }

    fn sessions(&self) -> Vec<Arc<Inner>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|inner| inner.strong_count() > 0);
        open.iter().filter_map(Weak::upgrade).collect()
    }
}

#[async_trait]
impl Harness for OpenClaw {
    fn info(&self) -> &HarnessInfo {
        &self.info
    }

    async fn probe(&self) -> Result<Probe> {
        let conn = self.ways()?.operator.conn(self.setup.patience.connect).await?;
        Ok(Probe::new(conn.hello.version.clone()))
    }

    async fn open(&self, spec: RuntimeSpec, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let ways = self.ways()?.clone();
        let inner = Arc::new(Box::pin(Inner::open(self.setup.clone(), ways, spec, tools)).await?);
        self.sessions();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&inner));
        Ok(Arc::new(OpenClawSession { inner, capabilities: self.info.capabilities }))
    }

    async fn shutdown(&self) -> Result<()> {
        futures::future::join_all(self.sessions().iter().map(|inner| inner.life.end(Close::Orderly))).await;
        self.stop.cancel();
        if let Some(ways) = self.ways.get() {
            ways.node.end().await;
            ways.operator.close().await;
        }
        Ok(())
    }
}
