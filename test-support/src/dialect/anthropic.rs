//! The Anthropic Messages API.

use serde_json::{Value, json};

use crate::answer::{Answer, Piece, Step, usage_at_start};

pub(super) fn message(answer: &Answer) -> Value {
    let content = answer.pieces.iter().map(whole).collect();
    envelope(answer, content, json!(stop_reason(answer)), Value::Object(answer.usage()))
}

pub(super) fn script(answer: &Answer) -> Vec<Step> {
    let start = envelope(answer, Vec::new(), Value::Null, Value::Object(usage_at_start()));
    let mut steps = vec![Step::Event(json!({"type": "message_start", "message": start}))];
    if let Some(error) = &answer.turn.sse_error {
        let error = json!({"type": error.kind, "message": error.message});
        steps.push(Step::Event(json!({"type": "error", "error": error})));
        return steps;
    }
    for (index, piece) in answer.pieces.iter().enumerate() {
        piece_steps(answer, index, piece, &mut steps);
    }
    let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": null});
    let last = json!({"type": "message_delta", "delta": delta, "usage": answer.usage()});
    steps.extend([Step::Event(last), Step::Event(json!({"type": "message_stop"}))]);
    steps
}

pub(super) fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"})
}

fn piece_steps(answer: &Answer, index: usize, piece: &Piece, steps: &mut Vec<Step>) {
    answer.before_piece(index, steps);
    let opening = opening(piece);
    steps.push(Step::Event(json!({"type": "content_block_start", "index": index, "content_block": opening})));
    if index == 0 {
        steps.push(Step::Event(json!({"type": "ping"})));
    }
    let (kind, key, text) = match piece {
        Piece::Text(text) => ("text_delta", "text", text),
        Piece::Thinking { text, .. } => ("thinking_delta", "thinking", text),
        Piece::Call { streamed, .. } => ("input_json_delta", "partial_json", streamed),
    };
    answer.deltas(text, steps, |part| delta(index, kind, key, &part));
    if let Piece::Thinking { signature, .. } = piece {
        steps.push(Step::Event(delta(index, "signature_delta", "signature", signature)));
    }
    steps.push(Step::Event(json!({"type": "content_block_stop", "index": index})));
}

fn whole(piece: &Piece) -> Value {
    match piece {
        Piece::Text(text) => json!({"type": "text", "text": text}),
        Piece::Thinking { text, signature } => {
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        Piece::Call { id, name, input, .. } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    }
}

fn opening(piece: &Piece) -> Value {
    match piece {
        Piece::Text(_) => json!({"type": "text", "text": ""}),
        Piece::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Piece::Call { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
    }
}

fn envelope(answer: &Answer, content: Vec<Value>, stop_reason: Value, usage: Value) -> Value {
    json!({
        "id": answer.id, "type": "message", "role": "assistant", "model": answer.model,
        "content": content, "stop_reason": stop_reason, "stop_sequence": null, "usage": usage,
    })
}

fn stop_reason(answer: &Answer) -> &str {
    let natural = if answer.calls_tool() { "tool_use" } else { "end_turn" };
    answer.turn.stop_reason.as_deref().unwrap_or(natural)
}

fn delta(index: usize, kind: &str, key: &str, part: &str) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": {"type": kind, key: part}})
}
