//! The responses API of OpenAI. A tool named `space.tool` is called in that namespace, and one named
//! `custom:tool` with a text instead of JSON.

use serde_json::{Value, json};

use crate::answer::{Answer, Piece, Step};

/// What the names of tools begin with that take a text.
const CUSTOM: &str = "custom:";

/// Where the arguments of a call stand.
fn arguments(piece: &Piece) -> &'static str {
    match piece {
        Piece::Call { name, .. } if name.starts_with(CUSTOM) => "input",
        _ => "arguments",
    }
}

pub(super) fn message(answer: &Answer) -> Value {
    let output = answer.pieces.iter().enumerate().map(|(index, piece)| item(answer, index, piece)).collect();
    finished(answer, output)
}

pub(super) fn script(answer: &Answer) -> Vec<Step> {
    let created = response(answer, "in_progress", Vec::new());
    let mut steps = vec![Step::Event(json!({"type": "response.created", "response": created}))];
    if let Some(error) = &answer.turn.sse_error {
        let mut failed = response(answer, "failed", Vec::new());
        failed["error"] = json!({"code": error.kind, "message": error.message});
        steps.push(Step::Event(json!({"type": "response.failed", "response": failed})));
        return steps;
    }
    let mut output = Vec::new();
    for (index, piece) in answer.pieces.iter().enumerate() {
        answer.before_piece(index, &mut steps);
        let whole = item(answer, index, piece);
        let event = |kind: &str, item: &Value| {
            Step::Event(json!({"type": format!("response.output_item.{kind}"), "output_index": index,
                "item": item}))
        };
        steps.push(event("added", &opening(&whole, piece)));
        piece_steps(answer, index, piece, &mut steps);
        steps.push(event("done", &whole));
        output.push(whole);
    }
    let last = finished(answer, output);
    let kind = if last["status"] == "completed" { "response.completed" } else { "response.incomplete" };
    steps.push(Step::Event(json!({"type": kind, "response": last})));
    steps
}

fn piece_steps(answer: &Answer, index: usize, piece: &Piece, steps: &mut Vec<Step>) {
    let (kind, text) = match piece {
        Piece::Text(text) => ("response.output_text", text),
        Piece::Thinking { text, .. } => ("response.reasoning_summary_text", text),
        Piece::Call { streamed, .. } => (
            match arguments(piece) {
                "input" => "response.custom_tool_call_input",
                _ => "response.function_call_arguments",
            },
            streamed,
        ),
    };
    let event = |suffix: &str, key: &str, value: Value| {
        json!({"type": format!("{kind}.{suffix}"), "item_id": item_id(answer, index), "output_index": index,
            "content_index": 0, "summary_index": 0, key: value})
    };
    let part = match piece {
        Piece::Text(_) => Some(("response.content_part.added", json!({"type": "output_text", "text": ""}))),
        Piece::Thinking { .. } => {
            Some(("response.reasoning_summary_part.added", json!({"type": "summary_text", "text": ""})))
        }
        Piece::Call { .. } => None,
    };
    if let Some((kind, part)) = part {
        steps.push(Step::Event(json!({"type": kind, "item_id": item_id(answer, index),
            "output_index": index, "content_index": 0, "summary_index": 0, "part": part})));
    }
    answer.deltas(text, steps, |part| event("delta", "delta", json!(part)));
    let key = if matches!(piece, Piece::Call { .. }) { arguments(piece) } else { "text" };
    steps.push(Step::Event(event("done", key, json!(text))));
}

fn item(answer: &Answer, index: usize, piece: &Piece) -> Value {
    let id = item_id(answer, index);
    match piece {
        Piece::Text(text) => json!({"type": "message", "id": id, "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}),
        Piece::Thinking { text, signature } => json!({"type": "reasoning", "id": id,
            "summary": [{"type": "summary_text", "text": text}], "encrypted_content": signature}),
        Piece::Call { id: call, name, streamed, .. } if name.starts_with(CUSTOM) => {
            let name = name.trim_start_matches(CUSTOM);
            json!({"type": "custom_tool_call", "id": id, "call_id": call, "status": "completed", "name": name,
                "input": streamed})
        }
        Piece::Call { id: call, name, streamed, .. } => {
            let (space, name) =
                name.rsplit_once('.').map_or((None, name.as_str()), |(space, name)| (Some(space), name));
            let mut item = json!({"type": "function_call", "id": id, "call_id": call, "status": "completed",
                "name": name, "arguments": streamed});
            if let Some(space) = space {
                item["namespace"] = json!(space);
            }
            item
        }
    }
}

fn opening(whole: &Value, piece: &Piece) -> Value {
    let mut opening = whole.clone();
    match piece {
        Piece::Text(_) => (opening["content"], opening["status"]) = (json!([]), json!("in_progress")),
        Piece::Thinking { .. } => opening["summary"] = json!([]),
        Piece::Call { .. } => opening[arguments(piece)] = json!(""),
    }
    opening
}

fn item_id(answer: &Answer, index: usize) -> String {
    format!("item_{}_{index}", answer.id)
}

/// A reason to stop makes it incomplete.
fn finished(answer: &Answer, output: Vec<Value>) -> Value {
    let status = if answer.turn.stop_reason.is_some() { "incomplete" } else { "completed" };
    let mut response = response(answer, status, output);
    if let Some(reason) = &answer.turn.stop_reason {
        response["incomplete_details"] = json!({ "reason": reason });
    }
    let tokens = answer.tokens();
    response["usage"] = json!({"input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached}, "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output});
    response
}

fn response(answer: &Answer, status: &str, output: Vec<Value>) -> Value {
    json!({"id": answer.id, "object": "response", "status": status, "model": answer.model, "output": output})
}
