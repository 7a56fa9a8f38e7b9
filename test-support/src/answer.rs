//! A turn as one JSON message, or as the script of an event stream.

use serde_json::{Value, json};

use crate::{Block, ModelTurn};

/// What the stream does next.
#[derive(Debug)]
pub(crate) enum Step {
    Pause(u64),
    Gate,
    Event(Value),
}

/// A turn with all that is fixed when its request arrives.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) turn: ModelTurn,
    message_id: String,
    model: String,
    blocks: Vec<Filled>,
}

/// A block with nothing left to choose.
#[derive(Debug)]
struct Filled {
    whole: Value,
    opening: Value,
    delta_type: &'static str,
    delta_key: &'static str,
    streamed: String,
}

impl Answer {
    pub(crate) fn new(turn: ModelTurn, requested: &str, mut next_id: impl FnMut(&str) -> String) -> Self {
        let message_id = next_id("msg");
        let model = turn.model.clone().unwrap_or_else(|| requested.to_owned());
        let blocks = turn.blocks.iter().map(|block| fill(block, &mut next_id)).collect();
        Self { turn, message_id, model, blocks }
    }

    pub(crate) fn message(&self) -> Value {
        let content = self.blocks.iter().map(|block| block.whole.clone()).collect();
        let (stop_reason, usage) = (json!(self.stop_reason()), self.final_usage());
        self.envelope(content, stop_reason, usage)
    }

    pub(crate) fn script(&self) -> Vec<Step> {
        let start = self.envelope(Vec::new(), Value::Null, Value::Object(usage_at_start()));
        let mut steps = vec![Step::Event(json!({"type": "message_start", "message": start}))];
        if let Some(error) = &self.turn.sse_error {
            let error = json!({"type": error.kind, "message": error.message});
            steps.push(Step::Event(json!({"type": "error", "error": error})));
            return steps;
        }
        for (index, block) in self.blocks.iter().enumerate() {
            self.block_steps(index, block, &mut steps);
        }
        let delta = json!({"stop_reason": self.stop_reason(), "stop_sequence": null});
        let last = json!({"type": "message_delta", "delta": delta, "usage": self.final_usage()});
        steps.extend([Step::Event(last), Step::Event(json!({"type": "message_stop"}))]);
        steps
    }

    fn block_steps(&self, index: usize, block: &Filled, steps: &mut Vec<Step>) {
        steps.push(Step::Pause(self.turn.block_delay_ms));
        if self.turn.gate_at_block == Some(index) {
            steps.push(Step::Gate);
        }
        let opening = json!({"type": "content_block_start", "index": index, "content_block": block.opening});
        steps.push(Step::Event(opening));
        if index == 0 {
            steps.push(Step::Event(json!({"type": "ping"})));
        }
        for piece in pieces(&block.streamed, self.turn.chunk) {
            steps.push(Step::Pause(self.turn.chunk_delay_ms));
            steps.push(delta(index, block.delta_type, block.delta_key, &piece));
        }
        if let Some(signature) = block.whole["signature"].as_str() {
            steps.push(delta(index, "signature_delta", "signature", signature));
        }
        steps.push(Step::Event(json!({"type": "content_block_stop", "index": index})));
    }

    fn envelope(&self, content: Vec<Value>, stop_reason: Value, usage: Value) -> Value {
        json!({
            "id": self.message_id, "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": stop_reason, "stop_sequence": null, "usage": usage,
        })
    }

    fn stop_reason(&self) -> &str {
        let calls_tool = self.turn.blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        let natural = if calls_tool { "tool_use" } else { "end_turn" };
        self.turn.stop_reason.as_deref().unwrap_or(natural)
    }

    fn final_usage(&self) -> Value {
        let mut usage = usage_at_start();
        usage.insert("output_tokens".to_owned(), json!(42));
        usage.extend(self.turn.usage.clone());
        Value::Object(usage)
    }
}

fn usage_at_start() -> serde_json::Map<String, Value> {
    let counts = [
        ("input_tokens", 100),
        ("cache_creation_input_tokens", 10),
        ("cache_read_input_tokens", 1000),
        ("output_tokens", 1),
    ];
    let mut usage: serde_json::Map<_, _> =
        counts.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
    usage.insert("service_tier".to_owned(), json!("standard"));
    usage
}

fn fill(block: &Block, next_id: &mut impl FnMut(&str) -> String) -> Filled {
    match block {
        Block::Text { text, gen_bytes } => {
            let text = gen_bytes.map_or_else(|| text.clone(), generated);
            Filled {
                whole: json!({"type": "text", "text": text}),
                opening: json!({"type": "text", "text": ""}),
                delta_type: "text_delta",
                delta_key: "text",
                streamed: text,
            }
        }
        Block::Thinking { text, signature } => Filled {
            whole: json!({
                "type": "thinking", "thinking": text,
                "signature": signature.as_deref().unwrap_or("c2lnbmF0dXJl"),
            }),
            opening: json!({"type": "thinking", "thinking": "", "signature": ""}),
            delta_type: "thinking_delta",
            delta_key: "thinking",
            streamed: text.clone(),
        },
        Block::ToolUse { name, input, id, raw_json } => {
            let id = id.clone().unwrap_or_else(|| next_id("toolu"));
            Filled {
                whole: json!({"type": "tool_use", "id": id, "name": name, "input": input}),
                opening: json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                delta_type: "input_json_delta",
                delta_key: "partial_json",
                streamed: raw_json.clone().unwrap_or_else(|| json!(input).to_string()),
            }
        }
    }
}

fn generated(bytes: usize) -> String {
    "0123456789abcdef".chars().cycle().take(bytes).collect()
}

fn delta(index: usize, kind: &str, key: &str, piece: &str) -> Step {
    let delta = json!({"type": kind, key: piece});
    Step::Event(json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn pieces(text: &str, size: Option<usize>) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let size = size.unwrap_or(chars.len() / 3 + 1).max(1);
    chars.chunks(size).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(turn: ModelTurn) -> Answer {
        let mut count = 0;
        Answer::new(turn, "some-model", |prefix| {
            count += 1;
            format!("{prefix}_{count}")
        })
    }

    fn events(answer: &Answer) -> Vec<Value> {
        let steps = answer.script().into_iter();
        steps.filter_map(|step| if let Step::Event(event) = step { Some(event) } else { None }).collect()
    }

    #[test]
    fn deltas_join_to_the_block() {
        let turn = ModelTurn::text("größer → 1").with(|turn| turn.chunk = Some(2));
        let events = events(&answer(turn));
        let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
        assert_eq!(text, "größer → 1");
        assert_eq!(events[0]["message"]["model"], "some-model");
        assert_eq!(events.last().unwrap()["type"], "message_stop");
    }

    #[test]
    fn a_tool_call_stops_for_the_tool() {
        let message = answer(ModelTurn::tool_use("Bash", json!({"command": "ls"}))).message();
        assert_eq!(message["stop_reason"], "tool_use");
        assert_eq!(message["content"][0]["id"], "toolu_2");
        assert_eq!(message["content"][0]["input"]["command"], "ls");
    }

    #[test]
    fn usage_is_laid_over() {
        let turn = ModelTurn::text("x").with(|turn| {
            turn.usage.insert("output_tokens".to_owned(), json!(7));
        });
        let usage = &answer(turn).message()["usage"];
        assert_eq!((&usage["output_tokens"], &usage["input_tokens"]), (&json!(7), &json!(100)));
    }

    #[test]
    fn the_gate_stands_before_its_block() {
        let turn = ModelTurn::text("a").block(Block::text("b")).with(|turn| turn.gate_at_block = Some(1));
        let script = answer(turn).script();
        let gate = script.iter().position(|step| matches!(step, Step::Gate)).unwrap();
        let is_start = |step: &Step| matches!(step, Step::Event(e) if e["type"] == "content_block_start");
        assert_eq!(script[..gate].iter().filter(|step| is_start(step)).count(), 1);
        assert!(is_start(&script[gate + 1]));
    }
}
