//! The last answer to method `agent`, which holds the whole text, the tokens and the cost.

use super::{
    failure,
    frame::{Answer, filled},
    run::Told,
    verdict::{Status, Verdict, one_line},
};
use crate::jsonl::view::{Fields, Json};
use party_core::{Cost, Outcome, Usage, Usd};
use std::sync::Arc;

/// What the payload says of the agent's words.
#[derive(Debug, Default)]
struct Words {
    said: Option<String>,
    /// Texts that the gateway put there instead.
    error: Option<String>,
}

/// The verdict of an answer, with what the run's events told.
pub(super) fn verdict(answer: &Answer<'_>, payload: &Fields<'_>, told: &Told) -> Verdict {
    let result = filled(payload, "result").map(Json::fields).unwrap_or_default();
    let words = words(&result);
    let meta = filled(&result, "meta").map(Json::fields).unwrap_or_default();
    let error = answer.error.and_then(|error| error.field("message")).and_then(Json::string);
    let status = status(answer, payload, &words, told);
    let why =
        || words.error.clone().or(error).or_else(|| told.error.clone()).or_else(|| text(payload, "summary"));
    let reason = (!matches!(status, Status::Answered)).then(|| match status {
        Status::Silent => "the agent said nothing".to_owned(),
        Status::Cancelled => "the run was stopped".to_owned(),
        _ => one_line(&why().unwrap_or_default()),
    });
    let failed = status.outcome() == Outcome::Failed;
    let kind = || told.failure.unwrap_or_else(|| failure::of(reason.as_deref().unwrap_or_default()));
    Verdict {
        status,
        text: words.said.map(Arc::from).or_else(|| told.partial(status)),
        failure: failed.then(kind),
        reason,
        usage: usage(&meta),
        cost: cost(&meta),
    }
}

fn status(answer: &Answer<'_>, payload: &Fields<'_>, words: &Words, told: &Told) -> Status {
    let stopped = |reason: &str| matches!(reason, "rpc" | "stop" | "aborted" | "restart");
    let silent = matches!(told.disposition.as_deref(), Some("silent" | "empty"));
    match text(payload, "status").as_deref() {
        Some("ok") if words.said.is_some() => Status::Answered,
        Some("ok") if words.error.is_none() => Status::Silent,
        Some("timeout") if text(payload, "stopReason").is_some_and(|reason| stopped(&reason)) => {
            Status::Cancelled
        }
        Some("timeout") if filled(payload, "timeoutPhase").is_some() => Status::TimedOut,
        Some("timeout") => Status::Cancelled,
        _ if told.aborted => Status::Cancelled,
        _ if silent => Status::Silent,
        Some(_) => Status::Failed,
        None if answer.ok => Status::Silent,
        None => Status::Refused,
    }
}

fn text(fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.get(name)?.string()
}

fn words(result: &Fields<'_>) -> Words {
    let mut words = Words::default();
    for payload in filled(result, "payloads").and_then(Json::items).into_iter().flatten() {
        let payload = payload.fields();
        let Some(text) = text(&payload, "text").filter(|text| !text.trim().is_empty()) else { continue };
        let is_error = payload.get("isError").and_then(Json::bool).unwrap_or(false);
        let place = if is_error { &mut words.error } else { &mut words.said };
        match place {
            Some(before) => {
                before.push_str("\n\n");
                before.push_str(&text);
            }
            None => *place = Some(text),
        }
    }
    words
}

fn usage(meta: &Fields<'_>) -> Usage {
    let agent = filled(meta, "agentMeta").map(Json::fields).unwrap_or_default();
    let counts = filled(&agent, "usage").map(Json::fields).unwrap_or_default();
    let count = |name| counts.get(name).and_then(Json::u64).unwrap_or(0);
    let mut usage = Usage::default();
    usage.input_tokens = count("input");
    usage.output_tokens = count("output");
    usage.cache_read_tokens = count("cacheRead");
    usage.cache_write_tokens = count("cacheWrite");
    usage.steps = agent.get("assistantTurns").and_then(Json::u64).unwrap_or(0);
    usage
}

fn cost(meta: &Fields<'_>) -> Cost {
    let agent = filled(meta, "agentMeta").map(Json::fields).unwrap_or_default();
    let dollars = agent.get("costUsd").and_then(Json::f64).and_then(Usd::from_dollars);
    dollars.map_or(Cost::Unknown, Cost::Reported)
}
