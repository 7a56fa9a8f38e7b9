//! What a `result` line says of its turn.

use super::{
    unescape::{Prose, Text},
    view::{Fields, Json},
};
use party_core::{Usage, Usd};
use std::sync::Arc;

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
    pub(super) fn read(fields: &Fields<'_>, said: Option<&Arc<str>>) -> Option<Self> {
        let mut outcome = Self::default();
        let mut structured = None;
        for (name, value) in fields.iter() {
            match name {
                "is_error" => outcome.is_error = value.bool().unwrap_or_else(|| value.is_filled()),
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
                "usage" => outcome.usage = counts(&value.fields(), MAIN),
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
    for (_, model) in Fields::read(models.get())?.iter() {
        let model = model.fields();
        let cost = model.get("costUSD").and_then(dollars).unwrap_or_default();
        sum.0 = sum.0.saturating_add(cost);
        sum.1.add(&counts(&model, MODEL));
    }
    Some(sum)
}

fn counts(fields: &Fields<'_>, names: [&str; 4]) -> Usage {
    let counts = names.map(|name| fields.get(name).and_then(Json::u64).unwrap_or(0));
    let mut usage = Usage::default();
    [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens] = counts;
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_shares_the_text_that_it_repeats_and_strange_figures_lose_no_answer() {
        let said: Arc<str> = "a\nb".into();
        let line = r#"{"result":"a\nb","num_turns":"?","total_cost_usd":null,"usage":7,"errors":[1,"x"]}"#;
        let read = |line: &str, said| Outcome::read(&Fields::read(line).unwrap(), said);
        let outcome = read(line, Some(&said)).unwrap();
        assert!(matches!(&outcome.result, Some(Prose::Shared(text)) if Arc::ptr_eq(text, &said)));
        assert_eq!((outcome.rounds, outcome.total, outcome.errors), (None, None, vec!["x".to_owned()]));
        let fails = |is_error| read(&format!(r#"{{"is_error":{is_error}}}"#), None).unwrap().is_error;
        assert!(fails("\"yes\"") && fails("true") && !fails("null") && !fails("false"));
    }
}
