use super::*;
use crate::{Block, ModelTurn};
use serde_json::json;

const ALL: [Dialect; 4] = [Dialect::Anthropic, Dialect::Chat, Dialect::Responses, Dialect::Gemini];

fn answer(turn: ModelTurn) -> Answer {
    let mut count = 0;
    Answer::new(turn, "some-model", |prefix| {
        count += 1;
        format!("{prefix}_{count}")
    })
}

fn events(dialect: Dialect, answer: &Answer) -> Vec<Value> {
    let steps = dialect.script(answer).into_iter();
    steps.filter_map(|step| if let Step::Event(event) = step { Some(event) } else { None }).collect()
}

/// The text of an event that brings some.
fn text(dialect: Dialect, event: &Value) -> &str {
    let text = match dialect {
        Dialect::Anthropic => &event["delta"]["text"],
        Dialect::Chat => &event["choices"][0]["delta"]["content"],
        Dialect::Responses => &event["delta"],
        Dialect::Gemini => &event["candidates"][0]["content"]["parts"][0]["text"],
    };
    text.as_str().unwrap_or_default()
}

#[test]
fn deltas_join_to_the_block() {
    for dialect in ALL {
        let events =
            events(dialect, &answer(ModelTurn::text("größer → 1").with(|turn| turn.chunk = Some(2))));
        let joined: String = events.iter().map(|event| text(dialect, event)).collect();
        assert_eq!(joined, "größer → 1", "{dialect:?}");
        assert!(events.iter().any(|event| event.to_string().contains("some-model")), "{dialect:?}");
    }
}

#[test]
fn a_tool_call_stops_for_the_tool() {
    let answer = answer(ModelTurn::tool_use("Bash", json!({"command": "ls"})));
    let message = Dialect::Anthropic.message(&answer);
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["content"][0]["id"], "toolu_2");
    assert_eq!(message["content"][0]["input"]["command"], "ls");
    let choice = &Dialect::Chat.message(&answer)["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], r#"{"command":"ls"}"#);
    let call = &Dialect::Gemini.message(&answer)["candidates"][0]["content"]["parts"][0]["functionCall"];
    assert_eq!(call["args"], json!({"command": "ls"}));
}

#[test]
fn a_call_may_stand_in_a_namespace() {
    let answer = answer(ModelTurn::tool_use("party.look", json!({})));
    let call = &Dialect::Responses.message(&answer)["output"][0];
    assert_eq!((&call["namespace"], &call["name"]), (&json!("party"), &json!("look")));
}

#[test]
fn usage_is_laid_over() {
    let answer = answer(ModelTurn::text("x").with(|turn| {
        turn.usage.insert("output_tokens".to_owned(), json!(7));
    }));
    let usage = &Dialect::Anthropic.message(&answer)["usage"];
    assert_eq!((&usage["output_tokens"], &usage["input_tokens"]), (&json!(7), &json!(100)));
    let usage = &Dialect::Chat.message(&answer)["usage"];
    assert_eq!((&usage["completion_tokens"], &usage["prompt_tokens"]), (&json!(7), &json!(1110)));
    let usage = &Dialect::Responses.message(&answer)["usage"];
    assert_eq!(usage["input_tokens_details"]["cached_tokens"], 1000);
    assert_eq!(Dialect::Gemini.message(&answer)["usageMetadata"]["totalTokenCount"], 1117);
}

#[test]
fn the_gate_stands_before_its_block() {
    for dialect in ALL {
        let turn =
            ModelTurn::text("first").block(Block::text("second")).with(|turn| turn.gate_at_block = Some(1));
        let script = dialect.script(&answer(turn));
        let gate = script.iter().position(|step| matches!(step, Step::Gate)).unwrap();
        let said = |steps: &[Step]| {
            let texts = steps.iter().map(|step| match step {
                Step::Event(event) => text(dialect, event).to_owned(),
                _ => String::new(),
            });
            texts.collect::<String>()
        };
        assert_eq!((said(&script[..gate]), said(&script[gate..])), ("first".into(), "second".into()));
    }
}

#[test]
fn a_path_tells_the_api() {
    let asked = |path: &str| Asked::of(&path.parse().unwrap());
    let dialect = |path| asked(path).map(|asked| asked.dialect);
    assert_eq!(dialect("/v1/messages"), Some(Dialect::Anthropic));
    assert_eq!(dialect("/v1/messages/count_tokens"), None);
    assert_eq!(dialect("/openai/v1/chat/completions"), Some(Dialect::Chat));
    assert_eq!(dialect("/v1/responses"), Some(Dialect::Responses));
    let gemini = asked("/v1beta/models/gemini-3:streamGenerateContent?alt=sse").unwrap();
    assert_eq!((gemini.model.as_deref(), gemini.streams), (Some("gemini-3"), Some(true)));
    assert_eq!(dialect("/v1beta/models/gemini-3:countTokens"), None);
}
