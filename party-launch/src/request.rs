//! The one channel into a driver.

use crate::Result;
use party_core::NewRecord;
use party_formats::Engine;
use party_harness::{ToolCall, ToolReply, TurnEvent, TurnKey};
use serde_json::Value;
use tokio::sync::oneshot;

/// What a driver is asked or told.
#[derive(Debug)]
pub(crate) enum Request {
    /// Commit an input of the handle, and what follows from it.
    Input { record: NewRecord, reply: oneshot::Sender<Result<()>> },
    /// A running turn streamed something that the driver acts on.
    Event { key: TurnKey, event: TurnEvent },
    /// A running turn streamed something else, to be kept like this.
    Trace { key: TurnKey, event: Value },
    /// Somebody looks at the engine's state.
    State { reply: oneshot::Sender<Engine> },
    /// An agent called a tool.
    Tool { call: ToolCall, reply: oneshot::Sender<ToolReply> },
}
