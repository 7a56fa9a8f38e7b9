//! A real PostgreSQL server for a test or a bench, in a folder of its own.
//!
//! ```text
//! owner ──┬── postgres (as a user that it accepts) ── its processes, all at work in the folder
//!         └── keeper: when the owner ends, however it ends, kills them and removes the folder
//! ```
//!
//! The keeper, a shell, notices the end of its standard input. That needs no thread that lives as long as
//! the process, as the system's signal at a parent's death does, and it can tidy up behind a killed one.

mod binaries;
mod keeper;
mod server;
mod user;

use std::{
    io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub use binaries::binaries;
use keeper::Keeper;
use server::Server;
use user::User;

/// How often another port is tried where somebody else was quicker.
const TRIES: u32 = 5;

/// A PostgreSQL server with an empty database, which ends and is removed with its owner.
///
/// It listens on a free port of `127.0.0.1` and on a Unix socket, trusts whoever connects, and syncs each
/// commit. Nobody else uses it. Where the tests run as root, it runs as the user `postgres`, or as
/// `nobody` if there is none.
///
/// All methods block, [`start`](Self::start) for a second or more. It is at an end when it is dropped, and soon
/// after its process ends, even if that is killed. Linux only.
///
/// ```no_run
/// use test_support::postgres::Cluster;
///
/// let mut cluster = Cluster::start()?;
/// assert!(cluster.url().starts_with("postgres://"));
/// cluster.kill()?;
/// cluster.start_again()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    // Dropped before the server, which it kills with all its processes.
    keeper: Keeper,
    server: Option<Server>,
    port: u16,
    binaries: PathBuf,
    user: User,
}

impl Cluster {
    /// Makes a cluster and starts its server; takes about a second.
    ///
    /// # Errors
    /// If there are no [`binaries`], or PostgreSQL fails, with the end of what it said.
    pub fn start() -> io::Result<Self> {
        let (binaries, user) = (binaries()?, User::find()?);
        let keeper = Keeper::start(&user)?;
        server::initdb(&binaries, &user, keeper.folder())?;
        let mut cluster = Self { keeper, server: None, port: 0, binaries, user };
        let mut left = TRIES;
        loop {
            cluster.port = server::free_port()?;
            left -= 1;
            match cluster.start_again() {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && left > 0 => {}
                result => return result.map(|()| cluster),
            }
        }
    }

    /// The cluster that the tests of this process share, started at the first call.
    ///
    /// # Panics
    /// If it cannot be started, with the reason.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start() {
            Ok(cluster) => cluster,
            Err(error) => panic!("{error}"),
        })
    }

    /// Where its only user reaches its only database by TCP: `postgres://party@127.0.0.1:PORT/postgres`.
    pub fn url(&self) -> String {
        format!("postgres://party@127.0.0.1:{}/postgres", self.port)
    }

    /// The port of its TCP and of its Unix socket; the same as long as the cluster lives.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds its Unix socket. Where the tests run as root, only root gets in.
    pub fn socket_folder(&self) -> &Path {
        self.keeper.folder()
    }

    /// Ends the server in good order: open transactions are rolled back, connections closed. Does nothing
    /// where none runs.
    ///
    /// # Errors
    /// If it does not end within a minute.
    pub fn stop_fast(&mut self) -> io::Result<()> {
        if self.server.is_some() {
            server::stop_fast(&self.binaries, &self.user, self.keeper.folder())?;
            self.server = None;
        }
        Ok(())
    }

    /// Kills the server and all its processes, as a power failure would, but for what the system holds in
    /// memory. They are gone when it returns. Does nothing where none runs.
    ///
    /// # Errors
    /// If one survives for ten seconds.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.server.is_some() {
            self.keeper.kill_all()?;
            self.server = None;
        }
        Ok(())
    }

    /// Starts the server that was stopped or killed, with the same data on the same port, and waits until
    /// it has recovered. One that still runs is killed before.
    ///
    /// # Errors
    /// If PostgreSQL fails, with the end of its log; of the kind `AddrInUse` where somebody else has
    /// taken the port.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.kill()?;
        let server = Server::start(&self.binaries, &self.user, self.keeper.folder(), self.port)?;
        self.server.insert(server).wait_until_ready(self.keeper.folder())
    }
}
