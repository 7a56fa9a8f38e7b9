//! Claude Code: the `claude` binary.
