//! What the streams of a run tell.

use super::{
    failure,
    frame::{Event, OfRun, filled, text},
    run::{CALLS, Run, Writing, content},
};
use crate::{
    RawJson, TurnEvent,
    jsonl::view::{Fields, Json, raw},
};
use std::sync::Arc;

/// Streams that are known and tell a host nothing.
const QUIET: [&str; 4] = ["usage", "command_output", "approval", "plan"];

/// Phases of a run's life that tell a host nothing.
const PHASES: [&str; 6] =
    ["start", "model", "finishing", "fallback_step", "waiting-approval", "approval-resolved"];

impl Run {
    pub(super) fn read(&mut self, event: &Event<'_>, out: &mut Vec<TurnEvent>) {
        let (Some(payload), of_run) = (event.payload, &event.of_run) else { return };
        let known = match &*event.name {
            "agent" => self.stream(of_run, out),
            _ => self.chat(of_run),
        };
        if !known {
            self.raw(payload, of_run, out);
        }
    }

    /// Whether it is known.
    fn stream(&mut self, of_run: &OfRun<'_>, out: &mut Vec<TurnEvent>) -> bool {
        let Some(stream) = text(of_run.stream) else { return false };
        if QUIET.contains(&&*stream) {
            return true;
        }
        let data = &of_run.data;
        let phase = text(data.get("phase")).unwrap_or_default();
        match &*stream {
            "assistant" => self.wrote(data, "text", out),
            "thinking" | "reasoning" => return thought(data, out),
            "tool" => return self.tool(&phase, data, out),
            "item" => return self.item(data, out),
            "run_status" => status(&phase, data, out),
            "lifecycle" if phase == "end" || phase == "error" => self.over(&phase, data),
            "lifecycle" => return PHASES.contains(&&*phase),
            _ => return false,
        }
        true
    }

    /// Texts are told whole, again and again: what is new of them is the event.
    fn wrote(&mut self, data: &Fields<'_>, name: &str, out: &mut Vec<TurnEvent>) {
        let Some(text) = text(data.get(name)) else { return };
        let item = data.get("itemId").and_then(Json::cow).unwrap_or_default();
        if self.writing.item != item {
            self.writing = Writing { item: item.into_owned(), text: String::new() };
        }
        // A text that was taken back in part says nothing new until it is longer than before.
        let new = text.strip_prefix(&*self.writing.text).map(Arc::<str>::from);
        if let Some(new) = new.filter(|new| !new.is_empty()) {
            self.writing.text.push_str(&new);
            out.push(TurnEvent::Text { text: new });
        }
    }

    fn tool(&mut self, phase: &str, data: &Fields<'_>, out: &mut Vec<TurnEvent>) -> bool {
        let string = |name| data.get(name).and_then(Json::string);
        let (Some(id), Some(name)) = (string("toolCallId"), string("name")) else { return false };
        match phase {
            "start" => {
                self.writing = Writing::default();
                if self.called.len() < CALLS && self.called.insert(id.clone()) {
                    let input = filled(data, "args").map_or_else(RawJson::null, |args| raw(args.get()));
                    out.push(TurnEvent::ToolUse { id, name: self.tool_name(&name), input });
                }
            }
            "result" if self.called.contains(&id) && self.replied.insert(id.clone()) => {
                let result = filled(data, "result");
                let text = result.and_then(|result| content(result).or_else(|| result.string()));
                let is_error = data.get("isError").and_then(Json::bool).unwrap_or(false);
                out.push(TurnEvent::ToolResult { id, text: text.unwrap_or_default().into(), is_error });
            }
            "result" | "update" | "end" => {}
            _ => return false,
        }
        true
    }

    /// Items repeat what the tool stream tells, but for what the agent says before a call.
    fn item(&mut self, data: &Fields<'_>, out: &mut Vec<TurnEvent>) -> bool {
        match text(data.get("kind")).as_deref() {
            Some("preamble") => self.wrote(data, "progressText", out),
            Some("tool" | "command") => {}
            _ => return false,
        }
        true
    }

    fn over(&mut self, phase: &str, data: &Fields<'_>) {
        if self.told.over {
            return;
        }
        let string = |name| data.get(name).and_then(Json::string);
        self.told.over = true;
        self.told.aborted |= data.get("aborted").and_then(Json::bool).unwrap_or(false);
        self.told.timed_out |= filled(data, "timeoutPhase").is_some();
        self.told.error = string("error").or_else(|| (phase == "error").then(String::new));
        if let Some(reply) = filled(data, "terminalReply").map(Json::fields) {
            self.told.disposition = reply.get("disposition").and_then(Json::string);
            let text = reply.get("text").and_then(Json::string).map(Arc::from);
            self.told.text = self.told.text.take().or(text);
        }
    }

    /// The same for people; its last state has the text, and what kind of failure it was.
    fn chat(&mut self, of_run: &OfRun<'_>) -> bool {
        let said = || of_run.message.and_then(content).map(Arc::from);
        match text(of_run.state).as_deref() {
            Some("delta" | "status") => {}
            Some("final") => {
                self.told.finished = true;
                self.told.text = said().or_else(|| self.told.text.take());
            }
            Some("aborted") => {
                self.told.aborted |= !self.told.over || text(of_run.stop_reason).is_some();
                self.told.text = said().or_else(|| self.told.text.take());
            }
            Some("error") => {
                let detail = of_run.error_detail.and_then(|detail| detail.field("failoverReason"));
                self.told.failure = text(detail).as_deref().and_then(failure::named);
                let message = of_run.error_message.and_then(Json::string);
                self.told.error = self.told.error.take().filter(|error| !error.is_empty()).or(message);
            }
            _ => return false,
        }
        true
    }

    fn raw(&mut self, payload: Json<'_>, of_run: &OfRun<'_>, out: &mut Vec<TurnEvent>) {
        let number = of_run.seq.and_then(Json::u64);
        if number.is_none_or(|number| number > self.latest) {
            self.latest = number.unwrap_or(self.latest);
            out.push(TurnEvent::Raw { event: raw(payload.get()) });
        }
    }
}

fn thought(data: &Fields<'_>, out: &mut Vec<TurnEvent>) -> bool {
    let text = data.get("delta").or_else(|| data.get("text")).and_then(Json::string);
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push(TurnEvent::Thinking { text: text.into() });
    }
    true
}

/// The gateway waits by itself before it asks the model's provider again.
fn status(phase: &str, data: &Fields<'_>, out: &mut Vec<TurnEvent>) {
    if phase != "retrying" {
        return;
    }
    let string = |name| data.get(name).and_then(Json::string);
    let why = string("reason").unwrap_or_else(|| "error".to_owned());
    let [attempt, most] =
        ["attempt", "maxAttempts"].map(|name| data.get(name).and_then(Json::u64).unwrap_or(0));
    if why == "rate_limit" {
        out.push(TurnEvent::RateLimit { rejected: true, resets_at: None });
    }
    out.push(TurnEvent::Waiting { reason: format!("{why}, attempt {attempt} of {most}") });
}
