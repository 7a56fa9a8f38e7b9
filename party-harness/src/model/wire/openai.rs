//! OpenAI's chat completions.

use super::{Answered, Ask, Call, Message, Part, Piece, Reply, Stop, count, object};
use crate::{ToolSpec, model::fault::Fault};
use party_core::Usage;
use serde_json::{Value, json};

pub(super) fn body(ask: &Ask<'_>) -> Value {
    let system = (!ask.system.is_empty()).then(|| json!({"role": "system", "content": ask.system}));
    let messages: Vec<Value> = system.into_iter().chain(ask.messages.iter().flat_map(messages)).collect();
    let (tools, choice) = match ask.tools {
        [] => (None, None),
        tools => {
            let choice = if ask.is_forced { "required" } else { "auto" };
            (Some(tools.iter().map(tool).collect()), Some(json!(choice)))
        }
    };
    let most = ask.most_output.map(Value::from);
    object([
        ("model", Some(json!(ask.model))),
        ("stream", Some(json!(true))),
        ("stream_options", Some(json!({"include_usage": true}))),
        (if ask.names_completion { "max_completion_tokens" } else { "max_tokens" }, most),
        ("reasoning_effort", (!ask.may_reason && !ask.tools.is_empty()).then(|| json!("none"))),
        ("temperature", ask.temperature.map(Value::from)),
        ("tools", tools),
        ("tool_choice", choice),
        ("messages", Some(Value::Array(messages))),
    ])
}

fn tool(tool: &ToolSpec) -> Value {
    json!({"type": "function", "function": {"name": tool.name, "description": tool.description,
        "parameters": tool.input_schema}})
}

fn messages(message: &Message) -> Vec<Value> {
    match message {
        Message::User(answers, text) => {
            let said = (!text.is_empty()).then(|| json!({"role": "user", "content": text}));
            answers.iter().map(answer).chain(said).collect()
        }
        Message::Model(parts, calls) => {
            let text: String = parts.iter().filter_map(words).collect();
            let calls = (!calls.is_empty()).then(|| calls.iter().map(call).collect());
            let text = (!text.is_empty() || calls.is_none()).then_some(json!(text));
            let role = Some(json!("assistant"));
            vec![object([("role", role), ("content", Some(text.unwrap_or_default())), ("tool_calls", calls)])]
        }
    }
}

fn answer(answered: &Answered) -> Value {
    json!({"role": "tool", "tool_call_id": answered.id, "content": answered.text})
}

const fn words(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text, _) => Some(text.as_str()),
        Part::Call(..) | Part::Kept(_) => None,
    }
}

fn call(call: &Call) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments(call)}})
}

/// Servers read the arguments again, and refuse the whole request where they are no JSON.
pub(super) fn arguments(call: &Call) -> &str {
    let arguments = call.value().map_or("{}", |_| call.arguments.trim());
    if arguments.is_empty() { "{}" } else { arguments }
}

#[derive(Debug, Default)]
pub(in crate::model) struct Decoder {
    pub(super) reply: Reply,
    /// The stream's own numbers of the calls.
    indices: Vec<u64>,
}

impl Decoder {
    pub(super) fn event(&mut self, data: &str) -> Result<Vec<Piece>, Fault> {
        if data.trim() == "[DONE]" {
            (self.reply.is_whole, self.reply.is_over) = (true, true);
            return Ok(Vec::new());
        }
        let chunk: Value = serde_json::from_str(data).map_err(|_| Fault::garbage(data))?;
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            return Err(Fault::streamed(error));
        }
        if let usage @ Value::Object(_) = &chunk["usage"] {
            self.reply.usage = Some(used(usage));
        }
        let Some(choices) = chunk["choices"].as_array() else { return Ok(vec![Piece::Raw(chunk.into())]) };
        let mut pieces = Vec::new();
        for choice in choices.iter().filter(|choice| count(&choice["index"]) == 0) {
            self.choice(choice, &mut pieces)?;
        }
        Ok(pieces)
    }

    fn choice(&mut self, choice: &Value, pieces: &mut Vec<Piece>) -> Result<(), Fault> {
        let delta = &choice["delta"];
        for name in ["reasoning_content", "reasoning"] {
            let text = delta[name].as_str().filter(|text| !text.is_empty());
            pieces.extend(text.map(|text| Piece::Thinking(text.to_owned())));
        }
        for content in [&delta["content"], &delta["refusal"]] {
            pieces.extend(content.as_str().and_then(|text| self.reply.say(text, None)));
            for part in content.as_array().into_iter().flatten() {
                pieces.extend(part["text"].as_str().and_then(|text| self.reply.say(text, None)));
            }
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(call)?;
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            // Not every server says `[DONE]`.
            self.reply.is_whole = true;
            self.reply.stop = Some(match reason {
                "length" => Stop::Length,
                "content_filter" => Stop::Withheld("its content filter".to_owned()),
                _ => Stop::Done,
            });
        }
        Ok(())
    }

    /// A piece of a call. Its number says which; some servers give all the same number and another id.
    fn call(&mut self, piece: &Value) -> Result<(), Fault> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (index, id) = (count(&piece["index"]), text(&piece["id"]));
        let (name, arguments) = (text(&piece["function"]["name"]), text(&piece["function"]["arguments"]));
        let place = self.indices.iter().rposition(|known| *known == index);
        let place = place.filter(|place| {
            let known = &self.reply.calls[*place];
            id.is_empty() || known.id == id || name.is_empty()
        });
        match place {
            Some(place) => self.reply.calls[place].arguments.push_str(&arguments),
            None => {
                self.reply.call(Call { id, name, arguments }, None)?;
                self.indices.push(index);
            }
        }
        Ok(())
    }
}

/// The tokens of the prompt count those that were cached.
fn used(usage: &Value) -> Usage {
    let details = &usage["prompt_tokens_details"];
    let mut used = Usage::default();
    used.cache_read_tokens = count(&details["cached_tokens"]);
    used.cache_write_tokens = count(&details["cache_write_tokens"]);
    let cached = used.cache_read_tokens.saturating_add(used.cache_write_tokens);
    used.input_tokens = count(&usage["prompt_tokens"]).saturating_sub(cached);
    used.output_tokens = count(&usage["completion_tokens"]);
    used
}
