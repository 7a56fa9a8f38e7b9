//! Gemini's `generateContent`.

use serde_json::{Value, json};

use crate::answer::{Answer, Piece, Step};

pub(super) fn message(answer: &Answer) -> Value {
    let parts = answer.pieces.iter().map(whole).collect();
    last(answer, parts)
}

pub(super) fn script(answer: &Answer) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(failed) = &answer.turn.sse_error {
        return vec![Step::Event(error(503, &failed.kind, &failed.message))];
    }
    for (index, piece) in answer.pieces.iter().enumerate() {
        answer.before_piece(index, &mut steps);
        match piece {
            Piece::Text(text) => {
                answer.deltas(text, &mut steps, |part| chunk(answer, vec![json!({"text": part})]));
            }
            Piece::Thinking { text, .. } => {
                let event = |part| chunk(answer, vec![json!({"text": part, "thought": true})]);
                answer.deltas(text, &mut steps, event);
            }
            // A call comes whole.
            Piece::Call { .. } => steps.push(Step::Event(chunk(answer, vec![whole(piece)]))),
        }
    }
    steps.push(Step::Event(last(answer, vec![json!({"text": ""})])));
    steps
}

pub(super) fn error(code: u16, status: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message, "status": status}})
}

fn whole(piece: &Piece) -> Value {
    match piece {
        Piece::Text(text) => json!({"text": text}),
        Piece::Thinking { text, .. } => json!({"text": text, "thought": true}),
        Piece::Call { id, name, input, .. } => {
            json!({"functionCall": {"id": id, "name": name, "args": input}})
        }
    }
}

fn last(answer: &Answer, parts: Vec<Value>) -> Value {
    let tokens = answer.tokens();
    let mut last = chunk(answer, parts);
    last["candidates"][0]["finishReason"] = json!(answer.turn.stop_reason.as_deref().unwrap_or("STOP"));
    last["usageMetadata"] = json!({"promptTokenCount": tokens.input,
        "candidatesTokenCount": tokens.output - tokens.reasoning.min(tokens.output),
        "thoughtsTokenCount": tokens.reasoning, "cachedContentTokenCount": tokens.cached,
        "totalTokenCount": tokens.input + tokens.output});
    last
}

fn chunk(answer: &Answer, parts: Vec<Value>) -> Value {
    let candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    json!({"candidates": [candidate], "modelVersion": answer.model, "responseId": answer.id})
}
