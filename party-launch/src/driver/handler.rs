//! One run of a host's tool, which always gives an answer.

use crate::tool::{BoxError, CallContext, HostTool, MOST_BYTES};
use futures::FutureExt as _;
use party_harness::ToolReply;
use serde_json::Value;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::sleep;

/// So long a tool that was cancelled may still take.
const GRACE: Duration = Duration::from_secs(1);

/// Runs a tool for one call, within its time.
pub(super) async fn run(
    tool: Option<Arc<dyn HostTool>>,
    name: String,
    arguments: Value,
    context: CallContext,
    limit: Duration,
) -> ToolReply {
    let Some(tool) = tool else { return ToolReply::error(format!("the host has no tool `{name}`")) };
    let cancel = context.cancel.clone();
    // Made within, so that a panic before the first await is caught as well.
    let call = AssertUnwindSafe(async { tool.call(arguments, context).await }).catch_unwind();
    tokio::pin!(call);
    let why = tokio::select! {
        ended = &mut call => return checked(&name, ended),
        () = cancel.cancelled() => "the turn ended",
        () = sleep(limit) => "its time was over",
    };
    cancel.cancel();
    tokio::select! {
        ended = &mut call => checked(&name, ended),
        () = sleep(GRACE) => ToolReply::error(format!("outcome unknown: {why} while `{name}` ran")),
    }
}

/// What the agent is told of an end.
fn checked<P>(name: &str, ended: Result<Result<ToolReply, BoxError>, P>) -> ToolReply {
    let reply = match ended {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => ToolReply::error(in_full(name, &*error)),
        Err(_) => ToolReply::error(format!("`{name}` panicked")),
    };
    if reply.text.len() > MOST_BYTES {
        let found = reply.text.len();
        return ToolReply::error(format!(
            "`{name}` gave {found} bytes, and an answer has {MOST_BYTES} at most; ask for less"
        ));
    }
    reply
}

fn in_full(name: &str, error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = format!("`{name}` failed: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
