//! What the recorded traffic cost: every answer of our providers with tokens has a price, or its model is listed here.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod support;

use std::collections::BTreeMap;

use finops_gateway::accounting::{OwnPrices, cost, prices};
use finops_gateway::base::money::Money;
use finops_gateway::lanes::observe::observe;
use serde_json::Value;
use support::{PLAIN, STREAMED, exchanges};

/// Models that the price list no longer has (retired), or never had (names that somebody gave a deployment, a compatible
/// server's own models).
const UNLISTED: [&str; 18] = [
    "anthropic/anthropic/claude-haiku-4.5",
    "anthropic/claude-3-5-haiku-20241022",
    "anthropic/claude-3-5-sonnet-20240620",
    "anthropic/claude-3-7-sonnet-20250219",
    "anthropic/claude-3-haiku-20240307",
    "anthropic/claude-3-opus-20240229",
    "anthropic/claude-3-opus-latest",
    "anthropic/claude-sonnet-4-0",
    "anthropic/claude-sonnet-4-20250514",
    "gemini/gemini-1.5-flash",
    "gemini/gemini-2.0-flash",
    "gemini/gemini-2.0-flash-exp",
    "gemini/gemini-3-pro-preview",
    "openai/Qwen/Qwen3-0.6B",
    "openai/muse-spark-1.1",
    "openai/o1-mini",
    "vertex/claude-3-7-sonnet@20250219",
    "vertex/gemini-1.5-pro",
];

#[test]
fn the_recorded_answers_of_our_providers_have_a_price() {
    let own = OwnPrices::default();
    let mut sums: BTreeMap<&str, (usize, Money)> = BTreeMap::new();
    let mut unpriced: BTreeMap<String, usize> = BTreeMap::new();
    for (file, _) in PLAIN.into_iter().chain(STREAMED) {
        let provider = file.split('.').next().unwrap();
        if !["openai", "anthropic", "gemini", "vertex", "azure", "ollama"].contains(&provider) {
            continue;
        }
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.status == 200) {
            let (body, stream) = match &exchange.response {
                Value::String(text) => (text.clone(), true),
                json => (json.to_string(), false),
            };
            let observed = observe(body.as_bytes(), stream);
            let Some(usage) = observed.usage else { continue };
            let names = observed.model.iter().map(String::as_str).chain([exchange.model.as_str()]);
            let found = names.clone().find_map(|model| prices(&own, provider, model)).and_then(|prices| cost(&prices, &usage));
            let Some(found) = found else {
                *unpriced.entry(format!("{provider}/{}", names.last().unwrap_or_default())).or_default() += 1;
                continue;
            };
            let (count, sum) = sums.entry(provider).or_default();
            (*count, *sum) = (*count + 1, sum.plus(found));
        }
    }
    for (provider, (count, sum)) in &sums {
        println!("costs {provider}: {count} answers, {sum} USD");
    }
    if unpriced.is_empty() && sums.is_empty() {
        return;
    }
    // What the corpus of November 2026 cost by the list of that month: another number means other tokens or other prices.
    let expected = [
        ("anthropic", 615, "3.8835728"),
        ("azure", 80, "0.01580385"),
        ("gemini", 474, "0.47438358"),
        ("ollama", 1, "0"),
        ("openai", 1015, "1.3130958"),
        ("vertex", 147, "0.21857782"),
    ];
    let found: Vec<_> = sums.iter().map(|(provider, (count, sum))| (*provider, *count, sum.to_string())).collect();
    assert_eq!(found, expected.map(|(provider, count, sum)| (provider, count, sum.to_owned())));
    let stale: Vec<&str> = UNLISTED.into_iter().filter(|model| !unpriced.contains_key(*model)).collect();
    assert!(stale.is_empty(), "listed in vain: {}", stale.join(", "));
    let unknown: Vec<String> =
        unpriced.iter().filter(|(model, _)| !UNLISTED.contains(&model.as_str())).map(|(model, count)| format!("{model} ({count})")).collect();
    assert!(unknown.is_empty(), "without a price: {}", unknown.join(", "));
}
