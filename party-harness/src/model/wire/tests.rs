use super::*;
use crate::core::Usage;
use proptest::prelude::*;
use serde_json::json;

const WIRES: [Wire; 4] = [Wire::Anthropic, Wire::Gemini, Wire::OpenAi, Wire::Responses];

/// Names that the wires know.
const NAMES: &str = "type|index|delta|content|content_block|text|thinking|signature|partial_json|input|id|name\
    |message|usage|error|choices|tool_calls|function|arguments|finish_reason|stop_reason|candidates|parts\
    |functionCall|args|thought|thoughtSignature|finishReason|usageMetadata|promptFeedback|blockReason";

/// Kinds that the wires know.
const KINDS: &str = "message_start|content_block_start|response.output_item.done|response.completed|function_call|reasoning|content_block_delta|content_block_stop|message_delta\
    |message_stop|error|tool_use|text_delta|input_json_delta|thinking_delta|signature_delta|stop|length|STOP";

/// Events that look like those of a wire, and hold anything.
fn event() -> impl Strategy<Value = Value> {
    let kinds: Vec<&str> = KINDS.split('|').collect();
    let names: Vec<&str> = NAMES.split('|').collect();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(kinds).prop_map(Value::from),
        ".{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let name = prop::sample::select(names.clone()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_event_panics_a_decoder(events in prop::collection::vec(event(), 0..8)) {
        for wire in WIRES {
            let mut decoder = wire.decoder();
            for event in &events {
                let _ = decoder.event(&event.to_string());
            }
            let reply = decoder.into_reply();
            prop_assert!(reply.calls.len() <= 128);
            // What was said goes back in the next step.
            let messages = [Message::User(Vec::new(), "Hi".into()), Message::Model(reply.parts, reply.calls)];
            wire.body(&ask(&messages));
        }
    }
}

fn ask(messages: &[Message]) -> Ask<'_> {
    Ask {
        model: "m",
        system: "You.",
        messages,
        tools: &[],
        is_forced: false,
        may_reason: true,
        most_output: None,
        names_completion: false,
        temperature: None,
    }
}

/// Reads these events, and gives what came of them.
fn read(wire: Wire, events: &[Value]) -> Reply {
    let mut decoder = wire.decoder();
    for event in events {
        decoder.event(&event.to_string()).unwrap();
    }
    decoder.into_reply()
}

#[test]
fn openai_s_count_of_a_prompt_holds_what_was_cached_and_its_output_holds_the_reasoning() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 40}});
    let mut used = Usage::default();
    (used.input_tokens, used.output_tokens) = (30, 50);
    (used.cache_read_tokens, used.cache_write_tokens) = (60, 10);
    assert_eq!(read(Wire::OpenAi, &[json!({"choices": [], "usage": usage})]).usage, Some(used));
}

#[test]
fn responses_count_alike() {
    let usage = json!({"input_tokens": 100, "output_tokens": 50, "input_tokens_details": {"cached_tokens": 60},
        "output_tokens_details": {"reasoning_tokens": 40}});
    let mut used = Usage::default();
    (used.input_tokens, used.cache_read_tokens, used.output_tokens) = (40, 60, 50);
    let event = json!({"type": "response.completed", "response": {"usage": usage}});
    assert_eq!(read(Wire::Responses, &[event]).usage, Some(used));
}

#[test]
fn gemini_counts_its_reasoning_beside_the_answer() {
    let counts = json!({"promptTokenCount": 100, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 10, "thoughtsTokenCount": 40});
    let mut used = Usage::default();
    (used.input_tokens, used.cache_read_tokens, used.output_tokens) = (45, 60, 50);
    assert_eq!(read(Wire::Gemini, &[json!({ "usageMetadata": counts })]).usage, Some(used));
}

#[test]
fn anthropic_counts_what_was_cached_apart_and_tells_the_output_last() {
    let start = json!({"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10,
        "output_tokens": 1});
    let events = [
        json!({"type": "message_start", "message": {"usage": start}}),
        json!({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 50}}),
    ];
    let mut used = Usage::default();
    (used.input_tokens, used.output_tokens) = (30, 50);
    (used.cache_read_tokens, used.cache_write_tokens) = (60, 10);
    assert_eq!(read(Wire::Anthropic, &events).usage, Some(used));
}

#[test]
fn a_number_in_arguments_is_not_rounded() {
    let big = "123456789012345678901234567890.5";
    let gemini = format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"name":"look","args":{{"n":{big}}}}}}}]}}}}]}}"#
    );
    let openai = format!(
        r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"a","function":{{"name":"look","arguments":"{{\"n\":{big}}}"}}}}]}}}}]}}"#
    );
    for (wire, event) in [(Wire::Gemini, gemini), (Wire::OpenAi, openai)] {
        let mut decoder = wire.decoder();
        decoder.event(&event).unwrap();
        assert_eq!(decoder.into_reply().calls[0].shown().get(), format!(r#"{{"n":{big}}}"#), "{wire:?}");
    }
}

#[test]
fn calls_that_share_a_number_and_pieces_that_have_none_are_told_apart() {
    let call = |index: Value, id: &str, name: &str, arguments: &str| {
        json!({"choices": [{"delta": {"tool_calls": [
            {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}}]})
    };
    let reply = read(
        Wire::OpenAi,
        &[
            call(json!(0), "a", "look", "{"),
            call(json!(0), "", "", "}"),
            call(json!(0), "b", "look", "{}"),
            call(Value::Null, "c", "vote", "{}"),
        ],
    );
    let calls: Vec<_> = reply.calls.iter().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
    assert_eq!(calls, [("a", "{}"), ("b", "{}"), ("c", "{}")]);
}

#[test]
fn what_a_wire_does_not_know_is_passed_on() {
    let unknown = json!({"type": "news", "text": "later"});
    let mut decoder = Wire::Anthropic.decoder();
    assert_eq!(decoder.event(&unknown.to_string()).unwrap(), [Piece::Raw(unknown.into())]);
    let strange = [
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Still here."}}),
        json!({"type": "message_stop"}),
    ];
    let reply = read(Wire::Anthropic, &strange);
    assert_eq!((reply.text().as_str(), reply.is_over), ("Still here.", true));
}
