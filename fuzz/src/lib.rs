//! What must hold for any input. The tests of the workspace replay the corpora with the same checks.

mod claude;

pub use claude::claude_decode;
