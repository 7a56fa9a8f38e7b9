//! What a gateway has written down of a run, for a host that did not hear its end.

use super::{
    codec::{Status, Verdict, one_line},
    link::Conn,
};
use crate::Result;
use party_core::{Cost, Usage, Usd};
use serde_json::{Value, json};
use std::time::Duration;

/// How many of a session's last messages are looked at, and how much of each text; a gateway gives no
/// more than this.
const MESSAGES: u64 = 200;
const TEXT: u64 = 500_000;

/// What is said of an answer that the gateway gives only in part.
const CUT: &str = "the answer was found in the gateway's history, which holds only its beginning";

/// A session's last messages, with what runs in it.
#[derive(Debug)]
pub(super) struct Past(Value);

impl Past {
    /// Reads it. Safe to cancel.
    pub(super) async fn read(conn: &Conn, session: &str, patience: Duration) -> Result<Self> {
        let params = json!({"sessionKey": session, "limit": MESSAGES, "maxChars": TEXT});
        let reply = conn.ask("chat.history", params, patience).await?;
        reply.payload("a session's history").map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages().next().is_none() && self.0["sessionInfo"]["hasActiveRun"] != true
    }

    /// Whether something runs in the session, which may be this run.
    pub(super) fn is_active(&self) -> bool {
        self.0["sessionInfo"]["hasActiveRun"] == true || self.0["inFlightRun"].is_object()
    }

    /// Whether the model was told the message of a run.
    pub(super) fn has(&self, run: &str) -> bool {
        self.at(run).is_some()
    }

    /// What a run came to, where it was written down to its end.
    pub(super) fn verdict(&self, run: &str) -> Option<Verdict> {
        let begin = self.at(run)? + 1;
        let rows: Vec<&Value> = self.messages().skip(begin).take_while(|row| row["role"] != "user").collect();
        let said: Vec<&Value> = rows.iter().copied().filter(|row| row["role"] == "assistant").collect();
        let last = *said.last()?;
        // A row that the gateway wrote of a run that was stopped is no word of a model's.
        let stopped = last["stopReason"] == "aborted" || last["idempotencyKey"] == format!("{run}:assistant");
        let text = text(last);
        let error = last["errorMessage"].as_str();
        let (status, reason) = match last["stopReason"].as_str() {
            _ if stopped => (Status::Cancelled, Some("the run was stopped".to_owned())),
            Some("stop" | "length") if is_silent(&text) => {
                (Status::Silent, Some("the agent said nothing".to_owned()))
            }
            Some("stop" | "length") => (Status::Answered, None),
            Some("error") => (Status::Failed, Some(one_line(error.unwrap_or_default()))),
            _ => return None,
        };
        let mut verdict = Verdict::bare(status, reason.unwrap_or_default());
        verdict.text = Some(text).filter(|text| status != Status::Silent && !text.is_empty()).map(Into::into);
        if status == Status::Answered && was_cut(last) {
            verdict.reason = Some(CUT.to_owned());
        }
        (verdict.usage, verdict.cost) = spent(&said);
        Some(verdict)
    }

    fn at(&self, run: &str) -> Option<usize> {
        let key = format!("{run}:user");
        self.messages().position(|row| row["role"] == "user" && row["idempotencyKey"] == key)
    }

    fn messages(&self) -> impl Iterator<Item = &Value> {
        self.0["messages"].as_array().into_iter().flatten()
    }
}

/// What the gateway takes for the wish to say nothing.
fn is_silent(text: &str) -> bool {
    matches!(text.trim(), "" | "NO_REPLY")
}

/// Whether a gateway left out the end of one of a message's texts. It counts UTF-16 code units.
fn was_cut(row: &Value) -> bool {
    let is_cut = |text: &Value| {
        text.as_str()
            .is_some_and(|text| text.len() as u64 >= TEXT && text.encode_utf16().count() as u64 >= TEXT)
    };
    let mut blocks = row["content"].as_array().into_iter().flatten();
    is_cut(&row["content"]) || blocks.any(|block| is_cut(&block["text"]))
}

fn text(row: &Value) -> String {
    match &row["content"] {
        Value::String(text) => text.clone(),
        blocks => {
            let texts = blocks.as_array().into_iter().flatten().filter(|block| block["type"] == "text");
            texts.filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n\n")
        }
    }
}

fn spent(rows: &[&Value]) -> (Usage, Cost) {
    let (mut usage, mut dollars) = (Usage::default(), None);
    for row in rows {
        let count = |name: &str| row["usage"][name].as_u64().unwrap_or(0);
        let mut step = Usage::default();
        (step.input_tokens, step.output_tokens) = (count("input"), count("output"));
        (step.cache_read_tokens, step.cache_write_tokens) = (count("cacheRead"), count("cacheWrite"));
        step.steps = 1;
        usage.add(&step);
        if let Some(cost) = row["usage"]["cost"]["total"].as_f64() {
            dollars = Some(dollars.unwrap_or(0.0) + cost);
        }
    }
    (usage, dollars.and_then(Usd::from_dollars).map_or(Cost::Unknown, Cost::Reported))
}
