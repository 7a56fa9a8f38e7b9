//! Who is admitted, and how much of everything there may be.

use party_core::Author;
use std::{fmt, sync::Arc};

/// Whose process is at the other end of a connection, as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredential {
    /// The user, as which the process connected.
    pub uid: u32,
    /// The user's group.
    pub gid: u32,
    /// The process, where the system says; by now the number may be another one's.
    pub pid: Option<i32>,
}

type Admit = dyn Fn(PeerCredential) -> Option<Author> + Send + Sync;

/// How a [`Front`](super::Front) is opened.
#[derive(Clone)]
#[non_exhaustive]
pub struct FrontOptions {
    /// At most so many connections at once; what comes later is told so and let go. 64 by default.
    pub connections: usize,
    /// At most so many sessions that one connection follows at once. 16 by default.
    pub follows: usize,
    /// At most so many bytes in a line of a client. 1 MiB by default.
    pub longest_line: usize,
    pub(super) admit: Arc<Admit>,
}

impl FrontOptions {
    /// Admits processes of the user that this process runs as, who is the person `name`. All others
    /// are refused. So is root, unless this process is root's: whoever is root can read the store, but
    /// is not the person in whose name a message would stand.
    pub fn owner(name: impl Into<String>) -> Self {
        let (owner, person) = (rustix::process::geteuid().as_raw(), Author::human(name));
        Self::admitting(move |peer| (peer.uid == owner).then(|| person.clone()))
    }

    /// Admits whom `admit` gives a name, under that name; `None` refuses. It is called once for each
    /// connection and must not block. The file's mode lets only the owner and root connect: a host that
    /// admits others has to change it. Who is no person may read and follow, but not write.
    pub fn admitting(admit: impl Fn(PeerCredential) -> Option<Author> + Send + Sync + 'static) -> Self {
        Self { connections: 64, follows: 16, longest_line: 1 << 20, admit: Arc::new(admit) }
    }
}

impl fmt::Debug for FrontOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontOptions")
            .field("connections", &self.connections)
            .field("follows", &self.follows)
            .field("longest_line", &self.longest_line)
            .finish_non_exhaustive()
    }
}
