//! The adapter against the real Claude Code binary and a fake model.
