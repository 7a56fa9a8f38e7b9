//! What tokens cost, by model: for runtimes that report tokens and no money.

use party_core::{Cost, Usage, Usd};
use std::{collections::BTreeMap, sync::Arc};

/// What a million tokens of each kind cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// Tokens read that were not in a cache.
    pub input: Usd,
    /// Tokens written, reasoning included.
    pub output: Usd,
    /// Tokens read from a cache.
    pub cache_read: Usd,
    /// Tokens put into a cache.
    pub cache_write: Usd,
}

impl Rates {
    /// Nothing: a model that runs on one's own machine.
    pub const FREE: Self = Self::new(Usd::ZERO, Usd::ZERO);

    /// So much for what is read and what is written; a cache saves and costs nothing.
    pub const fn new(input: Usd, output: Usd) -> Self {
        Self { input, output, cache_read: input, cache_write: input }
    }

    /// The same with a cache that costs so much to read and to write.
    #[must_use]
    pub const fn cache(mut self, read: Usd, write: Usd) -> Self {
        (self.cache_read, self.cache_write) = (read, write);
        self
    }

    fn cost(&self, usage: &Usage) -> Usd {
        let part = |tokens: u64, rate: Usd| u128::from(tokens) * u128::from(rate.as_micros());
        let sum = part(usage.input_tokens, self.input)
            .saturating_add(part(usage.output_tokens, self.output))
            .saturating_add(part(usage.cache_read_tokens, self.cache_read))
            .saturating_add(part(usage.cache_write_tokens, self.cache_write));
        // Rounded up: what is spent is never nothing.
        Usd::from_micros(u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Price {
    /// For prompts of usual length.
    pub rates: Rates,
    /// For a prompt, its cached part included, of more tokens than this, and all that comes of it.
    pub long: Option<(u64, Rates)>,
}

impl Price {
    /// The same for prompts of every length.
    pub const fn new(rates: Rates) -> Self {
        Self { rates, long: None }
    }

    /// The same with other rates for prompts of more than `tokens`.
    #[must_use]
    pub const fn longer_than(mut self, tokens: u64, rates: Rates) -> Self {
        self.long = Some((tokens, rates));
        self
    }

    /// What one model call costs that used this much, rounded up to a millionth of a dollar.
    pub fn of(&self, usage: &Usage) -> Usd {
        let prompt = usage.input_tokens.saturating_add(usage.cache_read_tokens);
        let prompt = prompt.saturating_add(usage.cache_write_tokens);
        let long = self.long.filter(|(tokens, _)| prompt > *tokens);
        long.map_or(self.rates, |(_, rates)| rates).cost(usage)
    }
}

/// Prices by the names of models: data of the host's.
///
/// A name stands for itself and for its dated versions: `gpt-5` for `gpt-5-2025-08-07` and
/// `gpt-5-latest`, and not for `gpt-5-mini`, which is another model. One that ends in `*` stands for all
/// that begins so. The longest that fits counts; what none fits has no price, and its cost is
/// [`Cost::Unknown`], never nothing.
///
/// ```
/// use party_harness::prices::{Price, Prices, Rates};
/// use party_harness::core::Usd;
///
/// let dollars = |dollars: u64| Usd::from_micros(dollars * 1_000_000);
/// let prices = Prices::shipped()
///     .with("our-model", Price::new(Rates::new(dollars(1), dollars(5))))
///     .with("local/*", Price::new(Rates::FREE));
/// assert!(prices.of("local/llama").is_some());
/// assert!(prices.of("some-other").is_none());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// No price at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Everything is free: for models on one's own machine.
    pub fn free() -> Self {
        Self::none().with("*", Price::new(Rates::FREE))
    }

    /// The list prices of some usual models, as their providers published them, read in November 2026:
    /// standard service, no discount, no batch, the shorter-lived cache. Prices change; a host that
    /// is charged by what this says looks at them, and replaces them by [`with`](Self::with).
    pub fn shipped() -> Self {
        SHIPPED.iter().fold(Self::none(), |prices, (name, price)| prices.with(*name, *price))
    }

    /// The same with this price, in the place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, price: Price) -> Self {
        self.0.insert(name.into(), price);
        self
    }

    /// What a model costs, where that is known.
    pub fn of(&self, model: &str) -> Option<&Price> {
        let fitting = self.0.iter().filter(|(name, _)| fits(name, model));
        fitting.max_by_key(|(name, _)| (!name.ends_with('*'), name.len())).map(|(_, price)| price)
    }

    /// What one call of a model costs that used this much.
    pub fn cost(&self, model: &str, usage: &Usage) -> Cost {
        self.of(model).map_or(Cost::Unknown, |price| Cost::Estimated(price.of(usage)))
    }
}

/// By what a harness works its costs out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "adapters build it")]
pub struct Pricing {
    /// What models cost.
    pub prices: Arc<Prices>,
    /// The model of seats that name none.
    pub model: Option<String>,
}

impl Pricing {
    /// Whether it is known what a seat costs that names this model.
    pub fn knows(&self, model: Option<&str>) -> bool {
        model.or(self.model.as_deref()).is_some_and(|model| self.prices.of(model).is_some())
    }
}

fn fits(name: &str, model: &str) -> bool {
    if let Some(begin) = name.strip_suffix('*') {
        return model.starts_with(begin);
    }
    let Some(rest) = model.strip_prefix(name) else { return false };
    let version = rest.strip_prefix(['-', '@', ':']).unwrap_or_default();
    // Eight digits with or without dashes are a date; fewer are another model's number.
    let digits = version.chars().filter(char::is_ascii_digit).count();
    let is_date = digits >= 8 && version.chars().all(|c| c.is_ascii_digit() || c == '-');
    rest.is_empty() || version == "latest" || is_date
}

/// In thousandths of a dollar for a million tokens: read, written, read from a cache, put into it.
const fn rates(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Rates {
    Rates {
        input: Usd::from_micros(input * 1_000),
        output: Usd::from_micros(output * 1_000),
        cache_read: Usd::from_micros(cache_read * 1_000),
        cache_write: Usd::from_micros(cache_write * 1_000),
    }
}

const fn flat(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Price {
    Price::new(rates(input, output, cache_read, cache_write))
}

/// Of more than 272,000 tokens the input costs double and the output half as much again.
const fn openai(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Price {
    let long = rates(input * 2, output * 3 / 2, cache_read * 2, cache_write * 2);
    flat(input, output, cache_read, cache_write).longer_than(272_000, long)
}

/// From the price pages of Anthropic, OpenAI and Google.
const SHIPPED: &[(&str, Price)] = &[
    ("claude-opus-5-5", flat(4_000, 20_000, 200, 5_000)),
    ("claude-opus-5", flat(5_000, 25_000, 500, 6_250)),
    ("claude-opus-4-8", flat(5_000, 25_000, 500, 6_250)),
    ("claude-opus-4-7", flat(5_000, 25_000, 500, 6_250)),
    ("claude-opus-4-6", flat(5_000, 25_000, 500, 6_250)),
    ("claude-opus-4-5", flat(5_000, 25_000, 500, 6_250)),
    ("claude-sonnet-5-5", flat(2_000, 10_000, 100, 2_500)),
    ("claude-sonnet-5", flat(2_000, 10_000, 200, 2_500)),
    ("claude-sonnet-4-6", flat(3_000, 15_000, 300, 3_750)),
    ("claude-haiku-5-5", HAIKU),
    ("claude-haiku-4-5", flat(1_000, 5_000, 100, 1_250)),
    ("gpt-6.1-sol", openai(2_000, 10_000, 100, 2_500)),
    ("gpt-6-sol", openai(2_000, 10_000, 200, 2_500)),
    ("gpt-6-luna", openai(100, 500, 10, 125)),
    ("gpt-5.5", flat(5_000, 30_000, 500, 5_000)),
    ("gpt-5.4", flat(2_500, 15_000, 250, 2_500)),
    ("gpt-5.4-mini", flat(750, 4_500, 75, 750)),
    ("gpt-5.4-nano", flat(200, 1_250, 20, 200)),
    // A tenth of the input is what a cache of Google's saves to; its storage by the hour is not counted.
    ("gemini-3.8-flash", flat(750, 3_750, 75, 750)),
    ("gemini-3.5-flash", flat(1_500, 9_000, 150, 1_500)),
    ("gemini-3.5-flash-lite", flat(300, 2_500, 30, 300)),
    ("gemini-3.1-pro-preview", GEMINI_PRO),
];

const HAIKU: Price = flat(100, 500, 10, 125).longer_than(100_000, rates(500, 2_500, 50, 625));

const GEMINI_PRO: Price =
    flat(2_000, 12_000, 200, 2_000).longer_than(200_000, rates(4_000, 18_000, 400, 4_000));

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, output: u64) -> Usage {
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens) = (input, output);
        usage
    }

    #[test]
    fn a_name_stands_for_its_versions_and_for_no_other_model() {
        let dear = Price::new(rates(9, 9, 9, 9));
        let prices = Prices::none().with("gpt-5", dear);
        for model in ["gpt-5", "gpt-5-2025-08-07", "gpt-5-20250807", "gpt-5-latest", "gpt-5@20250807"] {
            assert_eq!(prices.of(model), Some(&dear), "{model}");
        }
        for model in ["gpt-5-mini", "gpt-5.5", "gpt-50", "gpt", "gpt-5-5", "my-gpt-5", ""] {
            assert_eq!(prices.cost(model, &usage(1, 1)), Cost::Unknown, "{model}");
        }
    }

    #[test]
    fn the_longest_name_counts_and_a_whole_one_before_a_beginning() {
        let price = |mills| Price::new(rates(mills, mills, mills, mills));
        let prices = Prices::none().with("*", price(1)).with("gpt-*", price(2)).with("gpt-5", price(3));
        assert_eq!(prices.of("llama"), Some(&price(1)));
        assert_eq!(prices.of("gpt-5-mini"), Some(&price(2)));
        assert_eq!(prices.of("gpt-5-2025-08-07"), Some(&price(3)));
        assert_eq!(prices.with("gpt-5", price(4)).of("gpt-5"), Some(&price(4)), "the host's own");
    }

    #[test]
    fn each_kind_of_token_has_its_rate_and_what_is_spent_is_never_nothing() {
        let price = flat(2_000, 10_000, 100, 2_500);
        let mut used = usage(1_000_000, 100_000);
        (used.cache_read_tokens, used.cache_write_tokens) = (10_000, 1_000);
        assert_eq!(price.of(&used).as_micros(), 2_000_000 + 1_000_000 + 1_000 + 2_500);
        assert_eq!(price.of(&usage(1, 0)).as_micros(), 2);
        assert_eq!(flat(100, 1, 1, 1).of(&usage(1, 0)).as_micros(), 1, "rounded up");
        assert_eq!(price.of(&usage(u64::MAX, u64::MAX)).as_micros(), u64::MAX, "no overflow");
        assert_eq!(Prices::free().cost("llama", &usage(5, 5)), Cost::Estimated(Usd::ZERO));
    }

    #[test]
    fn a_long_prompt_has_rates_of_its_own_and_its_cached_part_counts() {
        let mut used = usage(60_000, 1_000);
        assert_eq!(HAIKU.of(&used).as_micros(), 6_000 + 500);
        used.cache_read_tokens = 50_000;
        assert_eq!(HAIKU.of(&used).as_micros(), 30_000 + 2_500 + 2_500);
    }
}
