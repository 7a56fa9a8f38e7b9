//! The one connection that all seats of a harness share, and the server behind it.

use super::{
    link::{Link, Trouble},
    server::Server,
    setup::{Setup, Source},
    wire::{Listener, Speaker},
};
use crate::{Environment, Error, ErrorKind, Result, jsonl::view::Json};
use serde_json::json;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex as Lock, PoisonError},
};
use tokio::sync::Mutex;

/// Notifications that nobody here reads.
const UNREAD: [&str; 3] =
    ["remoteControl/status/changed", "thread/readState/changed", "account/rateLimits/updated"];

/// Holds the server and the connection. Whoever needs one gets the one that lives; the first to miss it
/// makes another, and the others wait.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) setup: Setup,
    state: Mutex<State>,
    version: Lock<Option<String>>,
}

#[derive(Debug, Default)]
struct State {
    server: Option<Server>,
    link: Option<Arc<Link>>,
    generation: u64,
    /// The environment of the server, once it was started.
    env: Option<Environment>,
    home: Option<PathBuf>,
}

impl Hub {
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, state: Mutex::default(), version: Lock::default() }
    }

    /// The connection. Makes one where there is none; `env` is the server's environment where none is
    /// set. Safe to cancel.
    pub(super) async fn link(&self, env: &Environment) -> Result<Arc<Link>> {
        let mut state = self.state.lock().await;
        if let Some(link) = state.link.as_ref().filter(|link| !link.gone().is_cancelled()) {
            return Ok(Arc::clone(link));
        }
        state.link = None;
        let halves = match &self.setup.source {
            Source::Attached(target) => {
                let (writer, reader) = target.connect().await?;
                (Speaker::Socket(writer), Listener::Socket(reader))
            }
            Source::Own(program) => {
                let program = program.clone();
                self.own(&mut state, &program, env).await?
            }
        };
        state.generation += 1;
        let link = Link::new(halves, state.generation, &self.setup);
        self.greet(&link, &mut state.server).await?;
        let link = Arc::new(link);
        state.link = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn own(
        &self,
        state: &mut State,
        program: &std::path::Path,
        env: &Environment,
    ) -> Result<(Speaker, Listener)> {
        // One that was killed a moment ago may still seem to be there.
        for _ in 0..2 {
            let mut server = match state.server.take() {
                Some(server) => server,
                None => self.start(state, program, env).await?,
            };
            let connected = server.connect(&self.setup).await;
            if server.is_alive() || connected.is_ok() {
                state.server = Some(server);
                return Ok(connected?);
            }
            server.kill().await;
        }
        Err(Error::new(ErrorKind::Launch, "codex ends as soon as it has started"))
    }

    async fn start(&self, state: &mut State, program: &std::path::Path, env: &Environment) -> Result<Server> {
        let env = state.env.get_or_insert_with(|| self.setup.env.clone().unwrap_or_else(|| env.clone()));
        // Threads live in its folder: another server takes the same.
        let mut setup = self.setup.clone();
        setup.home = setup.home.or_else(|| state.home.clone());
        let server = Server::start(program, &setup, env).await?;
        state.home = Some(server.home.clone());
        Ok(server)
    }

    /// A server of one's own that does not answer is ended.
    async fn greet(&self, link: &Link, server: &mut Option<Server>) -> Result<()> {
        let client = json!({"name": "party_harness", "title": "Party", "version": env!("CARGO_PKG_VERSION")});
        let capabilities = json!({"experimentalApi": true, "optOutNotificationMethods": UNREAD});
        let asked = json!({"clientInfo": client, "capabilities": capabilities});
        let said = link.request("initialize", asked).await;
        if let Err(Trouble::Late(..)) = &said
            && let Some(server) = server.take()
        {
            server.kill().await;
        }
        let said = said.map_err(|trouble| match trouble {
            Trouble::Refused { .. } => {
                Error::new(ErrorKind::Protocol, format!("it is no app-server of codex: {trouble}"))
            }
            trouble => trouble.into(),
        })?;
        let agent = Json::read(said.get()).and_then(|said| said.field("userAgent")?.string());
        // `NAME/VERSION (SYSTEM) …`
        let version = agent.as_deref().and_then(|agent| agent.split_once('/')?.1.split(' ').next());
        let Some(version) = version else {
            return Err(Error::new(ErrorKind::Protocol, "it is no app-server of codex: it has no version"));
        };
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
        link.notify("initialized").await;
        Ok(())
    }

    /// The server's version, once there was a connection.
    pub(super) fn version(&self) -> Option<String> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends a server of one's own that does not answer; whether this is one.
    pub(super) async fn late(&self, trouble: &Trouble, generation: u64) -> bool {
        let is_late = matches!((trouble, &self.setup.source), (Trouble::Late(..), Source::Own(_)));
        if is_late {
            self.condemn(generation).await;
        }
        is_late
    }

    /// Ends the connection, and a server of one's own that does not do what it is asked, unless that was
    /// done already.
    pub(super) async fn condemn(&self, generation: u64) {
        let mut state = self.state.lock().await;
        let lives = state.link.as_ref().is_some_and(|link| !link.gone().is_cancelled());
        if lives && state.generation != generation {
            return;
        }
        if let Some(link) = state.link.take() {
            link.break_off();
        }
        if let Some(server) = state.server.take() {
            server.kill().await;
        }
    }

    /// Ends the connection, and a server of one's own. The next who needs one makes another.
    pub(super) async fn close(&self) {
        let mut state = self.state.lock().await;
        if let Some(link) = state.link.take() {
            link.break_off();
        }
        if let Some(server) = state.server.take() {
            server.end(self.setup.limits.stop).await;
        }
    }
}
