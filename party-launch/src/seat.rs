//! A seat's runtime: which harness runs it, and its runtime session once it is open.

use party_core::{SeatId, SessionId};
use party_harness::{
    Close, Environment, Error, ErrorKind, Harness, Result, ResumeToken, RuntimeSession, RuntimeSpec, ToolPort,
};
use std::{
    fmt,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Mutex;

/// What is needed to open a seat's runtime session, and the session itself.
pub(crate) struct SeatRuntime {
    pub(crate) session: SessionId,
    pub(crate) seat: SeatId,
    pub(crate) name: String,
    pub(crate) prompt: String,
    pub(crate) model: Option<String>,
    /// The name that the harness has in the party; no other instance has it.
    pub(crate) harness_name: String,
    pub(crate) harness: Arc<dyn Harness>,
    /// The seat's own folder.
    pub(crate) folder: PathBuf,
    pub(crate) env: Environment,
    pub(crate) state: Mutex<RuntimeState>,
}

#[derive(Debug, Default)]
pub(crate) struct RuntimeState {
    /// What to resume by when the session is opened.
    pub(crate) token: Option<ResumeToken>,
    pub(crate) open: Option<Arc<dyn RuntimeSession>>,
}

impl SeatRuntime {
    /// The seat's runtime session, opened at its first use.
    pub(crate) async fn open(&self, tools: Arc<dyn ToolPort>) -> Result<Arc<dyn RuntimeSession>> {
        let mut state = self.state.lock().await;
        if let Some(open) = &state.open {
            return Ok(Arc::clone(open));
        }
        let (cwd, folder) = (self.folder.join("work"), self.folder.join("runtime"));
        for path in [&cwd, &folder] {
            make_private(path)?;
        }
        let spec = RuntimeSpec {
            session: self.session,
            seat: self.seat,
            agent: self.name.clone(),
            system_prompt: self.prompt.clone(),
            model: self.model.clone(),
            cwd,
            folder,
            env: self.env.clone(),
            resume: state.token.clone(),
        };
        let open = self.harness.open(spec, tools).await?;
        state.open = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Ends whatever the runtime still runs for the seat.
    pub(crate) async fn close(&self) {
        if let Some(open) = self.state.lock().await.open.take()
            && let Err(error) = open.close(Close::Orderly).await
        {
            tracing::warn!(seat = %self.name, %error, "the runtime session is not closed");
        }
    }

    /// Lets go of the open session; the next turn opens it again by its token.
    pub(crate) async fn reopen(&self) {
        self.state.lock().await.open = None;
    }

    /// What the next turn of the seat goes on with. Without a token it starts afresh, and the runtime
    /// session that was open is given back, to be closed.
    pub(crate) async fn bind(&self, token: Option<ResumeToken>) -> Option<Arc<dyn RuntimeSession>> {
        let mut state = self.state.lock().await;
        let old = if token.is_none() { state.open.take() } else { None };
        state.token = token;
        old
    }
}

/// Makes a folder that nobody else may enter; one that is there must be such a folder already.
fn make_private(path: &Path) -> Result<()> {
    let named = |what: &str, error| {
        Error::new(ErrorKind::Io, format!("{what} the folder {}", path.display())).with_source(error)
    };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| named("cannot make", error))?;
    let found = std::fs::symlink_metadata(path).map_err(|error| named("cannot look at", error))?;
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && is_own && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Io, format!("the folder {} is open to others, or not ours", path.display())))
}

impl fmt::Debug for SeatRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeatRuntime")
            .field("seat", &self.seat)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
