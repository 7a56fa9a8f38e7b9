//! The host of the cases: what it tells agents, and its tools.

use super::play::until;
use crate::{Error, ErrorKind, FullView, Result, ToolCall, ToolPort, ToolReply, ToolSpec};
use async_trait::async_trait;
use party_core::{Framing, ModelMessage};
use serde_json::json;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio_util::sync::CancellationToken;

pub(super) fn message(text: &str) -> ModelMessage {
    let mut message = Framing::new(text).into_message();
    message.injected = 0;
    message
}

pub(super) fn tool(name: &str) -> ToolSpec {
    let (description, input_schema) = (format!("The tool {name}."), json!({"type": "object"}));
    ToolSpec { name: name.to_owned(), description, input_schema }
}

/// A view that counts how often it was loaded.
#[derive(Debug)]
pub(super) struct View {
    text: Option<String>,
    loads: AtomicUsize,
}

impl View {
    pub(super) fn new(text: &str) -> Arc<Self> {
        Arc::new(Self { text: Some(text.to_owned()), loads: AtomicUsize::new(0) })
    }

    /// A view that cannot be loaded.
    pub(super) fn broken() -> Arc<Self> {
        Arc::new(Self { text: None, loads: AtomicUsize::new(0) })
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loads.load(Ordering::Acquire) > 0
    }
}

#[async_trait]
impl FullView for View {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        self.loads.fetch_add(1, Ordering::AcqRel);
        let text = self.text.as_deref();
        text.map(|text| vec![message(text)]).ok_or_else(|| Error::new(ErrorKind::Io, "the view is broken"))
    }
}

/// The host's tools: `slow` answers when it is let go, `broken` by an error, all others at once.
#[derive(Debug, Default)]
pub(super) struct Port {
    calls: Mutex<Vec<ToolCall>>,
    go: CancellationToken,
}

impl Port {
    pub(super) fn calls(&self) -> Vec<ToolCall> {
        self.lock().clone()
    }

    /// Waits until so many calls have come.
    pub(super) async fn called(&self, count: usize) {
        until(|| self.lock().len() >= count).await;
    }

    /// Lets the slow ones answer.
    pub(super) fn release(&self) {
        self.go.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ToolCall>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ToolPort for Port {
    async fn call(&self, call: ToolCall) -> ToolReply {
        let name = call.name.clone();
        self.lock().push(call);
        if name == "slow" {
            self.go.cancelled().await;
        }
        ToolReply { text: format!("{name} has answered"), is_error: name == "broken" }
    }
}
