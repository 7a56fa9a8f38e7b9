//! What must hold for any input. The tests of the workspace replay the corpora with the same checks.

mod chunks;
mod claude;
mod servers;

pub use claude::claude_decode;
pub use servers::{codex_decode, openclaw_decode};
