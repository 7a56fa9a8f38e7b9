//! Gemini's generateContent.

use super::{Answered, Ask, Call, Message, Part, Piece, Reply, Stop, as_object, object};
use crate::{ToolSpec, model::fault::Fault};
use party_core::Usage;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

pub(super) fn body(ask: &Ask<'_>) -> Value {
    let contents: Vec<Value> = ask.messages.iter().map(content).collect();
    let system = (!ask.system.is_empty()).then(|| json!({"parts": [{"text": ask.system}]}));
    let (tools, choice) = match ask.tools {
        [] => (None, None),
        tools => {
            let declared: Vec<Value> = tools.iter().map(tool).collect();
            let mode = if ask.is_forced { "ANY" } else { "AUTO" };
            (
                Some(json!([{"functionDeclarations": declared}])),
                Some(json!({"functionCallingConfig": {"mode": mode}})),
            )
        }
    };
    let config = object([
        ("maxOutputTokens", ask.most_output.map(Value::from)),
        ("temperature", ask.temperature.map(Value::from)),
    ]);
    let has_config = config.as_object().is_some_and(|config| !config.is_empty());
    object([
        ("systemInstruction", system),
        ("tools", tools),
        ("toolConfig", choice),
        ("generationConfig", has_config.then_some(config)),
        ("contents", Some(Value::Array(contents))),
    ])
}

fn tool(tool: &ToolSpec) -> Value {
    json!({"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.input_schema})
}

fn content(message: &Message) -> Value {
    match message {
        Message::User(answers, text) => {
            let said = (!text.is_empty()).then(|| json!({"text": text}));
            let parts: Vec<Value> = answers.iter().map(answer).chain(said).collect();
            json!({"role": "user", "parts": parts})
        }
        Message::Model(parts, calls) => {
            let parts: Vec<Value> = parts.iter().filter_map(|part| written(part, calls)).collect();
            json!({"role": "model", "parts": parts})
        }
    }
}

fn answer(answered: &Answered) -> Value {
    let kind = if answered.is_error { "error" } else { "output" };
    json!({"functionResponse": {"id": answered.id, "name": answered.name, "response": {kind: answered.text}}})
}

/// What carries a seal is given back with it, where it stood.
fn written(part: &Part, calls: &[Call]) -> Option<Value> {
    let (mut written, seal) = match part {
        Part::Text(text, seal) => (json!({"text": text}), seal),
        Part::Call(number, seal) => {
            let call = calls.get(*number)?;
            let args = as_object(&call.arguments);
            (json!({"functionCall": {"id": call.id, "name": call.name, "args": args}}), seal)
        }
        Part::Kept(part) => (part.clone(), &None),
    };
    if let Some(seal) = seal {
        written["thoughtSignature"] = json!(seal);
    }
    Some(written)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    usage_metadata: Option<Metadata>,
    prompt_feedback: Option<Value>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Given<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given<'a> {
    text: Option<String>,
    thought: Option<bool>,
    thought_signature: Option<String>,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
}

#[derive(Debug, Deserialize)]
struct FunctionCall<'a> {
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
}

#[derive(Debug, Default)]
pub(in crate::model) struct Decoder {
    pub(super) reply: Reply,
}

impl Decoder {
    pub(super) fn event(&mut self, data: &str) -> Result<Vec<Piece>, Fault> {
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|_| Fault::garbage(data))?;
        if let Some(error) = &chunk.error {
            return Err(Fault::streamed(error));
        }
        if let Some(metadata) = &chunk.usage_metadata {
            self.reply.usage = Some(used(metadata));
        }
        let blocked = chunk.prompt_feedback.as_ref().and_then(|feedback| feedback["blockReason"].as_str());
        if let Some(reason) = blocked {
            self.reply.stop = Some(Stop::Withheld(format!("the prompt was blocked: {reason}")));
            self.reply.is_whole = true;
        }
        let mut pieces = Vec::new();
        let candidates = chunk.candidates.unwrap_or_default();
        for candidate in candidates.into_iter().filter(|candidate| candidate.index.unwrap_or(0) == 0) {
            let parts = candidate.content.and_then(|content| content.parts).unwrap_or_default();
            for part in parts {
                pieces.extend(self.part(part)?);
            }
            if let Some(reason) = candidate.finish_reason {
                self.reply.is_whole = true;
                self.reply.stop = Some(stop(&reason));
            }
        }
        Ok(pieces)
    }

    fn part(&mut self, part: Given<'_>) -> Result<Option<Piece>, Fault> {
        let seal = part.thought_signature.as_deref();
        if let Some(call) = part.function_call {
            let arguments = call.args.map(|args| args.get().to_owned()).unwrap_or_default();
            let (id, name) = (call.id.unwrap_or_default(), call.name.unwrap_or_default());
            self.reply.call(Call { id, name, arguments }, seal)?;
            return Ok(None);
        }
        let text = part.text.unwrap_or_default();
        if part.thought == Some(true) {
            return Ok((!text.is_empty()).then_some(Piece::Thinking(text)));
        }
        Ok(self.reply.say(&text, seal))
    }
}

fn stop(reason: &str) -> Stop {
    match reason {
        "MAX_TOKENS" => Stop::Length,
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => Stop::BadCall,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII"
        | "IMAGE_SAFETY" => Stop::Withheld(reason.to_owned()),
        _ => Stop::Done,
    }
}

/// The tokens of the prompt count those that were cached; reasoning is counted beside the answer.
fn used(metadata: &Metadata) -> Usage {
    let mut used = Usage::default();
    let sum = |counts: [Option<u64>; 2]| counts.into_iter().flatten().fold(0, u64::saturating_add);
    used.cache_read_tokens = metadata.cached_content_token_count.unwrap_or(0);
    let read = sum([metadata.prompt_token_count, metadata.tool_use_prompt_token_count]);
    used.input_tokens = read.saturating_sub(used.cache_read_tokens);
    used.output_tokens = sum([metadata.candidates_token_count, metadata.thoughts_token_count]);
    used
}
