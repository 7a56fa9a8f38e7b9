//! One method per kind of line.

use super::{
    Decoded, Decoder,
    seen::Kind,
    wire::{ApiRetry, Block, Head, Init, Message, Outcome, RateLimit, Said, tool_text},
};
use crate::TurnEvent;
use serde_json::{Value, value::RawValue};

/// The model's name on texts that the CLI wrote itself, such as an API's error.
const SYNTHETIC: &str = "<synthetic>";

impl Decoder {
    pub(super) fn event(&mut self, event: TurnEvent) {
        self.out.push(Decoded::Event(event));
    }

    /// Hands a line on as it came.
    pub(super) fn keep(&mut self, line: &[u8]) -> Option<()> {
        let event = serde_json::from_slice::<Value>(line).ok()?.into();
        self.event(TurnEvent::Raw { event });
        Some(())
    }

    pub(super) fn init(&mut self, line: &[u8], head: &Head<'_>) -> Option<()> {
        let init: Init = serde_json::from_slice(line).ok()?;
        self.keep(line)?;
        self.in_turn = true;
        if let Some(version) = &init.claude_code_version {
            self.bill.version(version);
        }
        self.name_session(head);
        if let Some(session) = self.session.clone().filter(|_| !std::mem::replace(&mut self.announced, true))
        {
            self.out.push(Decoded::Session(session));
        }
        self.poisoned = self.poisoned.take().or_else(|| self.poison(&init));
        Some(())
    }

    /// What is wrong with the required server. The CLI itself goes on without it, says nothing, and
    /// reports success.
    fn poison(&self, init: &Init) -> Option<String> {
        let required = self.required.as_ref()?;
        let name = &required.server;
        if let Some(errors) = init.mcp_server_errors.as_ref().filter(|errors| !is_empty(errors)) {
            return Some(format!("claude refused an mcp server: {errors}"));
        }
        let server = init.mcp_servers.iter().find(|server| server.name == *name);
        let status = server.map_or("absent", |server| &server.status);
        if status != "connected" {
            return Some(format!("the mcp server `{name}` is {status}"));
        }
        let missing = required.tools.iter().find(|tool| !init.tools.contains(tool))?;
        Some(format!("the mcp server `{name}` does not offer the tool `{missing}`"))
    }

    /// A sub-agent's words are not the agent's; its model calls are paid all the same.
    pub(super) fn by_sub_agent(&mut self, line: &[u8]) -> Option<()> {
        let said: Said<'_> = serde_json::from_slice(line).ok()?;
        if let Some(id) = &said.message.id {
            self.bill.message(id);
        }
        self.keep(line)
    }

    pub(super) fn by_model(&mut self, line: &[u8], head: &Head<'_>) -> Option<()> {
        let said: Said<'_> = serde_json::from_slice(line).ok()?;
        let blocks = blocks(said.message.content?)?;
        self.name_session(head);
        if said.message.model.as_deref() == Some(SYNTHETIC) {
            return self.keep(line);
        }
        self.begin_message(&said.message);
        for block in blocks {
            match serde_json::from_str(block.get()) {
                Ok(Block::Text { text }) => {
                    self.answer.texts.push(text.clone());
                    self.event(TurnEvent::Text { text: text.into() });
                }
                Ok(Block::Thinking { thinking }) => self.event(TurnEvent::Thinking { text: thinking.into() }),
                Ok(Block::ToolUse { id, name, input }) => {
                    if self.calls.insert(Kind::Call, &id) {
                        let name = self.plain_name(name);
                        self.event(TurnEvent::ToolUse { id, name, input: input.into() });
                    }
                }
                _ => self.unknown_block(block),
            }
        }
        Some(())
    }

    /// A message comes as one line per block, with one id.
    fn begin_message(&mut self, message: &Message<'_>) {
        if let Some(id) = &message.id {
            self.bill.message(id);
        }
        if self.answer.message != message.id || message.id.is_none() {
            self.answer.message = message.id.clone();
            self.answer.texts.clear();
        }
    }

    /// The host's own name of a tool that its server offers.
    fn plain_name(&self, name: String) -> String {
        let required = self.required.as_ref().filter(|required| required.tools.contains(&name));
        let plain = required.and_then(|required| name.strip_prefix(&format!("mcp__{}__", required.server)));
        plain.map_or_else(|| name.clone(), str::to_owned)
    }

    pub(super) fn back_to_model(&mut self, line: &[u8]) -> Option<()> {
        let said: Said<'_> = serde_json::from_slice(line).ok()?;
        // What the host said itself is no news, and comes whole, with its id.
        let blocks = blocks(said.message.content?).filter(|_| !said.is_synthetic && !said.is_replay);
        let Some(blocks) = blocks else { return self.keep(line) };
        for block in blocks {
            match serde_json::from_str(block.get()) {
                Ok(Block::ToolResult { tool_use_id: id, content, is_error }) => {
                    if self.calls.insert(Kind::Answer, &id) {
                        let (text, is_error) = (tool_text(&content).into(), is_error.unwrap_or(false));
                        self.event(TurnEvent::ToolResult { id, text, is_error });
                    }
                }
                _ => self.unknown_block(block),
            }
        }
        Some(())
    }

    fn unknown_block(&mut self, block: &RawValue) {
        self.event(TurnEvent::Raw { event: block.into() });
    }

    /// A later result replaces an earlier one; their costs add up.
    pub(super) fn result(&mut self, line: &[u8], head: &Head<'_>) -> Option<()> {
        let outcome: Outcome = serde_json::from_slice(line).ok()?;
        self.bill.result(&outcome);
        self.name_session(head);
        self.last = Some(outcome);
        self.in_turn = false;
        Some(())
    }

    pub(super) fn retry(&mut self, line: &[u8]) -> Option<()> {
        let retry: ApiRetry = serde_json::from_slice(line).ok()?;
        let why = retry.error.as_deref().unwrap_or("error");
        let status = retry.error_status.map(|status| format!(" ({status})")).unwrap_or_default();
        let reason = format!("{why}{status}, retry {} of {}", retry.attempt, retry.max_retries);
        self.event(TurnEvent::Waiting { reason });
        Some(())
    }

    pub(super) fn rate_limit(&mut self, line: &[u8]) -> Option<()> {
        let RateLimit { rate_limit_info: info } = serde_json::from_slice(line).ok()?;
        self.event(TurnEvent::RateLimit { rejected: info.status == "rejected", resets_at: info.resets_at });
        Some(())
    }

    fn name_session(&mut self, head: &Head<'_>) {
        if let Some(id) = head.session_id.as_ref().filter(|id| !id.is_empty()) {
            self.session = Some(id.clone());
        }
    }
}

/// The blocks of a message; `None` where its content is a plain string.
fn blocks(content: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(content.get()).ok()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
