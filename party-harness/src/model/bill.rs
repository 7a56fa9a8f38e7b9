//! What a turn used and cost so far, the calls that came to nothing included.

use crate::prices::Prices;
use party_core::{Cost, Usage, Usd};
use std::sync::Arc;

/// Bytes of text to a token, where nobody counted: about right for English, too few for others.
const BYTES_PER_TOKEN: usize = 4;

/// The figures of one turn.
#[derive(Debug)]
pub(super) struct Bill {
    prices: Arc<Prices>,
    model: String,
    usage: Usage,
    spent: Usd,
    is_unknown: bool,
    open: Option<Open>,
}

/// A call that a provider may charge for.
#[derive(Debug)]
struct Open {
    sent: usize,
    received: usize,
    told: Option<Usage>,
}

impl Bill {
    pub(super) fn new(prices: Arc<Prices>, model: &str) -> Self {
        let (usage, spent) = (Usage::default(), Usd::ZERO);
        Self { prices, model: model.to_owned(), usage, spent, is_unknown: false, open: None }
    }

    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    /// Nothing where nothing was used, whatever the model.
    pub(super) const fn cost(&self) -> Cost {
        if self.is_unknown { Cost::Unknown } else { Cost::Estimated(self.spent) }
    }

    /// A call goes out that holds so many bytes.
    pub(super) const fn begin(&mut self, sent: usize) {
        self.open = Some(Open { sent, received: 0, told: None });
    }

    /// So much has come of it, and the provider counts so.
    pub(super) const fn heard(&mut self, received: usize, told: Option<Usage>) {
        if let Some(open) = &mut self.open {
            (open.received, open.told) = (received, told);
        }
    }

    /// The provider refused it: that costs nothing.
    pub(super) fn refused(&mut self) {
        self.open = None;
    }

    /// It is over, whole or not, and is charged: by the provider's count; where it gave none, or was cut
    /// off before the count of what it wrote, by the number of bytes.
    pub(super) fn settle(&mut self, is_whole: bool) {
        let Some(open) = self.open.take() else { return };
        let tokens = |bytes: usize| bytes.div_ceil(BYTES_PER_TOKEN) as u64;
        let mut used = open.told.unwrap_or_default();
        if open.told.is_none() {
            used.input_tokens = tokens(open.sent);
        }
        if open.told.is_none() || !is_whole {
            used.output_tokens = used.output_tokens.max(tokens(open.received));
        }
        used.steps = 1;
        match self.prices.cost(&self.model, &used) {
            Cost::Estimated(usd) | Cost::Reported(usd) => self.spent = self.spent.saturating_add(usd),
            Cost::Unknown => self.is_unknown = true,
        }
        self.usage.add(&used);
    }

    /// Whether so much is spent; not known where the cost is not.
    pub(super) fn has_spent(&self, limit: Usd) -> bool {
        !self.is_unknown && self.spent >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::{Price, Rates};

    fn bill() -> Bill {
        let rates = Rates::new(Usd::from_micros(1_000_000), Usd::from_micros(2_000_000));
        Bill::new(Arc::new(Prices::none().with("m", Price::new(rates))), "m")
    }

    fn told(input: u64, output: u64) -> Option<Usage> {
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (input, output);
        Some(usage)
    }

    fn figures(bill: &Bill) -> (u64, u64, u64, Option<u64>) {
        let usage = bill.usage();
        (usage.input_tokens, usage.output_tokens, usage.steps, bill.cost().amount().map(Usd::as_micros))
    }

    #[test]
    fn the_provider_s_count_counts_and_a_refusal_costs_nothing() {
        let mut bill = bill();
        bill.begin(4_000);
        bill.refused();
        bill.settle(true);
        assert_eq!(figures(&bill), (0, 0, 0, Some(0)));
        bill.begin(4_000);
        bill.heard(900, told(10, 5));
        bill.settle(true);
        assert_eq!(figures(&bill), (10, 5, 1, Some(20)));
        assert!(bill.has_spent(Usd::from_micros(20)) && !bill.has_spent(Usd::from_micros(21)));
    }

    #[test]
    fn what_was_cut_off_before_its_count_is_charged_by_its_bytes() {
        let mut bill = bill();
        bill.begin(4_000);
        bill.settle(false);
        assert_eq!(figures(&bill), (1_000, 0, 1, Some(1_000)), "nobody knows whether it was worked on");
        bill.begin(4_000);
        bill.heard(400, told(7, 1));
        bill.settle(false);
        assert_eq!(figures(&bill), (1_007, 100, 2, Some(1_207)));
    }

    #[test]
    fn a_model_without_a_price_costs_nobody_knows_what() {
        let mut bill = Bill::new(Arc::default(), "m");
        assert_eq!(bill.cost(), Cost::Estimated(Usd::ZERO));
        bill.begin(1);
        bill.settle(true);
        assert_eq!((bill.cost(), bill.has_spent(Usd::ZERO)), (Cost::Unknown, false));
    }
}
