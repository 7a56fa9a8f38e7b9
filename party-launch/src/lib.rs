//! Parties for a host application.

#[cfg_attr(not(test), expect(dead_code, reason = "the driver that uses it comes by another branch"))]
mod mcp;
