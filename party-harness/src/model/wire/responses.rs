//! OpenAI's responses. Nothing is stored at the provider: each call holds the whole conversation.

use super::{Answered, Ask, Call, Message, Part, Piece, Reply, Stop, count, object, openai};
use crate::{ToolSpec, model::fault::Fault};
use party_core::Usage;
use serde_json::{Value, json};

pub(super) fn body(ask: &Ask<'_>) -> Value {
    let (tools, choice) = match ask.tools {
        [] => (None, None),
        tools => {
            let choice = if ask.is_forced { "required" } else { "auto" };
            (Some(tools.iter().map(tool).collect()), Some(json!(choice)))
        }
    };
    object([
        ("model", Some(json!(ask.model))),
        ("stream", Some(json!(true))),
        ("store", Some(json!(false))),
        // Reasoning comes sealed, and is given back in the next step.
        ("include", Some(json!(["reasoning.encrypted_content"]))),
        ("max_output_tokens", ask.most_output.map(Value::from)),
        ("temperature", ask.temperature.map(Value::from)),
        ("tools", tools),
        ("tool_choice", choice),
        ("instructions", (!ask.system.is_empty()).then(|| json!(ask.system))),
        ("input", Some(ask.messages.iter().flat_map(items).collect())),
    ])
}

fn tool(tool: &ToolSpec) -> Value {
    json!({"type": "function", "name": tool.name, "description": tool.description,
        "parameters": tool.input_schema, "strict": false})
}

fn items(message: &Message) -> Vec<Value> {
    match message {
        Message::User(answers, text) => {
            let said = (!text.is_empty()).then(|| words("user", "input_text", text));
            answers.iter().map(answer).chain(said).collect()
        }
        Message::Model(parts, calls) => parts.iter().filter_map(|part| item(part, calls)).collect(),
    }
}

fn words(role: &str, kind: &str, text: &str) -> Value {
    json!({"type": "message", "role": role, "content": [{"type": kind, "text": text}]})
}

fn answer(answered: &Answered) -> Value {
    json!({"type": "function_call_output", "call_id": answered.id, "output": answered.text})
}

fn item(part: &Part, calls: &[Call]) -> Option<Value> {
    match part {
        Part::Text(text, _) => Some(words("assistant", "output_text", text)),
        Part::Call(number, _) => calls.get(*number).map(|call| {
            json!({"type": "function_call", "call_id": call.id, "name": call.name,
                "arguments": openai::arguments(call)})
        }),
        Part::Kept(item) => Some(item.clone()),
    }
}

#[derive(Debug, Default)]
pub(in crate::model) struct Decoder {
    pub(super) reply: Reply,
}

impl Decoder {
    pub(super) fn event(&mut self, data: &str) -> Result<Vec<Piece>, Fault> {
        let mut event: Value = serde_json::from_str(data).map_err(|_| Fault::garbage(data))?;
        let delta = || event["delta"].as_str().unwrap_or_default();
        let piece = match event["type"].as_str().unwrap_or_default() {
            "response.output_text.delta" | "response.refusal.delta" => self.reply.say(delta(), None),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                Some(delta()).filter(|text| !text.is_empty()).map(|text| Piece::Thinking(text.to_owned()))
            }
            "response.output_item.done" => {
                self.done(event["item"].take())?;
                None
            }
            "response.completed" | "response.incomplete" => {
                self.ended(&event["response"]);
                None
            }
            "response.failed" => return Err(Fault::streamed(&event["response"]["error"])),
            "error" => {
                let error = if event["error"].is_object() { &event["error"] } else { &event };
                return Err(Fault::streamed(error));
            }
            // They tell again what the deltas and the whole items tell.
            kind if kind.starts_with("response.") => None,
            _ => Some(Piece::Raw(event.into())),
        };
        Ok(piece.into_iter().collect())
    }

    /// An item is whole. Words have come in pieces before.
    fn done(&mut self, mut item: Value) -> Result<(), Fault> {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str().unwrap_or_default() {
            "function_call" => {
                let (id, name, arguments) = (text("call_id"), text("name"), text("arguments"));
                self.reply.call(Call { id, name, arguments }, None)?;
            }
            // Without its seal the provider does not know it again.
            "reasoning" if !text("encrypted_content").is_empty() => {
                if let Some(fields) = item.as_object_mut() {
                    fields.remove("status");
                }
                self.reply.parts.push(Part::Kept(item));
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, response: &Value) {
        (self.reply.is_whole, self.reply.is_over) = (true, true);
        if let usage @ Value::Object(_) = &response["usage"] {
            self.reply.usage = Some(used(usage));
        }
        self.reply.stop = Some(match response["incomplete_details"]["reason"].as_str() {
            Some("max_output_tokens") => Stop::Length,
            Some("content_filter") => Stop::Withheld("its content filter".to_owned()),
            _ => Stop::Done,
        });
    }
}

/// The tokens of the input count those that were cached; reasoning counts as output.
fn used(usage: &Value) -> Usage {
    let details = &usage["input_tokens_details"];
    let mut used = Usage::default();
    used.cache_read_tokens = count(&details["cached_tokens"]);
    used.cache_write_tokens = count(&details["cache_write_tokens"]);
    let cached = used.cache_read_tokens.saturating_add(used.cache_write_tokens);
    used.input_tokens = count(&usage["input_tokens"]).saturating_sub(cached);
    used.output_tokens = count(&usage["output_tokens"]);
    used
}
