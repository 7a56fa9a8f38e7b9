//! A host with one process per session, and tools that remember their calls.

use crate::{claude::Bench, stage::stage};
use futures::StreamExt as _;
use party_harness::{
    RuntimeSession, ToolCall, ToolPort, ToolReply, ToolSpec, Turn, TurnEvent, TurnRequest, async_trait,
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use test_support::{ClaudeVersion, FakeModel, Scenario};
use tokio::sync::Semaphore;

pub(crate) async fn host(version: ClaudeVersion, scenario: Scenario) -> (Bench, FakeModel) {
    let (bench, fake) = stage(version, scenario).await;
    (bench.persistent(), fake)
}

#[derive(Debug)]
pub(crate) struct Tools {
    calls: Mutex<Vec<ToolCall>>,
    /// What a call of `wait` takes one of.
    go: Semaphore,
}

#[async_trait]
impl ToolPort for Tools {
    async fn call(&self, call: ToolCall) -> ToolReply {
        let name = call.name.clone();
        self.calls.lock().unwrap().push(call);
        match name.as_str() {
            "panic" => panic!("the tool's own trouble"),
            "hang" => std::future::pending().await,
            "wait" => {
                self.go.acquire().await.unwrap().forget();
                ToolReply::text("waited")
            }
            "refuse" => ToolReply::error("slots full: 3 of 3"),
            _ => ToolReply::text("shared as 7"),
        }
    }
}

impl Tools {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { calls: Mutex::default(), go: Semaphore::new(0) })
    }

    /// Lets one call of `wait` return.
    pub(crate) fn release(&self) {
        self.go.add_permits(1);
    }

    pub(crate) fn calls(&self) -> Vec<ToolCall> {
        self.calls.lock().unwrap().clone()
    }
}

pub(crate) fn tool(name: &str) -> ToolSpec {
    let input_schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    ToolSpec::new(name, format!("Does {name}."), input_schema)
}

/// The process of the seat, which is one.
pub(crate) fn pid(bench: &Bench) -> i32 {
    let pids = bench.pids();
    assert_eq!(pids.len(), 1, "{pids:?}");
    pids[0]
}

pub(crate) async fn begin(session: &Arc<dyn RuntimeSession>, request: TurnRequest) -> Turn {
    session.turn(request).await.unwrap()
}

/// Events until one is found, which is the last of them.
pub(crate) async fn until(turn: &mut Turn, is_it: impl Fn(&TurnEvent) -> bool) -> Vec<TurnEvent> {
    let mut seen = Vec::new();
    let find = async {
        while let Some(event) = turn.events.next().await {
            seen.push(event);
            if seen.last().is_some_and(&is_it) {
                return;
            }
        }
        panic!("the turn is over: {seen:?}");
    };
    tokio::time::timeout(Duration::from_secs(30), find).await.unwrap();
    seen
}
