//! From the host's messages to a conversation that every wire takes.

use super::wire::{Answered, Call, Message, Part};
use crate::{Error, ErrorKind, Result};
use party_core::{ContentBlock, MessageRole, ModelMessage};
use std::collections::{BTreeMap, BTreeSet};

/// Stands where a conversation begins with the agent's own words: the wires want the other side first.
const BEFORE: &str = "(Earlier messages are left out.)";

/// Stands where nobody has said anything since.
const GO_ON: &str = "Go on.";

/// A conversation, and what a system message of it says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Talk {
    pub(super) system: String,
    pub(super) messages: Vec<Message>,
}

/// Messages of one side that stand side by side become one, with an empty line between; resources are
/// named. Calls and their answers stay where the turn offers tools, and are left out where it does not.
///
/// # Errors
/// [`ErrorKind::Invalid`] where there is nothing to tell the agent.
pub(super) fn talk(view: &[ModelMessage], has_tools: bool) -> Result<Talk> {
    let pairs = if has_tools { pairs(view) } else { BTreeMap::new() };
    let mut talk = Talk::default();
    for message in view {
        match message.role {
            MessageRole::System => talk.system = message.text(),
            MessageRole::User => talk.told(message, &pairs),
            MessageRole::Assistant => talk.said(message, &pairs),
        }
    }
    if talk.messages.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "the turn has nothing to tell the agent"));
    }
    if matches!(talk.messages.first(), Some(Message::Model(..))) {
        talk.messages.insert(0, Message::User(Vec::new(), BEFORE.to_owned()));
    }
    if matches!(talk.messages.last(), Some(Message::Model(..))) {
        talk.messages.push(Message::User(Vec::new(), GO_ON.to_owned()));
    }
    Ok(talk)
}

/// The names of the tools whose calls have an answer, by the ids of the calls.
fn pairs(view: &[ModelMessage]) -> BTreeMap<&str, &str> {
    let blocks = || view.iter().flat_map(|message| &message.content);
    let answered: BTreeSet<&str> = blocks()
        .filter_map(|block| match block {
            ContentBlock::ToolResult { tool_use_id, .. } => Some(tool_use_id.as_str()),
            _ => None,
        })
        .collect();
    let calls = blocks().filter_map(|block| match block {
        ContentBlock::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
        _ => None,
    });
    calls.filter(|(id, _)| answered.contains(id)).collect()
}

impl Talk {
    fn told(&mut self, message: &ModelMessage, pairs: &BTreeMap<&str, &str>) {
        let answers = message.content.iter().filter_map(|block| match block {
            ContentBlock::ToolResult { tool_use_id, text, is_error, .. } => Some(Answered {
                id: tool_use_id.clone(),
                name: (*pairs.get(tool_use_id.as_str())?).to_owned(),
                text: text.clone(),
                is_error: *is_error,
            }),
            _ => None,
        });
        let (answers, words): (Vec<_>, String) = (answers.collect(), words(message));
        if answers.is_empty() && words.trim().is_empty() {
            return;
        }
        match self.messages.last_mut() {
            Some(Message::User(known, text)) => {
                known.extend(answers);
                append(text, &words);
            }
            _ => self.messages.push(Message::User(answers, words)),
        }
    }

    fn said(&mut self, message: &ModelMessage, pairs: &BTreeMap<&str, &str>) {
        let new = message.content.iter().filter_map(|block| match block {
            ContentBlock::ToolUse { id, name, input, .. } if pairs.contains_key(id.as_str()) => {
                Some(Call { id: id.clone(), name: name.clone(), arguments: input.to_string() })
            }
            _ => None,
        });
        let (new, words): (Vec<Call>, String) = (new.collect(), words(message));
        if new.is_empty() && words.trim().is_empty() {
            return;
        }
        if !matches!(self.messages.last(), Some(Message::Model(..))) {
            self.messages.push(Message::Model(Vec::new(), Vec::new()));
        }
        let Some(Message::Model(parts, calls)) = self.messages.last_mut() else { return };
        match parts.last_mut() {
            Some(Part::Text(text, _)) => append(text, &words),
            _ if !words.is_empty() => parts.push(Part::Text(words, None)),
            _ => {}
        }
        for call in new {
            parts.push(Part::Call(calls.len(), None));
            calls.push(call);
        }
    }
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

fn words(message: &ModelMessage) -> String {
    let words = message.content.iter().filter_map(|block| match block {
        ContentBlock::Text { text, .. } => Some(text.clone()),
        ContentBlock::Resource { uri, media_type: None, .. } => Some(format!("[resource {uri}]")),
        ContentBlock::Resource { uri, media_type: Some(kind), .. } => {
            Some(format!("[resource {uri}, {kind}]"))
        }
        _ => None,
    });
    words.filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn view(messages: Value) -> Vec<ModelMessage> {
        serde_json::from_value(messages).unwrap()
    }

    fn text(role: &str, text: &str) -> Value {
        json!({"role": role, "content": [{"type": "text", "text": text}]})
    }

    fn user(text: &str) -> Message {
        Message::User(Vec::new(), text.to_owned())
    }

    fn model(text: &str) -> Message {
        Message::Model(vec![Part::Text(text.to_owned(), None)], Vec::new())
    }

    #[test]
    fn sides_alternate_and_the_other_side_begins_and_ends() {
        let view = view(json!([
            text("system", "Be brief."),
            text("assistant", "One."),
            text("assistant", "Two."),
            text("user", "Three."),
            text("user", "  "),
            text("user", "Four."),
            text("assistant", "Five."),
        ]));
        let expected =
            [user(BEFORE), model("One.\n\nTwo."), user("Three.\n\nFour."), model("Five."), user(GO_ON)];
        let talk = talk(&view, false).unwrap();
        assert_eq!((talk.system.as_str(), talk.messages.as_slice()), ("Be brief.", expected.as_slice()));
    }

    #[test]
    fn nothing_to_tell_is_an_error() {
        for nothing in [json!([]), json!([text("user", " \n")]), json!([text("system", "You.")])] {
            assert_eq!(talk(&view(nothing), true).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn calls_stay_with_their_answers_and_half_a_pair_is_left_out() {
        let call = |id: &str| json!({"type": "toolUse", "id": id, "name": "look", "input": {"n": 9_007_199_254_740_993_u64}});
        let view = view(json!([
            text("user", "Look."),
            {"role": "assistant", "content": [call("a"), call("b")]},
            {"role": "user", "content": [{"type": "toolResult", "toolUseId": "a", "text": "seen"},
                {"type": "toolResult", "toolUseId": "c", "text": "of nobody"}]},
        ]));
        let arguments = r#"{"n":9007199254740993}"#.to_owned();
        let kept = Call { id: "a".into(), name: "look".into(), arguments };
        let expected = [
            user("Look."),
            Message::Model(vec![Part::Call(0, None)], vec![kept.clone()]),
            Message::User(vec![kept.answered("seen".into(), false)], String::new()),
        ];
        assert_eq!(talk(&view, true).unwrap().messages, expected);
        assert_eq!(talk(&view, false).unwrap().messages, [user("Look.")]);
    }
}
