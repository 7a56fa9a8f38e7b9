//! What the model and its tools said.

use super::{
    Decoder,
    head::Head,
    message::{Block, Message},
    read::Read,
    seen::Kind,
    view::Json,
};
use crate::TurnEvent;
use serde_json::json;

/// The model's name on texts that the CLI wrote itself, such as an API's error.
const SYNTHETIC: &str = r#""<synthetic>""#;

impl Decoder {
    /// A sub-agent's words are not the agent's; its model calls are paid all the same.
    pub(super) fn by_sub_agent(&mut self, head: &Head<'_>) -> Option<Read> {
        if let Some(id) = head.message().get("id").and_then(Json::string) {
            self.bill.message(&id);
        }
        None
    }

    pub(super) fn by_model(&mut self, head: &Head<'_>) -> Option<Read> {
        let fields = head.message();
        let message = Message::of_model(&fields)?;
        self.withdraw(head);
        self.error = head.string("error");
        self.name_session(head);
        if fields.get("model").is_some_and(|model| model.get() == SYNTHETIC) {
            return None;
        }
        Some(Read::Message(message, head.uuid.as_deref().map(str::to_owned)))
    }

    /// A model that steps in takes back what the one before it said; the events are out already.
    fn withdraw(&mut self, head: &Head<'_>) {
        let lines = head.field("supersedes").and_then(Json::items).into_iter().flatten();
        let lines: Vec<String> = lines.filter_map(Json::string).collect();
        lines.iter().for_each(|line| self.answer.withdraw(line));
        if !lines.is_empty() {
            let event = json!({"type": "party/superseded", "uuids": lines});
            self.event(TurnEvent::Raw { event: event.into() });
        }
    }

    pub(super) fn message(&mut self, message: Message, line: Option<&str>) {
        if let Some(id) = message.id {
            self.bill.message(&id);
            self.answer.begin(Some(id));
        } else if message.by_model {
            self.answer.begin(None);
        }
        for block in message.blocks {
            match block {
                Block::Text(text) => {
                    let text = text.share();
                    self.answer.say(line, text.clone());
                    self.event(TurnEvent::Text { text });
                }
                Block::Thinking(text) => self.event(TurnEvent::Thinking { text: text.share() }),
                Block::Call { id, name, input } => {
                    if self.calls.insert(Kind::Call, &id) {
                        let name = self.plain_name(name);
                        self.event(TurnEvent::ToolUse { id, name, input });
                    }
                }
                Block::Answer { id, text, is_error } => {
                    if self.calls.insert(Kind::Answer, &id) {
                        self.event(TurnEvent::ToolResult { id, text: text.share(), is_error });
                    }
                }
                Block::Other(event) => self.event(TurnEvent::Raw { event }),
            }
        }
    }

    /// The host's own name of a tool that its server offers.
    fn plain_name(&self, name: String) -> String {
        let required = self.required.as_ref().filter(|required| required.tools.contains(&name));
        let plain = required.and_then(|required| name.strip_prefix(&format!("mcp__{}__", required.server)));
        plain.map_or_else(|| name.clone(), str::to_owned)
    }
}
