//! What a call costs.

use super::catalogue::Prices;
use crate::base::money::Money;
use crate::ir::Usage;

/// A request of more tokens than this is a long one, where a model has prices for those.
const LONG: u64 = 200_000;

/// The cost of these tokens; `None` where a price that it takes is not known.
///
/// What has no price of its own costs what its kind costs: thinking and sound what the model reads or writes besides, the caches
/// what is read anew. After a long request everything has the long price, the caches in proportion.
pub fn cost(prices: &Prices, usage: &Usage) -> Option<Money> {
    let is_long = usage.total_input() > LONG;
    let long = |long: Option<Money>, short: Option<Money>| long.filter(|_| is_long).or(short);
    let input = long(prices.long_input, prices.input);
    let output = long(prices.long_output, prices.output);
    let in_proportion = |price: Option<Money>| match (price, prices.input, prices.long_input) {
        (Some(price), Some(Money(short)), Some(Money(long))) if is_long && short > 0 => {
            let scaled = u128::from(price.0) * u128::from(long) / u128::from(short);
            Some(Money(u64::try_from(scaled).unwrap_or(u64::MAX)))
        }
        _ => price,
    };
    let cache_read = prices.long_cache_read.filter(|_| is_long).or(in_proportion(prices.cache_read));
    let cache_write = in_proportion(prices.cache_write);
    let cache_write_1h = in_proportion(prices.cache_write_1h);
    let audio_input = usage.audio_input.min(usage.input);
    let audio_output = usage.audio_output.min(usage.output);
    let reasoning = usage.reasoning.min(usage.output - audio_output);
    let parts = [
        (usage.input - audio_input, input),
        (audio_input, prices.audio_input.or(input)),
        (usage.cache_read, cache_read.or(input)),
        (usage.cache_write_5m, cache_write.or(input)),
        (usage.cache_write_1h, cache_write_1h.or(cache_write).or(input)),
        (usage.output - audio_output - reasoning, output),
        (reasoning, prices.reasoning.filter(|_| !is_long).or(output)),
        (audio_output, prices.audio_output.or(output)),
    ];
    let cost = |(tokens, price): (u64, Option<Money>)| if tokens == 0 { Some(Money(0)) } else { price.map(|price| price.times(tokens)) };
    parts.into_iter().map(cost).try_fold(Money(0), |sum, part| Some(sum.plus(part?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{OwnPrices, prices};

    /// Costs worked out by hand from the vendors' price lists, in dollars.
    #[test]
    fn a_cost_is_what_the_price_list_says() {
        let usage = Usage::default();
        for (provider, model, usage, dollars) in [
            // 1000 × 2.50 + 100 × 10.00 per million.
            ("openai", "gpt-4o-2024-08-06", Usage { input: 1000, output: 100, ..usage }, "0.0035"),
            // 200 × 2.50 + 800 × 1.25 + 100 × 10.00.
            ("openai", "gpt-4o", Usage { input: 200, cache_read: 800, output: 100, ..usage }, "0.0025"),
            // Thinking is output: 10 × 1.25 + 1000 × 10.00 of gpt-5.
            ("openai", "gpt-5", Usage { input: 10, output: 1000, reasoning: 900, ..usage }, "0.0100125"),
            // 60 × 2.50 + 40 × 40.00 + 20 × 10.00 + 80 × 80.00.
            ("openai", "gpt-4o-audio-preview-2024-12-17", Usage { input: 100, audio_input: 40, output: 100, audio_output: 80, ..usage }, "0.00835"),
            // 3 × 3.00 + 5000 × 0.30 + 2000 × 3.75 + 1000 × 6.00 + 400 × 15.00.
            (
                "anthropic",
                "claude-sonnet-4-5-20250929",
                Usage { input: 3, cache_read: 5000, cache_write_5m: 2000, cache_write_1h: 1000, output: 400, ..usage },
                "0.021009",
            ),
            // Long: 200,001 × 2.50 + 10 × 15.00.
            ("gemini", "gemini-2.5-pro", Usage { input: 200_001, output: 10, ..usage }, "0.5001525"),
            // Not long: 200,000 × 1.25 + 10 × 10.00.
            ("gemini", "gemini-2.5-pro", Usage { input: 200_000, output: 10, ..usage }, "0.2501"),
            // Long, by what the cache gave: 1 × 2.50 + 200,000 × 0.25 + 10 × 15.00.
            ("gemini", "gemini-2.5-pro", Usage { input: 1, cache_read: 200_000, output: 10, ..usage }, "0.0501525"),
            // Long on Vertex, what is written into the cache in proportion: 1 × 6.00 + 200,000 × 7.50 + 2 × 22.50.
            ("vertex", "claude-sonnet-4-5@20250929", Usage { input: 1, cache_write_5m: 200_000, output: 2, ..usage }, "1.500051"),
            // 1000 × 0.30 + 500 × 1.00 + 200 × 2.50.
            ("gemini", "gemini-2.5-flash", Usage { input: 1500, audio_input: 500, output: 200, reasoning: 150, ..usage }, "0.0013"),
            ("openai", "text-embedding-3-small", Usage { input: 8, ..usage }, "0.00000016"),
            ("azure", "gpt-4o-mini-2024-07-18", Usage { input: 100, output: 10, ..usage }, "0.000021"),
            ("ollama", "qwen3:4b", Usage { input: 1000, output: 1000, ..usage }, "0"),
        ] {
            let found = cost(&prices(&OwnPrices::default(), provider, model).unwrap(), &usage);
            assert_eq!(found.map(|cost| cost.to_string()).as_deref(), Some(dollars), "{provider}/{model}");
        }
    }

    #[test]
    fn what_takes_a_price_that_nobody_knows_has_no_cost() {
        let only_input = Prices { input: Some(Money(1)), ..Prices::default() };
        assert_eq!(cost(&only_input, &Usage { input: 5, ..Usage::default() }), Some(Money(5)));
        assert_eq!(cost(&only_input, &Usage { input: 5, output: 1, ..Usage::default() }), None);
        // Numbers that make no sense cost what they say at most, and nothing panics.
        let odd = Usage { input: 1, audio_input: u64::MAX, output: 1, reasoning: u64::MAX, audio_output: u64::MAX, ..Usage::default() };
        let all = Prices { output: Some(Money(1)), ..only_input };
        assert_eq!(cost(&all, &odd), Some(Money(2)));
        assert_eq!(cost(&all, &Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() }), Some(Money(u64::MAX)));
    }
}
