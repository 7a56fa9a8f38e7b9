//! One turn, as its notifications tell of it.

use super::{
    failure,
    frame::{Counts, Frame, Item, TokenUsage, Trouble, TurnView, is_delta, plain},
    verdict::{Status, Verdict, one_line},
};
use crate::{
    TurnEvent,
    jsonl::{
        seen::{Kind, Seen},
        view::{Json, own},
    },
};
use party_core::{Cost, Failure, Usage};
use std::sync::Arc;

/// Methods of turns that are known and tell a host nothing.
const QUIET: [&str; 8] = [
    "item/commandExecution/terminalInteraction",
    "item/fileChange/patchUpdated",
    "item/mcpToolCall/progress",
    "item/reasoning/summaryPartAdded",
    "turn/diff/updated",
    "turn/plan/updated",
    "turn/started",
    "model/verification",
];

/// One turn.
#[derive(Debug, Clone, Default)]
pub(in crate::codex) struct Run {
    pub(super) name: Arc<str>,
    pub(super) namespace: Arc<str>,
    /// Items and raw events, each told once.
    seen: Seen,
    answer: Option<Arc<str>>,
    /// What was said beside the answer.
    aside: Option<Arc<str>>,
    /// Said since the last model call that came to its end; a call that is repeated says it again.
    latest: Vec<Arc<str>>,
    /// The model call came to its end, and is not repeated so far.
    closed: bool,
    retried: bool,
    usage: Usage,
    total: Option<Usage>,
    judged: bool,
}

impl Run {
    /// A turn of an agent whose tools are in `namespace`, which is left out of their names.
    pub(in crate::codex) fn new(namespace: &Arc<str>) -> Self {
        Self { namespace: Arc::clone(namespace), ..Self::default() }
    }

    /// The same with its name, for who has many.
    pub(super) fn of(name: Arc<str>, namespace: &Arc<str>) -> Self {
        Self { name, ..Self::new(namespace) }
    }

    /// What a notification of the turn tells, and the end, once. `text` is the frame's own.
    pub(in crate::codex) fn read(
        &mut self,
        frame: &Frame<'_>,
        text: &str,
        out: &mut Vec<TurnEvent>,
    ) -> Option<Verdict> {
        let method = frame.method().unwrap_or_default();
        if self.judged || is_delta(method) || QUIET.contains(&method) {
            return None;
        }
        let params = &frame.params;
        let known = match method {
            "item/started" => match params.item_kind() {
                Some("userMessage" | "agentMessage" | "reasoning" | "functionCallOutput") => true,
                _ => params.item().is_some_and(|item| self.began(&item, out)),
            },
            "item/completed" => match params.item_kind() {
                Some("userMessage" | "functionCallOutput") => true,
                _ => params.item().is_some_and(|item| self.ended(&item, out)),
            },
            "thread/tokenUsage/updated" => self.used_tokens(params.token_usage(), out),
            "error" if !self.seen.insert(Kind::Line, text) => true,
            "error" => self.troubled(params.error(), params.will_retry, out),
            "turn/completed" => return Some(self.judge(params.turn().as_ref())),
            _ => false,
        };
        if !known {
            let event = own(text, "msg");
            if self.seen.insert(Kind::Line, event.get()) {
                out.push(TurnEvent::Raw { event });
            }
        }
        None
    }

    /// The end of a turn whose notifications break off.
    pub(in crate::codex) fn conclude(&mut self) -> Option<Verdict> {
        if std::mem::replace(&mut self.judged, true) {
            return None;
        }
        let reason = Some("what was told of the turn breaks off".to_owned());
        Some(Verdict { status: Status::Cut, text: self.text(), reason, failure: None, usage: self.usage })
    }

    /// The end as a list of turns tells it, where its notification was missed.
    pub(in crate::codex) fn judge(&mut self, turn: Option<&TurnView<'_>>) -> Verdict {
        let status = turn.and_then(|turn| turn.status).and_then(plain);
        let last = || turn?.items.and_then(last_message).map(Arc::from);
        let text = self.answer.clone().or_else(last).or_else(|| self.text());
        let is_blank = text.as_ref().is_none_or(|text| text.trim().is_empty());
        let trouble = turn.and_then(|turn| turn.error.clone());
        let (status, reason, failure) = match status {
            Some("completed") if is_blank => {
                (Status::Silent, Some("the agent said nothing".to_owned()), None)
            }
            Some("completed") => (Status::Answered, None, None),
            Some("interrupted") => (Status::Interrupted, Some("interrupted".to_owned()), None),
            _ => {
                let failure = trouble.as_ref().map_or(Failure::Other, failure::of);
                (
                    Status::Failed,
                    Some(trouble.as_ref().map(words).unwrap_or_else(|| one_line(""))),
                    Some(failure),
                )
            }
        };
        let text = text.filter(|_| status != Status::Silent);
        let usage = self.usage;
        *self = Self { judged: true, ..Self::of(Arc::clone(&self.name), &self.namespace) };
        Verdict { status, text, reason, failure, usage }
    }

    fn text(&self) -> Option<Arc<str>> {
        self.answer.clone().or_else(|| self.aside.clone())
    }

    /// Whether the text is new, and no repetition of a model call that failed.
    pub(super) fn say(&mut self, text: Arc<str>, is_aside: bool) -> bool {
        if std::mem::take(&mut self.closed) {
            (self.retried, self.latest) = (false, Vec::new());
        }
        let is_new = !self.retried || !self.latest.contains(&text);
        let place = if is_aside { &mut self.aside } else { &mut self.answer };
        *place = Some(text.clone());
        if is_new {
            self.latest.push(text);
        }
        is_new
    }

    pub(super) fn is_new(&mut self, item: &Item<'_>) -> bool {
        item.id.is_none_or(|id| self.seen.insert(Kind::Message, id.get()))
    }

    pub(super) fn call(&mut self, id: &str) -> bool {
        self.seen.insert(Kind::Call, id)
    }

    pub(super) fn reply(&mut self, id: &str) -> bool {
        self.seen.insert(Kind::Answer, id)
    }

    /// Told after each model call, and again when a thread is resumed. The thread's total tells of
    /// calls that were missed.
    fn used_tokens(&mut self, usage: Option<TokenUsage<'_>>, out: &mut Vec<TurnEvent>) -> bool {
        let Some(usage) = usage else { return false };
        let Some(total) = usage.total else { return false };
        if !self.seen.insert(Kind::Line, total.get()) {
            return true;
        }
        let total = tokens(total);
        let last = || usage.last.map(tokens).unwrap_or_default();
        let used = self.total.and_then(|before| since(&before, &total)).unwrap_or_else(last);
        (self.total, self.closed) = (Some(total), true);
        if used != Usage::default() {
            self.usage.add(&used);
            self.usage.steps += 1;
            out.push(TurnEvent::Spent { usage: self.usage, cost: Cost::Unknown });
        }
        true
    }

    /// An error that is not retried is told again by the turn's end.
    fn troubled(
        &mut self,
        trouble: Option<Trouble<'_>>,
        will_retry: Option<Json<'_>>,
        out: &mut Vec<TurnEvent>,
    ) -> bool {
        let Some(trouble) = &trouble else { return false };
        if failure::of(trouble) == Failure::RateLimited {
            out.push(TurnEvent::RateLimit { rejected: true, resets_at: None });
        }
        if will_retry.and_then(Json::bool) == Some(true) {
            (self.closed, self.retried) = (false, true);
            out.push(TurnEvent::Waiting { reason: words(trouble) });
        }
        true
    }
}

fn words(trouble: &Trouble<'_>) -> String {
    let texts = [trouble.message, trouble.additional_details];
    one_line(&texts.into_iter().flatten().filter_map(Json::string).collect::<Vec<_>>().join(": "))
}

/// The text of the last message of the agent.
fn last_message(items: Json<'_>) -> Option<String> {
    let is_message = |item: &Json<'_>| item.field("type").and_then(plain) == Some("agentMessage");
    items.items()?.into_iter().rfind(is_message)?.field("text")?.string()
}

/// Cached tokens are part of the server's figure for those that were read.
fn tokens(counts: Json<'_>) -> Usage {
    let counts: Counts<'_> = serde_json::from_str(counts.get()).unwrap_or_default();
    let count = |count: Option<Json<'_>>| count.and_then(Json::u64).unwrap_or(0);
    let (read, written) = (count(counts.cached_input_tokens), count(counts.cache_write_input_tokens));
    let mut usage = Usage::default();
    usage.input_tokens = count(counts.input_tokens).saturating_sub(read.saturating_add(written));
    usage.output_tokens = count(counts.output_tokens);
    usage.cache_read_tokens = read;
    usage.cache_write_tokens = written;
    usage
}

/// What came between two totals; `None` where one began anew.
fn since(before: &Usage, total: &Usage) -> Option<Usage> {
    let mut used = Usage::default();
    used.input_tokens = total.input_tokens.checked_sub(before.input_tokens)?;
    used.output_tokens = total.output_tokens.checked_sub(before.output_tokens)?;
    used.cache_read_tokens = total.cache_read_tokens.checked_sub(before.cache_read_tokens)?;
    used.cache_write_tokens = total.cache_write_tokens.checked_sub(before.cache_write_tokens)?;
    Some(used)
}
