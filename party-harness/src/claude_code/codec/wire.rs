//! The fields of the CLI's lines that are read; all others pass unseen.

use super::{
    scan::{self, Found},
    unescape::{Prose, Text, without_halves},
    view::Json,
};
use crate::RawJson;
use party_core::{Usage, Usd};
use std::{borrow::Cow, sync::Arc};

impl From<Json<'_>> for RawJson {
    fn from(json: Json<'_>) -> Self {
        Self::trusted(&without_halves(json.get()))
    }
}

/// The fields of a line, wherever in the line they stand: their order is not stable. What all
/// kinds of lines have is read.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) subtype: Option<Cow<'a, str>>,
    pub(super) uuid: Option<Cow<'a, str>>,
    pub(super) session: Option<Cow<'a, str>>,
    pub(super) by_sub_agent: bool,
    /// Written by the CLI, or read back from the transcript.
    pub(super) is_echo: bool,
    pub(super) line: Json<'a>,
    found: Found<'a>,
}

impl<'a> Head<'a> {
    /// `None` where the line is no JSON object.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let (line, found) = match scan::object(line) {
            Some(found) => (Json::part(line.trim_ascii()), found),
            None => {
                let line = Json::checked(line).filter(|line| line.is_object())?;
                let message = line.field("message").into_iter().flat_map(Json::fields).collect();
                (line, Found { fields: line.fields().collect(), message })
            }
        };
        let mut head = Self { line, ..Self::default() };
        for (name, value) in &found.fields {
            head.take(name, *value);
        }
        Some(Self { found, ..head })
    }

    fn take(&mut self, name: &str, value: Json<'a>) {
        let text = || value.text().map(Text::to_cow);
        match name {
            "type" => self.kind = text(),
            "subtype" => self.subtype = text(),
            "uuid" => self.uuid = text().filter(|id| !id.is_empty()),
            "session_id" => self.session = text().filter(|id| !id.is_empty()),
            "parent_tool_use_id" => self.by_sub_agent = value.text().is_some(),
            "isSynthetic" | "isReplay" => self.is_echo |= value.bool() == Some(true),
            _ => {}
        }
    }

    pub(super) fn fields(&self) -> &[(&'a str, Json<'a>)] {
        &self.found.fields
    }

    /// The last field of this name.
    pub(super) fn field(&self, name: &str) -> Option<Json<'a>> {
        last(&self.found.fields, name)
    }

    pub(super) fn string(&self, name: &str) -> Option<String> {
        self.field(name)?.string()
    }

    /// A field of the message.
    pub(super) fn message(&self, name: &str) -> Option<Json<'a>> {
        last(&self.found.message, name)
    }
}

fn last<'a>(fields: &[(&'a str, Json<'a>)], name: &str) -> Option<Json<'a>> {
    fields.iter().rfind(|(field, _)| *field == name).map(|(_, value)| *value)
}

/// A message of the model, or what tools answer it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) by_model: bool,
    pub(super) id: Option<String>,
    pub(super) blocks: Vec<Block>,
}

/// A block of content; a known kind that does not fit, and every other kind, is raw.
#[derive(Debug)]
pub(super) enum Block {
    Text(Prose),
    Thinking(Prose),
    Call { id: String, name: String, input: RawJson },
    Answer { id: String, text: Prose, is_error: bool },
    Other(RawJson),
}

impl Message {
    /// `None` where the content is no list.
    pub(super) fn of_model(head: &Head<'_>) -> Option<Self> {
        let blocks = blocks(head.message("content")?, |block| !matches!(block, Block::Answer { .. }))?;
        Some(Self { by_model: true, id: head.message("id").and_then(Json::string), blocks })
    }

    /// `None` where the content is no list.
    pub(super) fn of_tools(head: &Head<'_>) -> Option<Self> {
        let blocks = blocks(head.message("content")?, |block| matches!(block, Block::Answer { .. }))?;
        Some(Self { by_model: false, id: None, blocks })
    }
}

fn blocks(content: Json<'_>, fits: fn(&Block) -> bool) -> Option<Vec<Block>> {
    let block = |block: Json<'_>| known(block).filter(fits).unwrap_or_else(|| Block::Other(block.into()));
    Some(content.items()?.map(block).collect())
}

fn known(block: Json<'_>) -> Option<Block> {
    let [mut kind, mut text, mut thinking, mut id, mut name, mut input, mut call, mut content, mut error] =
        [None; 9];
    for (field, value) in block.fields() {
        match field {
            "type" => kind = Some(value),
            "text" => text = Some(value),
            "thinking" => thinking = Some(value),
            "id" => id = Some(value),
            "name" => name = Some(value),
            "input" => input = Some(value),
            "tool_use_id" => call = Some(value),
            "content" => content = Some(value),
            "is_error" => error = Some(value),
            _ => {}
        }
    }
    let prose = |value: Option<Json<'_>>| Some(value?.text()?.to_prose());
    Some(match kind?.get() {
        r#""text""# => Block::Text(prose(text)?),
        r#""thinking""# => Block::Thinking(prose(thinking)?),
        r#""tool_use""# => {
            let input = input.map_or_else(RawJson::null, RawJson::from);
            Block::Call { id: id?.string()?, name: name?.string()?, input }
        }
        r#""tool_result""# => {
            let text = content.map_or_else(|| Prose::Own(String::new()), tool_text);
            Block::Answer { id: call?.string()?, text, is_error: error.and_then(Json::bool).unwrap_or(false) }
        }
        _ => return None,
    })
}

/// The text of a tool's answer, which is a string or a list of blocks.
fn tool_text(content: Json<'_>) -> Prose {
    if let Some(text) = content.text() {
        return text.to_prose();
    }
    let Some(mut blocks) = content.items() else {
        let text = if content.is_filled() { content.get() } else { "" };
        return Prose::Own(text.to_owned());
    };
    let of = |block: Json<'_>| match block.field("text").and_then(Json::text) {
        Some(text) => text.to_prose(),
        None => {
            let kind = block.field("type").and_then(Json::string);
            Prose::Own(format!("[{}]", kind.as_deref().unwrap_or("unknown")))
        }
    };
    let Some(first) = blocks.next() else { return Prose::Own(String::new()) };
    let first = of(first);
    let Some(second) = blocks.next() else { return first };
    let mut text = first.share().to_string();
    for block in std::iter::once(second).chain(blocks) {
        text.push('\n');
        text.push_str(&of(block).share());
    }
    Prose::Own(text)
}

/// One `result` line. Figures that do not fit are none, so that a strange figure loses no answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) is_error: bool,
    /// Rounds of the model; none were made for a command such as `/context`.
    pub(super) rounds: Option<u64>,
    pub(super) result: Option<Prose>,
    pub(super) errors: Vec<String>,
    pub(super) subtype: Option<String>,
    pub(super) terminal_reason: Option<String>,
    pub(super) api_status: Option<u64>,
    pub(super) api_error: Option<String>,
    /// Messages that wait for a turn of their own.
    pub(super) queued: u64,
    pub(super) total: Option<Usd>,
    pub(super) usage: Usage,
    /// Cost and usage of all models, sub-agents' too, since the last result.
    pub(super) since_last: Option<(Usd, Usage)>,
}

impl Outcome {
    /// `said` is the text that the result most likely repeats.
    pub(super) fn read(fields: &[(&str, Json<'_>)], said: Option<&Arc<str>>) -> Option<Self> {
        let mut outcome = Self::default();
        let mut structured = None;
        for &(name, value) in fields {
            match name {
                "is_error" => outcome.is_error = value.bool()?,
                "num_turns" => outcome.rounds = value.u64(),
                "result" => outcome.result = value.text().map(|text| shared(text, said)),
                "structured_output" => structured = Some(value).filter(|value| value.is_filled()),
                "errors" => outcome.errors = strings(value),
                "subtype" => outcome.subtype = value.string(),
                "terminal_reason" => outcome.terminal_reason = value.string(),
                "api_error_status" => outcome.api_status = value.u64(),
                "api_error" => outcome.api_error = value.string(),
                "queued_turn_count" => outcome.queued = value.u64().unwrap_or(0),
                "total_cost_usd" => outcome.total = dollars(value),
                "usage" => outcome.usage = counts(value, MAIN),
                "model_usage_since_last_result" => outcome.since_last = models(value),
                _ => {}
            }
        }
        if outcome.result.is_none() {
            outcome.result = structured.map(|value| Prose::Own(value.get().to_owned()));
        }
        Some(outcome)
    }
}

impl Outcome {
    /// With its text where it stays; for when the line is gone.
    pub(super) fn settled(mut self) -> Self {
        self.result = self.result.map(|text| Prose::Shared(text.share()));
        self
    }
}

fn shared(text: Text<'_>, said: Option<&Arc<str>>) -> Prose {
    match said.filter(|said| text.is(said)) {
        Some(said) => Prose::Shared(said.clone()),
        None => text.to_prose(),
    }
}

const MAIN: [&str; 4] =
    ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];
const MODEL: [&str; 4] = ["inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"];

fn dollars(value: Json<'_>) -> Option<Usd> {
    value.f64().and_then(Usd::from_dollars)
}

fn strings(list: Json<'_>) -> Vec<String> {
    list.items().into_iter().flatten().filter_map(Json::string).collect()
}

fn models(models: Json<'_>) -> Option<(Usd, Usage)> {
    let mut sum = (Usd::ZERO, Usage::default());
    for (_, model) in models.fields() {
        let cost = model.field("costUSD").and_then(dollars).unwrap_or_default();
        sum.0 = sum.0.saturating_add(cost);
        sum.1.add(&counts(model, MODEL));
    }
    models.is_object().then_some(sum)
}

fn counts(value: Json<'_>, names: [&str; 4]) -> Usage {
    let mut counts = [0; 4];
    for (name, value) in value.fields() {
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            counts[place] = value.u64().unwrap_or(0);
        }
    }
    let mut usage = Usage::default();
    [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens] = counts;
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_answer_is_text_in_each_of_its_shapes() {
        let text = |json| tool_text(Json::checked(json).unwrap()).share();
        assert_eq!(&*text(r#""plain""#), "plain");
        assert_eq!(&*text(r#"[{"type":"text","text":"a\n"},{"type":"image"},7]"#), "a\n\n[image]\n[unknown]");
        assert_eq!(&*text(r#"[{"text":"one"}]"#), "one");
        assert_eq!((&*text("null"), &*text("[]"), &*text(r#"{"a":1}"#)), ("", "", r#"{"a":1}"#));
    }

    #[test]
    fn a_result_shares_the_text_that_it_repeats_and_strange_figures_lose_no_answer() {
        let said: Arc<str> = "a\nb".into();
        let line = r#"{"result":"a\nb","num_turns":"?","total_cost_usd":null,"usage":7,"errors":[1,"x"]}"#;
        let read = |line, said| Outcome::read(Head::read(line).unwrap().fields(), said);
        let outcome = read(line, Some(&said)).unwrap();
        assert!(matches!(&outcome.result, Some(Prose::Shared(text)) if Arc::ptr_eq(text, &said)));
        assert_eq!((outcome.rounds, outcome.total, outcome.errors), (None, None, vec!["x".to_owned()]));
        assert!(read(r#"{"is_error":"yes"}"#, None).is_none());
    }
}
