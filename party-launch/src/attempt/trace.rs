//! What the log keeps of an event that a turn streamed.

use party_harness::TurnEvent;
use serde_json::{Value, json};

/// So many bytes of text or JSON an event may have to be kept whole.
const WHOLE: usize = 256 << 10;

/// So many bytes of a longer one are kept, and its size.
const HEAD: usize = 4 << 10;

/// The event as JSON. Of one that is long, or no JSON that can be stored, `head` is the beginning of its
/// text, and `bytes` the size of all of it. What a turn says is stored whole with its end.
pub(super) fn traced(event: &TurnEvent) -> Value {
    let text = text_of(event);
    let whole = if text.len() > WHOLE { None } else { serde_json::to_value(event).ok() };
    whole.unwrap_or_else(|| {
        let end = (0..=HEAD).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        let mut cut = json!({ "type": kind(event), "bytes": text.len(), "head": &text[..end] });
        if let TurnEvent::ToolUse { id, .. } | TurnEvent::ToolResult { id, .. } = event {
            cut["id"] = id.as_str().into();
        }
        cut
    })
}

/// The part of an event that may be long.
fn text_of(event: &TurnEvent) -> &str {
    match event {
        TurnEvent::Raw { event: json } | TurnEvent::ToolUse { input: json, .. } => json.get(),
        TurnEvent::Text { text } | TurnEvent::Thinking { text } | TurnEvent::ToolResult { text, .. } => text,
        _ => "",
    }
}

const fn kind(event: &TurnEvent) -> &'static str {
    match event {
        TurnEvent::Raw { .. } => "raw",
        TurnEvent::ToolUse { .. } => "toolUse",
        TurnEvent::ToolResult { .. } => "toolResult",
        TurnEvent::Text { .. } => "text",
        TurnEvent::Thinking { .. } => "thinking",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use party_harness::RawJson;

    #[test]
    fn an_event_that_is_not_long_is_kept_as_it_is() {
        let text = "ä".repeat(WHOLE / 2);
        let event = TurnEvent::Text { text: text.as_str().into() };
        assert_eq!(traced(&event), json!({ "type": "text", "text": text }));
        let event = TurnEvent::Raw { event: json!({ "type": "ping" }).into() };
        assert_eq!(traced(&event), json!({ "type": "raw", "event": { "type": "ping" } }));
    }

    #[test]
    fn of_a_long_event_the_head_and_the_size_are_kept() {
        let long = "ä".repeat(WHOLE);
        let raw = || RawJson::from(json!(long));
        let id = || "t1".to_owned();
        let cases = [
            (TurnEvent::Raw { event: raw() }, "raw", 2),
            (TurnEvent::ToolUse { id: id(), name: "Bash".to_owned(), input: raw() }, "toolUse", 2),
            (TurnEvent::ToolResult { id: id(), text: (*long).into(), is_error: false }, "toolResult", 0),
            (TurnEvent::Text { text: (*long).into() }, "text", 0),
            (TurnEvent::Thinking { text: (*long).into() }, "thinking", 0),
        ];
        for (event, kind, quotes) in cases {
            let kept = traced(&event);
            assert_eq!((&kept["type"], &kept["bytes"]), (&json!(kind), &json!(2 * WHOLE + quotes)));
            assert!(matches!(kept["head"].as_str().unwrap().len(), 4095 | 4096), "{kind}");
            assert_eq!(kept["id"].is_string(), kind.starts_with("tool"));
        }
    }

    #[test]
    fn an_event_that_is_no_unicode_is_kept_as_its_text() {
        let half = serde_json::from_str::<RawJson>(r#"{"text":"\ud83d"}"#).unwrap();
        let kept = traced(&TurnEvent::Raw { event: half });
        assert_eq!(kept, json!({ "type": "raw", "bytes": 17, "head": r#"{"text":"\ud83d"}"# }));
    }
}
