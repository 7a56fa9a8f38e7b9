//! A runtime's process: started with exactly its environment, drained, and never left behind.
//!
//! ```text
//! Start ── spawner ──> Running + Pipes ── ladder, kill, wait ──> exit ── sweep | gone
//!        (one thread,      │
//!         setpriv)         └ dropped: killed and reaped by a thread of its own
//! ```
//!
//! A host that is killed takes its runtimes with it: on Linux each is started so that the system sends
//! it SIGTERM when the host dies (`spawner`). Elsewhere, where `setpriv` is missing, and for what does
//! not end of SIGTERM, the next host ends the orphan: it finds it by a variable that only the seat's
//! processes have (`tree`), or by the file that locks the runtime session (`lock`).

mod io;
pub(crate) mod lock;
pub(crate) mod machine;
mod program;
mod running;
mod spawner;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

pub(crate) use io::{drain, write_all};
pub(crate) use program::{probe_env, refused};
pub(crate) use running::{Running, code_and_signal, ladder};

use crate::Environment;
use std::{path::Path, time::Duration};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

/// How long a killed process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a process may take for each step of its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From SIGINT to SIGTERM, and from there to SIGKILL.
    pub(crate) rung: Duration,
    /// From the result to the exit.
    pub(crate) exit: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { rung: Duration::from_secs(5), exit: Duration::from_secs(10) }
    }
}

/// What is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    /// The runtime, as people know it: `claude`.
    pub(crate) name: &'a str,
    /// How to get the program, for whoever lacks it.
    pub(crate) install: &'a str,
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [String],
    /// The whole environment.
    pub(crate) env: &'a Environment,
    pub(crate) cwd: &'a Path,
    /// The variable in `env` by which all processes of the seat are known.
    pub(crate) marker: &'a (String, String),
}

/// The pipes of a process.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}
