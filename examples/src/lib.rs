//! Host applications built on Party; each lives in its own folder.
