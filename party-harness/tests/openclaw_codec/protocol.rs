//! What the recordings do not hold: frames as the gateway was measured to send them.

use party_core::{Cost, Failure, Usd};
use party_harness::{
    TurnEvent,
    openclaw::codec::{Decoded, Decoder, Status, Verdict},
};
use serde_json::{Value, json};

fn agent(stream: &str, data: Value) -> Value {
    json!({"type": "event", "event": "agent", "payload": {"runId": "r", "stream": stream, "data": data}})
}

fn chat(more: Value) -> Value {
    let mut payload = json!({"runId": "r"});
    payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"type": "event", "event": "chat", "payload": payload})
}

fn answer(ok: bool, payload: Value) -> Value {
    let mut whole = json!({"runId": "r"});
    whole.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
    json!({"type": "res", "id": "7", "ok": ok, "payload": whole})
}

fn decode(frames: &[Value]) -> Vec<Decoded> {
    let request = json!({"dir": "send", "frame": {"type": "req", "id": "7", "method": "agent",
        "params": {"idempotencyKey": "r", "message": "hi"}}});
    let mut decoder = Decoder::new().tool_prefix("party__");
    let mut events = decoder.feed(format!("{request}\n").as_bytes());
    for frame in frames {
        events.extend(decoder.feed(format!("{frame}\n").as_bytes()));
    }
    events.extend(decoder.finish());
    events
}

fn verdict(frames: &[Value]) -> Verdict {
    let ended = decode(frames).into_iter().filter_map(|event| match event {
        Decoded::Ended { verdict, .. } => Some(*verdict),
        _ => None,
    });
    let ended: Vec<_> = ended.collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
    ended.into_iter().next().unwrap()
}

fn accepted() -> Value {
    answer(true, json!({"status": "accepted", "sessionKey": "agent:main:x"}))
}

/// The first answer says only that the run was taken.
#[test]
fn a_request_with_two_answers_has_one_end() {
    let last = answer(
        true,
        json!({"status": "ok", "summary": "completed",
        "result": {"payloads": [{"text": "A"}, {"text": "cut", "isError": true}, {"text": "B"}],
            "meta": {"agentMeta": {"usage": {"input": 3, "output": 4, "cacheRead": 5, "cacheWrite": 6},
                "assistantTurns": 2, "costUsd": 0.0015}}}}),
    );
    let verdict = verdict(&[accepted(), last.clone(), last]);
    assert_eq!((verdict.status, verdict.text.as_deref()), (Status::Answered, Some("A\n\nB")));
    assert_eq!(verdict.cost, Cost::Reported(Usd::from_micros(1500)));
    let usage = verdict.usage;
    assert_eq!(
        [
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.steps
        ],
        [3, 4, 5, 6, 2]
    );
}

/// An end that tells of an abort is followed by another one that tells of an error: the first counts.
#[test]
fn an_abort_that_ends_twice_is_cancelled_once() {
    let ends = [
        accepted(),
        chat(
            json!({"state": "aborted", "stopReason": "rpc", "message": {"content": [{"type": "text", "text": "Hal"}]}}),
        ),
        agent(
            "lifecycle",
            json!({"phase": "end", "status": "cancelled", "aborted": true, "stopReason": "rpc"}),
        ),
        agent("lifecycle", json!({"phase": "model", "provider": null})),
        agent("lifecycle", json!({"phase": "error", "error": "This operation was aborted", "aborted": true})),
    ];
    let answered = answer(true, json!({"status": "timeout", "summary": "aborted", "stopReason": "rpc"}));
    let whole = verdict(&[&ends[..], &[answered]].concat());
    assert_eq!((whole.status, whole.text.as_deref()), (Status::Cancelled, Some("Hal")));
    // Its answer never comes: the same.
    assert_eq!(verdict(&ends).status, Status::Cancelled);
}

/// "timeout" says three things.
#[test]
fn a_timeout_of_the_run_is_told_from_an_abort() {
    let of = |more: Value| {
        let mut payload = json!({"status": "timeout", "summary": "aborted"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        verdict(&[accepted(), answer(true, payload)]).status
    };
    assert_eq!(of(json!({"timeoutPhase": "provider", "providerStarted": true})), Status::TimedOut);
    assert_eq!(of(json!({"stopReason": "rpc"})), Status::Cancelled);
}

#[test]
fn an_agent_that_says_nothing_has_not_failed() {
    for disposition in ["silent", "empty"] {
        let end = agent("lifecycle", json!({"phase": "end", "terminalReply": {"disposition": disposition}}));
        let last = answer(
            true,
            json!({"status": "error", "summary": "x",
            "result": {"payloads": [{"text": "⚠️ Agent couldn't generate a response.", "isError": true}]}}),
        );
        let verdict = verdict(&[accepted(), end, last]);
        assert_eq!((verdict.status, verdict.failure, verdict.text), (Status::Silent, None, None));
    }
}

#[test]
fn a_failure_has_the_kind_that_the_gateway_names() {
    for (reason, failure) in [
        ("rate_limit", Failure::RateLimited),
        ("auth", Failure::Unauthenticated),
        ("server_error", Failure::Overloaded),
        ("format", Failure::Rejected),
        ("context_overflow", Failure::TooLong),
    ] {
        let told = chat(
            json!({"state": "error", "errorMessage": "⚠️ no", "errorDetail": {"failoverReason": reason}}),
        );
        let mut last = answer(false, json!({"status": "error", "summary": "⚠️ no"}));
        last["error"] = json!({"code": "UNAVAILABLE", "message": "⚠️ no"});
        let verdict = verdict(&[accepted(), told, last]);
        assert_eq!((verdict.status, verdict.failure), (Status::Failed, Some(failure)), "{reason}");
    }
}

#[test]
fn a_refused_request_never_ran() {
    let refused = json!({"type": "res", "id": "7", "ok": false,
        "error": {"code": "INVALID_REQUEST", "message": "invalid agent params:\nmust have"}});
    let verdict = verdict(&[refused]);
    assert_eq!(
        (verdict.status, verdict.reason.as_deref()),
        (Status::Refused, Some("invalid agent params: must have"))
    );
}

/// A run that another connection asked for is answered by "in flight", and not again.
#[test]
fn a_run_in_flight_is_no_end() {
    let events = decode(&[answer(true, json!({"status": "in_flight"}))]);
    assert!(
        matches!(events.as_slice(), [Decoded::Ended { verdict, .. }] if verdict.status == Status::Cut),
        "{events:?}"
    );
}

#[test]
fn texts_that_grow_or_shrink_are_told_by_what_is_new() {
    let wrote = |item: &str, text: &str| agent("assistant", json!({"itemId": item, "text": text}));
    let frames = [
        wrote("1", "Hel"),
        wrote("1", "Hello"),
        wrote("1", "Hel"),
        wrote("1", "Hello!"),
        wrote("2", "Hello!"),
    ];
    let texts: Vec<String> = decode(&frames)
        .into_iter()
        .filter_map(|event| match event {
            Decoded::Event { event: TurnEvent::Text { text }, .. } => Some(text.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["Hel", "lo", "!", "Hello!"]);
}

#[test]
fn a_tool_is_told_under_the_hosts_name_once() {
    let start =
        agent("tool", json!({"phase": "start", "name": "party__look", "toolCallId": "c", "args": {"a": 1}}));
    let result = agent(
        "tool",
        json!({"phase": "result", "name": "party__look", "toolCallId": "c", "isError": true,
        "result": {"content": [{"type": "text", "text": "no"}]}}),
    );
    let mut events = decode(&[start.clone(), start, result.clone(), result]);
    events.pop();
    let of = |event| Decoded::Event { run: "r".to_owned(), event };
    let used = TurnEvent::ToolUse { id: "c".into(), name: "look".into(), input: json!({"a": 1}).into() };
    let told = TurnEvent::ToolResult { id: "c".into(), text: "no".into(), is_error: true };
    assert_eq!(events, [of(used), of(told)]);
}

#[test]
fn retries_of_the_gateway_are_signs_of_life() {
    let retry = json!({"phase": "retrying", "attempt": 2, "maxAttempts": 10, "reason": "rate_limit"});
    let events = decode(&[agent("run_status", retry)]);
    let waits = |event: &Decoded| matches!(event, Decoded::Event { event: TurnEvent::Waiting { .. }, .. });
    let limits = |event: &Decoded| {
        matches!(
            event,
            Decoded::Event { event: TurnEvent::RateLimit { rejected: true, resets_at: None }, .. }
        )
    };
    assert!(events.iter().any(waits) && events.iter().any(limits), "{events:?}");
}
