//! The way to a gateway: connected when somebody needs it, and again when it was lost.
//!
//! ```text
//! Link::conn ──> connect ── challenge, claim, hello ──> Conn ── ask, start, follow
//!     │              │                                   │
//!     │              └ not ready, or unreachable: again, ever later, as long as the caller waits
//!     └ refused: at once, by an error that says what to do
//! ```

mod conn;
mod handshake;
mod mailbox;
mod role;

pub(crate) use conn::{Answers, Conn, Events, Gone};
pub(crate) use role::{COMMAND, NODE, OPERATOR, Role};

use super::identity::Identity;
use crate::{
    Error, ErrorKind, Result,
    socket::{Address, Bearer, SocketError, Target},
};
use handshake::{Asker, greet};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How long the first words of a connection may take; a gateway gives a client 15 s.
const GREETING: Duration = Duration::from_secs(15);

/// How long lies between two attempts: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Why there is no connection.
#[derive(Debug)]
enum Refused {
    /// Another attempt may do better, not before the time that the gateway names.
    Later { after: Option<Duration>, error: Error },
    /// None will, until somebody changes something.
    Never(Error),
}

impl From<SocketError> for Refused {
    fn from(error: SocketError) -> Self {
        if error.may_pass() {
            Self::Later { after: None, error: error.into() }
        } else {
            Self::Never(error.into())
        }
    }
}

/// The way to one gateway in one role.
pub(crate) struct Link {
    target: Target,
    token: Bearer,
    role: Role,
    identity: Option<Identity>,
    now: Mutex<Option<Arc<Conn>>>,
    stop: CancellationToken,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("target", &self.target)
            .field("role", &self.role.role())
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) fn new(
        target: Target,
        token: Bearer,
        role: Role,
        identity: Option<Identity>,
        stop: CancellationToken,
    ) -> Self {
        Self { target, token, role, identity, now: Mutex::new(None), stop }
    }

    /// The name by which the gateway knows this end of the link.
    pub(crate) fn device(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.id.as_str())
    }

    /// The connection, made where there is none. Safe to cancel.
    ///
    /// # Errors
    /// What the gateway refuses is told at once; what may pass, when `patience` is over.
    pub(crate) async fn conn(&self, patience: Duration) -> Result<Arc<Conn>> {
        let end = Instant::now() + patience;
        let connecting = async {
            let mut now = timeout_at(end, self.now.lock())
                .await
                .map_err(|_| self.about(Error::new(ErrorKind::Io, "it is not reached in time")))?;
            if let Some(conn) = now.as_ref().filter(|conn| conn.is_alive()) {
                return Ok(Arc::clone(conn));
            }
            let conn = self.connect(end).await?;
            *now = Some(Arc::clone(&conn));
            Ok(conn)
        };
        tokio::select! {
            () = self.stop.cancelled() => Err(Error::new(ErrorKind::Closed, "the harness was shut down")),
            conn = connecting => conn,
        }
    }

    /// Lets go of the connection.
    pub(crate) async fn close(&self) {
        *self.now.lock().await = None;
    }

    async fn connect(&self, end: Instant) -> Result<Arc<Conn>> {
        let mut pause = PAUSES.0;
        loop {
            let (after, error) = match self.attempt().await {
                Ok(conn) => return Ok(conn),
                Err(Refused::Never(error)) => return Err(self.about(error)),
                Err(Refused::Later { after, error }) => (after, error),
            };
            let again = Instant::now() + after.unwrap_or(pause).clamp(PAUSES.0, PAUSES.1);
            if again >= end {
                return Err(self.about(error));
            }
            sleep_until(again).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn attempt(&self) -> Result<Arc<Conn>, Refused> {
        let (mut writer, mut reader) = Box::pin(self.target.connect()).await?;
        let asker = Asker { role: &self.role, token: &self.token, identity: self.identity.as_ref() };
        let greeting = Box::pin(greet((&mut writer, &mut reader), &asker));
        let hello = timeout(GREETING, greeting).await.map_err(|_| Refused::Later {
            after: None,
            error: Error::new(ErrorKind::Io, format!("it says no hello within {} s", GREETING.as_secs())),
        })??;
        tracing::debug!(version = hello.version, "connected to an openclaw gateway");
        Ok(Conn::new((writer, reader), hello))
    }

    /// The same error, with the gateway that it is about.
    fn about(&self, error: Error) -> Error {
        let at = match &self.target.address {
            Address::Tcp { at, .. } => at.to_string(),
            Address::Unix(path) => path.display().to_string(),
        };
        Error::new(error.kind(), format!("the openclaw gateway at {at}: {error}")).with_source(error)
    }
}
