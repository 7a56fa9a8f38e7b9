//! What became of a turn that an earlier process of the host started.

use super::{
    codec::{Run, TurnView},
    inner::Inner,
    link::{Link, Trouble},
    session::order,
    shape::{NAMESPACE, Shape},
    token::{Token, Trace, message_id},
    turn::{Heard, LOOKED_AT, Listed, Started, turns},
};
use crate::{
    Completion, Error, ErrorKind, FullView, Recovery, Result, ToolChoice, TurnEnd, TurnKey, TurnRequest,
    session::Busy,
};
use async_trait::async_trait;
use party_core::{Cost, ModelMessage, Sent};
use std::sync::Arc;

/// Looks into the seat's file, and then at its thread. A turn that still runs, on a server that outlived
/// the host, goes on here.
pub(super) async fn recover(inner: &Arc<Inner>, key: TurnKey, busy: Busy) -> Result<Recovery> {
    let Some(trace) = inner.trace() else {
        // A folder that had no turn; of one that was emptied the token is left.
        return Ok(if inner.token().is_none() { Recovery::NotSeen } else { Recovery::Unknown });
    };
    if trace.key.session == key.session && trace.key < key {
        return Ok(Recovery::NotSeen);
    }
    let link = inner.hub.link(&inner.spec.env).await?;
    let listed = match turns(&link, &trace.thread, LOOKED_AT).await {
        Ok(listed) => listed,
        Err(Trouble::Refused { .. }) => return Ok(Recovery::Unknown),
        Err(trouble) => {
            inner.hub.late(&trouble, link.generation).await;
            return Err(trouble.into());
        }
    };
    let id = message_id(&inner.spec, key);
    let Some(own) = listed.into_iter().find(|turn| turn.message.as_ref() == Some(&id)) else {
        return Ok(Recovery::Unknown);
    };
    let Ok(view) = serde_json::from_str::<TurnView<'_>>(&own.json) else { return Ok(Recovery::Unknown) };
    match view.status() {
        Some("completed" | "failed") => Ok(Recovery::Ended(ended(inner, &view, &trace))),
        Some("inProgress") => adopt(inner, key, busy, (link, &trace, &own)).await,
        _ => Ok(Recovery::Unknown),
    }
}

fn ended(inner: &Inner, view: &TurnView<'_>, trace: &Trace) -> TurnEnd {
    let verdict = Run::new(&NAMESPACE.into()).judge(Some(view));
    let token = Token::new(inner.place.clone(), trace.thread.clone(), trace.shape.clone());
    inner.remember(Some(token.clone()), None);
    TurnEnd {
        outcome: verdict.status.outcome(),
        text: verdict.text,
        usage: verdict.usage,
        // A thread does not keep what its turns used.
        cost: Cost::Unknown,
        reason: verdict.reason,
        failure: verdict.failure,
        sent: Sent::Delta,
        token: Some(token.write()),
    }
}

/// Hears a turn that still runs; one that does not after all was cut off.
async fn adopt(
    inner: &Arc<Inner>,
    key: TurnKey,
    busy: Busy,
    (link, trace, own): (Arc<Link>, &Trace, &Listed),
) -> Result<Recovery> {
    let (order, turn, _) = order(inner, request(key), Shape::adopted(trace.shape.clone()), busy)?;
    let inbox = link.hear(&trace.thread);
    match order.resume(&link, &trace.thread).await {
        Ok(status) if status == "active" => {}
        Ok(_) => return Ok(Recovery::Unknown),
        Err(trouble) => {
            inner.hub.late(&trouble, link.generation).await;
            return Err(trouble.into());
        }
    }
    let (thread, turn_id) = (trace.thread.clone(), own.id.clone());
    let heard = Heard::FromNow;
    let started = Started { link, inbox, thread, turn: turn_id, sent: Sent::Delta, heard };
    // Its end is the reader's.
    tokio::spawn(order.serve(started));
    Ok(Recovery::Running(turn))
}

/// The request of a turn that was sent long ago: nothing of it is sent again.
fn request(key: TurnKey) -> TurnRequest {
    TurnRequest {
        key,
        delta: Vec::new(),
        full: Arc::new(Told),
        continuation: None,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        completion: Completion::default(),
        most_steps: None,
        mcp: None,
        own_tools: Vec::new(),
        ask: true,
        limit: None,
        alongside: vec![key.turn],
    }
}

#[derive(Debug)]
struct Told;

#[async_trait]
impl FullView for Told {
    async fn load(&self) -> Result<Vec<ModelMessage>> {
        Err(Error::new(ErrorKind::Invalid, "the turn was told its view long ago"))
    }
}
