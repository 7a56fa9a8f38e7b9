//! What a turn costs: the server tells tokens after each model call, the host has the prices.

use super::{
    codec::{Status, Verdict},
    setup::Setup,
};
use crate::{RuntimeSpec, prices::Price};
use party_core::{Cost, Usage, Usd};

/// The costs of a turn so far.
#[derive(Debug)]
pub(super) struct Bill {
    /// None also where calls may have been missed.
    price: Option<Price>,
    counted: Usage,
    sum: Usd,
}

impl Bill {
    /// Of a seat whose model is named and has a price, or of one of which nobody knows what it costs.
    pub(super) fn new(setup: &Setup, spec: &RuntimeSpec) -> Self {
        let model = spec.model.as_deref().or(setup.model.as_deref());
        let price = model.and_then(|model| setup.prices.of(model)).copied();
        Self { price, counted: Usage::default(), sum: Usd::ZERO }
    }

    /// Calls may have been missed: what they cost is not known, and so neither is the whole.
    pub(super) const fn missed(&mut self) {
        self.price = None;
    }

    /// A model call ended, with which the turn has used this much. Each call has a price of its own:
    /// long prompts are dearer.
    pub(super) fn count(&mut self, used: Usage) -> Cost {
        let call = since(&self.counted, &used);
        self.counted = used;
        self.price.map_or(Cost::Unknown, |price| {
            self.sum = self.sum.saturating_add(price.of(&call));
            Cost::Estimated(self.sum)
        })
    }

    /// What the turn cost. The server does not count a call that breaks off, so an end without an answer
    /// may have cost more than it says.
    pub(super) fn of(mut self, verdict: &Verdict) -> Cost {
        match verdict.status {
            Status::Answered | Status::Silent => self.count(verdict.usage),
            _ => Cost::Unknown,
        }
    }
}

fn since(before: &Usage, now: &Usage) -> Usage {
    let mut call = Usage::default();
    call.input_tokens = now.input_tokens.saturating_sub(before.input_tokens);
    call.output_tokens = now.output_tokens.saturating_sub(before.output_tokens);
    call.cache_read_tokens = now.cache_read_tokens.saturating_sub(before.cache_read_tokens);
    call.cache_write_tokens = now.cache_write_tokens.saturating_sub(before.cache_write_tokens);
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Rates;

    fn bill() -> Bill {
        let dollars = |dollars: u64| Usd::from_micros(dollars * 1_000_000);
        let price = Price::new(Rates::new(dollars(1), dollars(10)));
        let price = price.longer_than(1_000, Rates::new(dollars(2), dollars(20)));
        Bill { price: Some(price), counted: Usage::default(), sum: Usd::ZERO }
    }

    fn used(input: u64, output: u64) -> Usage {
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (input, output);
        usage
    }

    fn verdict(status: Status, usage: Usage) -> Verdict {
        Verdict { status, text: None, reason: None, failure: None, usage }
    }

    #[test]
    fn each_call_has_its_own_price_and_is_charged_once() {
        let mut bill = bill();
        assert_eq!(bill.count(used(900, 10)), Cost::Estimated(Usd::from_micros(1_000)));
        assert_eq!(
            bill.count(used(1_800, 10)),
            Cost::Estimated(Usd::from_micros(1_900)),
            "not a long prompt"
        );
        let end = verdict(Status::Answered, used(1_800, 10));
        assert_eq!(bill.of(&end), Cost::Estimated(Usd::from_micros(1_900)));
    }

    #[test]
    fn what_broke_off_or_has_no_price_is_unknown_and_never_nothing() {
        for status in [Status::Failed, Status::Interrupted, Status::Cut] {
            assert_eq!(bill().of(&verdict(status, used(1, 1))), Cost::Unknown);
        }
        let mut partly = bill();
        partly.count(used(900, 10));
        partly.missed();
        assert_eq!(partly.count(used(1_800, 10)), Cost::Unknown);
        assert_eq!(partly.of(&verdict(Status::Answered, used(1_800, 10))), Cost::Unknown);
        let mut unpriced = Bill { price: None, ..bill() };
        assert_eq!(unpriced.count(used(1, 1)), Cost::Unknown);
        assert_eq!(unpriced.of(&verdict(Status::Answered, used(1, 1))), Cost::Unknown);
    }
}
