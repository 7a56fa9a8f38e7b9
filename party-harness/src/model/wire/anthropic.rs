//! Anthropic's Messages.

use super::{Answered, Ask, Call, Message, Part, Piece, Reply, Stop, as_object, count, object};
use crate::{ToolSpec, model::fault::Fault};
use party_core::Usage;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The API wants a limit. Reasoning counts, and older models cannot write more than twice this.
const MOST_OUTPUT: u32 = 16_384;

pub(super) fn body(ask: &Ask<'_>) -> Value {
    let mut messages: Vec<Value> = ask.messages.iter().map(message).collect();
    let system = (!ask.system.is_empty())
        .then(|| json!([{"type": "text", "text": ask.system, "cache_control": {"type": "ephemeral"}}]));
    let (tools, choice) = match ask.tools {
        [] => (None, None),
        tools => {
            // The next step reads all of this again.
            cache_the_end(&mut messages);
            let choice = if ask.is_forced { "any" } else { "auto" };
            (Some(tools.iter().map(tool).collect()), Some(json!({"type": choice})))
        }
    };
    object([
        ("model", Some(json!(ask.model))),
        ("stream", Some(json!(true))),
        ("max_tokens", Some(json!(ask.most_output.unwrap_or(MOST_OUTPUT)))),
        ("temperature", ask.temperature.map(Value::from)),
        ("tools", tools),
        ("tool_choice", choice),
        ("system", system),
        ("messages", Some(Value::Array(messages))),
    ])
}

fn cache_the_end(messages: &mut [Value]) {
    let blocks = messages.last_mut().and_then(|message| message["content"].as_array_mut());
    if let Some(block) = blocks.and_then(|blocks| blocks.last_mut()) {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
}

fn tool(tool: &ToolSpec) -> Value {
    json!({"name": tool.name, "description": tool.description, "input_schema": tool.input_schema})
}

fn message(message: &Message) -> Value {
    match message {
        Message::User(answers, text) => {
            let said = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
            let content: Vec<Value> = answers.iter().map(answer).chain(said).collect();
            json!({"role": "user", "content": content})
        }
        Message::Model(parts, calls) => {
            let content: Vec<Value> = parts.iter().filter_map(|part| block(part, calls)).collect();
            json!({"role": "assistant", "content": content})
        }
    }
}

fn answer(answered: &Answered) -> Value {
    json!({"type": "tool_result", "tool_use_id": answered.id, "is_error": answered.is_error,
        "content": [{"type": "text", "text": answered.text}]})
}

/// Blank words are refused.
fn block(part: &Part, calls: &[Call]) -> Option<Value> {
    match part {
        Part::Text(text, _) if text.trim().is_empty() => None,
        Part::Text(text, _) => Some(json!({"type": "text", "text": text})),
        Part::Call(number, _) => calls.get(*number).map(|call| {
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": as_object(&call.arguments)})
        }),
        Part::Kept(block) => Some(block.clone()),
    }
}

#[derive(Debug, Default)]
pub(in crate::model) struct Decoder {
    pub(super) reply: Reply,
    open: BTreeMap<u64, Open>,
}

/// A block that is being written.
#[derive(Debug)]
enum Open {
    Text,
    Call {
        number: usize,
        /// What it was begun with, for a server that gives all at once.
        whole: Value,
    },
    /// Reasoning, which is given back as a whole with its seal.
    Thinking(Value),
    Other,
}

impl Decoder {
    pub(super) fn event(&mut self, data: &str) -> Result<Vec<Piece>, Fault> {
        let event: Value = serde_json::from_str(data).map_err(|_| Fault::garbage(data))?;
        let index = count(&event["index"]);
        let piece = match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                self.usage(&event["message"]["usage"]);
                None
            }
            "content_block_start" => self.begin(index, &event["content_block"])?,
            "content_block_delta" => self.delta(index, &event["delta"]),
            "content_block_stop" => {
                self.close(index);
                None
            }
            "message_delta" => {
                self.usage(&event["usage"]);
                self.stopped(&event["delta"]);
                None
            }
            "message_stop" => {
                (self.reply.is_whole, self.reply.is_over) = (true, true);
                None
            }
            "ping" => None,
            "error" => return Err(Fault::streamed(&event["error"])),
            _ => Some(Piece::Raw(event.into())),
        };
        Ok(piece.into_iter().collect())
    }

    fn begin(&mut self, index: u64, block: &Value) -> Result<Option<Piece>, Fault> {
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        let (open, piece) = match text("type") {
            "text" => {
                self.reply.parts.push(Part::Text(String::new(), None));
                (Open::Text, self.reply.say(text("text"), None))
            }
            "tool_use" => {
                let call =
                    Call { id: text("id").into(), name: text("name").into(), arguments: String::new() };
                let number = self.reply.call(call, None)?;
                (Open::Call { number, whole: block["input"].clone() }, None)
            }
            "thinking" => (Open::Thinking(block.clone()), shown(text("thinking"))),
            "redacted_thinking" => {
                self.reply.parts.push(Part::Kept(block.clone()));
                (Open::Other, None)
            }
            _ => (Open::Other, Some(Piece::Raw(block.clone().into()))),
        };
        self.open.insert(index, open);
        Ok(piece)
    }

    fn delta(&mut self, index: u64, delta: &Value) -> Option<Piece> {
        let text = |name: &str| delta[name].as_str().unwrap_or_default();
        match (self.open.get_mut(&index), text("type")) {
            (Some(Open::Text), "text_delta") => self.reply.say(text("text"), None),
            (Some(Open::Call { number, .. }), "input_json_delta") => {
                self.reply.calls[*number].arguments.push_str(text("partial_json"));
                None
            }
            (Some(Open::Thinking(block)), "thinking_delta") => {
                append(block, "thinking", text("thinking"));
                shown(text("thinking"))
            }
            (Some(Open::Thinking(block)), "signature_delta") => {
                append(block, "signature", text("signature"));
                None
            }
            _ => Some(Piece::Raw(delta.clone().into())),
        }
    }

    fn close(&mut self, index: u64) {
        match self.open.remove(&index) {
            // Without its seal it is refused.
            Some(Open::Thinking(block))
                if block["signature"].as_str().is_some_and(|seal| !seal.is_empty()) =>
            {
                self.reply.parts.push(Part::Kept(block));
            }
            Some(Open::Call { number, whole: Value::Object(whole) }) if !whole.is_empty() => {
                let arguments = &mut self.reply.calls[number].arguments;
                if arguments.is_empty() {
                    *arguments = Value::Object(whole).to_string();
                }
            }
            _ => {}
        }
    }

    fn stopped(&mut self, delta: &Value) {
        let Some(reason) = delta["stop_reason"].as_str() else { return };
        self.reply.stop = Some(match reason {
            "max_tokens" => Stop::Length,
            "model_context_window_exceeded" => Stop::Context,
            "refusal" => Stop::Withheld("a refusal".to_owned()),
            _ => Stop::Done,
        });
    }

    /// Counts are of the whole message so far; what is not told again stays.
    fn usage(&mut self, usage: &Value) {
        if !usage.is_object() {
            return;
        }
        let used = self.reply.usage.get_or_insert_with(Usage::default);
        let counts = [
            ("input_tokens", &mut used.input_tokens),
            ("output_tokens", &mut used.output_tokens),
            ("cache_read_input_tokens", &mut used.cache_read_tokens),
            ("cache_creation_input_tokens", &mut used.cache_write_tokens),
        ];
        for (name, place) in counts {
            *place = usage[name].as_u64().unwrap_or(*place);
        }
    }
}

fn shown(text: &str) -> Option<Piece> {
    (!text.is_empty()).then(|| Piece::Thinking(text.to_owned()))
}

fn append(block: &mut Value, name: &str, text: &str) {
    match &mut block[name] {
        Value::String(known) => known.push_str(text),
        place => *place = json!(text),
    }
}
