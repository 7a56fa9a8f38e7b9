//! The chat completions of OpenAI, which most other servers speak too.

use serde_json::{Value, json};

use crate::answer::{Answer, Piece, Step};

pub(super) fn message(answer: &Answer) -> Value {
    let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
    for piece in &answer.pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Thinking { text: part, .. } => thinking.push_str(part),
            Piece::Call { id, name, streamed, .. } => calls.push(
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": streamed}}),
            ),
        }
    }
    let mut message = json!({"role": "assistant", "content": text});
    if !thinking.is_empty() {
        message["reasoning_content"] = json!(thinking);
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(answer)});
    json!({"id": answer.id, "object": "chat.completion", "created": 0, "model": answer.model,
        "choices": [choice], "usage": usage(answer)})
}

pub(super) fn script(answer: &Answer) -> Vec<Step> {
    let mut steps = vec![Step::Event(chunk(answer, json!({"role": "assistant", "content": ""}), None))];
    if let Some(failed) = &answer.turn.sse_error {
        steps.push(Step::Event(error(&failed.kind, &failed.message)));
        return steps;
    }
    let mut calls = 0;
    for (index, piece) in answer.pieces.iter().enumerate() {
        answer.before_piece(index, &mut steps);
        match piece {
            Piece::Text(text) => {
                answer.deltas(text, &mut steps, |part| chunk(answer, json!({"content": part}), None));
            }
            Piece::Thinking { text, .. } => {
                let event = |part| chunk(answer, json!({"reasoning_content": part}), None);
                answer.deltas(text, &mut steps, event);
            }
            Piece::Call { id, name, streamed, .. } => {
                let call = |call: Value| chunk(answer, json!({"tool_calls": [call]}), None);
                steps.push(Step::Event(call(json!({"index": calls, "id": id, "type": "function",
                    "function": {"name": name, "arguments": ""}}))));
                answer.deltas(streamed, &mut steps, |part| {
                    call(json!({"index": calls, "function": {"arguments": part}}))
                });
                calls += 1;
            }
        }
    }
    steps.push(Step::Event(chunk(answer, json!({}), Some(finish_reason(answer)))));
    let mut last = chunk(answer, json!({}), None);
    (last["choices"], last["usage"]) = (json!([]), usage(answer));
    steps.extend([Step::Event(last), Step::Event(json!("[DONE]"))]);
    steps
}

pub(super) fn error(kind: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": kind, "param": null, "code": kind}})
}

fn chunk(answer: &Answer, delta: Value, finish_reason: Option<&str>) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
    json!({"id": answer.id, "object": "chat.completion.chunk", "created": 0, "model": answer.model,
        "choices": [choice]})
}

fn finish_reason(answer: &Answer) -> &str {
    let natural = if answer.calls_tool() { "tool_calls" } else { "stop" };
    answer.turn.stop_reason.as_deref().unwrap_or(natural)
}

fn usage(answer: &Answer) -> Value {
    let tokens = answer.tokens();
    json!({"prompt_tokens": tokens.input, "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning}})
}
