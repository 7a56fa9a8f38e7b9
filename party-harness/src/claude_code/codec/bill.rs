//! What a turn used and cost, from what the CLI says of it.

use super::{
    outcome::Outcome,
    seen::{Kind, Seen},
};
use party_core::{Cost, Usage, Usd};

/// The last version that was seen to count its total per process. Later ones count it over all
/// turns of a session.
const LAST_PER_PROCESS: [u64; 3] = [2, 1, 197];

#[derive(Debug, Clone, Default)]
pub(super) struct Bill {
    /// The session's total before this process.
    carried: Usd,
    per_process: bool,
    total: Option<Usd>,
    cost: Usd,
    /// A result did not say what it cost.
    silent: bool,
    usage: Usage,
    /// Lines of one message come close together, those of sub-agents between them.
    messages: Seen,
    steps: u64,
    rounds: u64,
}

impl Bill {
    pub(super) fn new(carried: Usd) -> Self {
        Self { carried, ..Self::default() }
    }

    /// The bill of the next turn in the same process.
    pub(super) fn next(&self) -> Self {
        let Self { carried, per_process, total, .. } = *self;
        Self { carried, per_process, total, ..Self::default() }
    }

    pub(super) fn version(&mut self, version: &str) {
        let parts: Vec<u64> = version.split('.').map_while(|part| part.parse().ok()).collect();
        self.per_process = parts.len() == 3 && parts.as_slice() <= &LAST_PER_PROCESS[..];
    }

    /// A message of the model, sub-agents included: one step each.
    pub(super) fn message(&mut self, id: &str) {
        self.steps += u64::from(self.messages.insert(Kind::Message, id));
    }

    pub(super) fn result(&mut self, outcome: &Outcome) {
        match &outcome.since_last {
            Some((cost, usage)) => {
                self.cost = self.cost.saturating_add(*cost);
                self.usage.add(usage);
            }
            None => {
                self.silent |= outcome.total.is_none();
                let total = outcome.total.unwrap_or_default();
                self.cost = self.cost.saturating_add(total.saturating_sub(self.before(total)));
                self.usage.add(&outcome.usage);
            }
        }
        self.total = outcome.total.or(self.total);
        self.rounds = self.rounds.saturating_add(outcome.rounds.unwrap_or(0));
    }

    /// What `total` held before this result. A total that is smaller than the last one began anew.
    fn before(&self, total: Usd) -> Usd {
        let carried = if self.per_process { Usd::ZERO } else { self.carried };
        let before = self.total.unwrap_or(carried);
        if total < before { Usd::ZERO } else { before }
    }

    /// The session's total, to carry to its next turn.
    pub(super) fn total(&self) -> Usd {
        self.total.unwrap_or(self.carried)
    }

    pub(super) const fn cost(&self) -> Cost {
        if self.silent { Cost::Unknown } else { Cost::Reported(self.cost) }
    }

    pub(super) fn usage(&self) -> Usage {
        let steps = if self.steps == 0 { self.rounds } else { self.steps };
        let mut usage = self.usage;
        usage.steps = steps;
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonl::view::Fields;
    use serde_json::{Value, json};

    fn outcome(line: Value) -> Outcome {
        Outcome::read(&Fields::read(&line.to_string()).unwrap(), None).unwrap()
    }

    fn cost(version: &str, carried: u64, totals: &[f64]) -> u64 {
        let mut bill = Bill::new(Usd::from_micros(carried));
        bill.version(version);
        totals.iter().for_each(|total| bill.result(&outcome(json!({"total_cost_usd": total}))));
        bill.cost().amount().unwrap().as_micros()
    }

    #[test]
    fn a170_a_total_over_all_turns_costs_its_difference() {
        assert_eq!(cost("2.1.329", 1_000, &[0.0025, 0.0030]), 2_000);
        assert_eq!(cost("2.1.329", 5_000, &[0.0025]), 2_500, "a total that began anew");
    }

    #[test]
    fn a170_a_total_per_process_costs_itself() {
        assert_eq!(cost("2.1.197", 2_500, &[0.0025]), 2_500);
        assert_eq!(cost("2.1.197", 2_500, &[0.0025, 0.0040]), 4_000);
    }

    #[test]
    fn figures_since_the_last_result_are_summed() {
        let mut bill = Bill::new(Usd::from_micros(9_000));
        let model = json!({"costUSD": 0.001, "inputTokens": 3, "outputTokens": 4});
        let line = json!({"total_cost_usd": 0.02, "usage": {"input_tokens": 0},
            "model_usage_since_last_result": {"a": model, "b": model}});
        bill.result(&outcome(line));
        bill.result(&outcome(json!({"total_cost_usd": 0.02, "model_usage_since_last_result": {}})));
        let cost = Cost::Reported(Usd::from_micros(2_000));
        assert_eq!((bill.cost(), bill.total()), (cost, Usd::from_micros(20_000)));
        assert_eq!((bill.usage().input_tokens, bill.usage().output_tokens), (6, 8));
    }

    #[test]
    fn a_cost_that_cannot_be_read_is_unknown_and_not_nothing() {
        for total in [json!(null), json!(-3), json!("dear"), json!(1e300)] {
            let mut bill = Bill::new(Usd::ZERO);
            bill.result(&outcome(json!({"total_cost_usd": 0.001})));
            bill.result(&outcome(json!({"total_cost_usd": total})));
            assert_eq!(bill.cost(), Cost::Unknown, "{total}");
        }
    }
}
