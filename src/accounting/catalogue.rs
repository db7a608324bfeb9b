//! What models cost.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::base::money::Money;

/// List prices, sorted by `provider/model` and searched as they lie. `scripts/prices.py` makes it, and the letters are
/// [`Prices::set`]'s.
const CATALOGUE: &str = include_str!("catalogue.tsv");

/// Prices per token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prices {
    /// Read anew.
    pub input: Option<Money>,
    /// Written by the model.
    pub output: Option<Money>,
    /// Read from a cache.
    pub cache_read: Option<Money>,
    /// Written into a cache for five minutes.
    pub cache_write: Option<Money>,
    /// Written into a cache for an hour.
    pub cache_write_1h: Option<Money>,
    /// Thinking.
    pub reasoning: Option<Money>,
    /// Sound that is read.
    pub audio_input: Option<Money>,
    /// Sound that is written.
    pub audio_output: Option<Money>,
    /// Read anew, by a request of more than 200,000 tokens.
    pub long_input: Option<Money>,
    /// Written by the model, after such a request.
    pub long_output: Option<Money>,
    /// Read from a cache, by such a request.
    pub long_cache_read: Option<Money>,
}

impl Prices {
    /// What costs nothing.
    const FREE: Self = Self {
        input: Some(Money(0)),
        output: Some(Money(0)),
        cache_read: None,
        cache_write: None,
        cache_write_1h: None,
        reasoning: None,
        audio_input: None,
        audio_output: None,
        long_input: None,
        long_output: None,
        long_cache_read: None,
    };

    /// The price of that letter.
    fn set(&mut self, letter: u8, price: Money) {
        let place = match letter {
            b'i' => &mut self.input,
            b'o' => &mut self.output,
            b'r' => &mut self.cache_read,
            b'w' => &mut self.cache_write,
            b'h' => &mut self.cache_write_1h,
            b't' => &mut self.reasoning,
            b'a' => &mut self.audio_input,
            b'b' => &mut self.audio_output,
            b'I' => &mut self.long_input,
            b'O' => &mut self.long_output,
            b'R' => &mut self.long_cache_read,
            _ => return,
        };
        *place = Some(price);
    }

    fn of_line(line: &str) -> Self {
        let mut prices = Self::default();
        for field in line.split(' ') {
            let Some((letter, number)) = field.split_at_checked(1) else { continue };
            if let (Some(letter), Ok(price)) = (letter.bytes().next(), number.parse()) {
                prices.set(letter, Money(price));
            }
        }
        prices
    }

    /// Reads an entry of the owner's, in the words of LiteLLM's cost map: `{"input_cost_per_token": 2.5e-06, …}`, USD per token.
    /// What else it says goes into `ignored` where it is about costs.
    fn of_json(entry: &Map<String, Value>, ignored: &mut Vec<String>) -> Result<Self, String> {
        const WORDS: [(&str, u8); 11] = [
            ("input_cost_per_token", b'i'),
            ("output_cost_per_token", b'o'),
            ("cache_read_input_token_cost", b'r'),
            ("cache_creation_input_token_cost", b'w'),
            ("cache_creation_input_token_cost_above_1hr", b'h'),
            ("output_cost_per_reasoning_token", b't'),
            ("input_cost_per_audio_token", b'a'),
            ("output_cost_per_audio_token", b'b'),
            ("input_cost_per_token_above_200k_tokens", b'I'),
            ("output_cost_per_token_above_200k_tokens", b'O'),
            ("cache_read_input_token_cost_above_200k_tokens", b'R'),
        ];
        let mut prices = Self::default();
        for (word, value) in entry {
            let Some((_, letter)) = WORDS.iter().find(|(known, _)| known == word) else {
                ignored.extend(Some(word.clone()).filter(|word| word.contains("cost")));
                continue;
            };
            let price = value.as_number().and_then(|number| Money::of_dollars(&number.to_string()));
            prices.set(*letter, price.ok_or_else(|| format!("'{word}' is no amount of USD"))?);
        }
        if prices.input.is_none() && prices.output.is_none() {
            return Err("'input_cost_per_token' is missing".to_owned());
        }
        Ok(prices)
    }
}

/// The owner's prices, before those of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnPrices {
    of: HashMap<String, Prices>,
    ignored: Vec<String>,
}

impl OwnPrices {
    /// Reads `{"provider/model": {"input_cost_per_token": …, …}}`.
    ///
    /// # Errors
    /// Which entry is wrong and why.
    pub fn parse(json: &str) -> Result<Self, String> {
        let entries: Map<String, Value> = serde_json::from_str(json).map_err(|error| format!("not a JSON object: {error}"))?;
        let (mut of, mut ignored) = (HashMap::with_capacity(entries.len()), Vec::new());
        for (name, entry) in entries {
            let entry = entry.as_object().ok_or_else(|| format!("{name}: expected an object"))?;
            let read = Prices::of_json(entry, &mut ignored).map_err(|why| format!("{name}: {why}"))?;
            of.insert(name, read);
        }
        ignored.sort();
        ignored.dedup();
        Ok(Self { of, ignored })
    }

    /// What it says of costs that is not made use of.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

/// The prices of a provider's model; `None` when nobody knows them, which is not the same as free. Dated and aliased names are found by
/// the name that they stand for.
pub fn prices(own: &OwnPrices, provider: &str, model: &str) -> Option<Prices> {
    prices_of_any(own, provider, &[model])
}

/// The prices of a model that goes by several names, the best first. The owner's word comes before the list, whichever name it uses.
pub fn prices_of_any(own: &OwnPrices, provider: &str, models: &[&str]) -> Option<Prices> {
    let names: Vec<_> = models.iter().flat_map(|model| names(model)).collect();
    let found = names.iter().find_map(|name| own.of.get(&format!("{provider}/{name}")).copied());
    found.or_else(|| if provider == "ollama" { Some(Prices::FREE) } else { names.iter().find_map(|name| listed(provider, name)) })
}

/// What a model counts where its price is not known and a budget has to hold all the same: what it costs elsewhere, else the dearest of
/// each kind that the provider has.
pub fn prices_or_dearest(own: &OwnPrices, provider: &str, model: &str) -> Prices {
    const OTHERS: [&str; 5] = ["anthropic", "azure", "gemini", "openai", "vertex"];
    let elsewhere = || OTHERS.into_iter().find_map(|other| prices(own, other, model));
    match prices(own, provider, model).or_else(elsewhere) {
        Some(prices) if prices.input.is_some() && prices.output.is_some() => prices,
        // What is not priced by the token in part may cost anything in that part.
        Some(prices) => {
            let dearest = dearest(provider);
            Prices { input: prices.input.or(dearest.input), output: prices.output.or(dearest.output), ..prices }
        }
        None => dearest(provider),
    }
}

fn dearest(provider: &str) -> Prices {
    let mut dearest = Prices { input: Some(Money(0)), output: Some(Money(0)), ..Prices::default() };
    let of_provider = CATALOGUE.lines().filter_map(|line| line.strip_prefix(provider)?.strip_prefix('/')?.split_once('\t'));
    for (_, rest) in of_provider {
        let prices = Prices::of_line(rest);
        dearest.input = dearest.input.max(prices.input).max(prices.long_input);
        dearest.output = dearest.output.max(prices.output).max(prices.long_output);
    }
    dearest
}

/// The name itself and those that it may be listed by, the most exact first.
fn names(model: &str) -> Vec<Cow<'_, str>> {
    // Resource names: `publishers/google/models/gemini-2.5-flash`, `models/gemini-2.5-flash`.
    let model = model.rsplit_once("models/").map_or(model, |(_, name)| name);
    let mut names = vec![Cow::Borrowed(model)];
    // A tuned model, `ft:gpt-4o-2024-08-06:acme::id`, costs what tuned models of its base cost.
    if let Some(base) = model.strip_prefix("ft:").and_then(|rest| rest.split(':').next()) {
        names.push(format!("ft:{base}").into());
        names.extend(undated(base).map(|base| format!("ft:{base}").into()));
        return names;
    }
    // A region of Azure's or a variant of Ollama's: `gpt-3.5-turbo-instruct:20230824-v2`.
    let plain = model.split(':').next().unwrap_or(model);
    if plain != model {
        names.push(plain.into());
    }
    let base = undated(plain).unwrap_or(plain);
    if base != plain {
        names.push(base.into());
    }
    // Vertex dates its Claudes with an at sign.
    let date = plain.get(base.len() + 1..).unwrap_or_default();
    if date.len() == 8 {
        names.push(format!("{base}@{date}").into());
    }
    names.extend(["@default", "-latest"].map(|ending| format!("{base}{ending}").into()));
    names
}

/// The name without its date or the word that stands for the newest.
fn undated(model: &str) -> Option<&str> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (base, ending) = model.rsplit_once(['-', '@'])?;
    if matches!(ending, "latest" | "default") || (ending.len() == 8 && ending.starts_with("20") && is_digits(ending)) {
        return Some(base);
    }
    // -2024-08-06
    let date = model.get(model.len().checked_sub(11)?..)?;
    let is_date = date.bytes().enumerate().all(|(i, byte)| if matches!(i, 0 | 5 | 8) { byte == b'-' } else { byte.is_ascii_digit() });
    if is_date { model.strip_suffix(date) } else { None }
}

/// A binary search in the text.
fn listed(provider: &str, model: &str) -> Option<Prices> {
    let key = (provider.bytes().chain(*b"/")).chain(model.bytes());
    let (mut low, mut high) = (CATALOGUE.find('\n')? + 1, CATALOGUE.len());
    while low < high {
        let middle = (low + high) / 2;
        let start = memchr::memrchr(b'\n', CATALOGUE.as_bytes().get(low..middle)?).map_or(low, |at| low + at + 1);
        let line = CATALOGUE.get(start..)?.split('\n').next()?;
        let (name, rest) = line.split_once('\t')?;
        match key.clone().cmp(name.bytes()) {
            std::cmp::Ordering::Equal => return Some(Prices::of_line(rest)),
            std::cmp::Ordering::Less => high = start,
            std::cmp::Ordering::Greater => low = start + line.len() + 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_catalogue_is_found_and_no_other() {
        let lines: Vec<&str> = CATALOGUE.lines().skip(1).collect();
        for line in &lines {
            let (name, rest) = line.split_once('\t').unwrap();
            let (provider, model) = name.split_once('/').unwrap();
            let prices = listed(provider, model).unwrap_or_else(|| panic!("{name} is not found"));
            assert_eq!(prices, Prices::of_line(rest));
            assert!(prices.input.is_some() || prices.output.is_some() || prices.audio_input.is_some(), "{name}");
        }
        assert!(lines.len() > 700 && lines.is_sorted());
        for (provider, model) in [("openai", ""), ("", ""), ("zzz", "zzz"), ("openai", "gpt-4o-"), ("a", "a")] {
            assert_eq!(listed(provider, model), None);
        }
    }

    #[test]
    fn a_dated_or_aliased_name_costs_what_its_model_costs() {
        let own = OwnPrices::default();
        for (provider, asked, same) in [
            ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
            ("openai", "gpt-4o-2031-01-01", "gpt-4o"),
            ("openai", "gpt-3.5-turbo-instruct:20230824-v2", "gpt-3.5-turbo-instruct"),
            ("openai", "ft:davinci-002:acme::7p4lURel", "ft:davinci-002"),
            ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("anthropic", "claude-sonnet-4-5-latest", "claude-sonnet-4-5"),
            ("vertex", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
            ("vertex", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929"),
            ("vertex", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ] {
            let found = prices(&own, provider, asked);
            assert!(found.is_some() && found == prices(&own, provider, same), "{provider}/{asked}");
        }
        assert_eq!(prices(&own, "openai", "gpt-none"), None);
        assert_eq!(prices(&own, "openai", "gpt-4"), prices(&own, "openai", "gpt-4"));
        assert_eq!(prices(&own, "ollama", "anything:7b"), Some(Prices::FREE));
    }

    #[test]
    fn a_model_that_nobody_lists_counts_as_the_dearest_of_its_provider() {
        let own = OwnPrices::default();
        assert_eq!(prices_or_dearest(&own, "openai", "gpt-4o"), prices(&own, "openai", "gpt-4o").unwrap());
        assert_eq!(prices_or_dearest(&own, "anthropic", "claude-3-sonnet-20240229"), prices(&own, "vertex", "claude-3-sonnet").unwrap());
        let unknown = prices_or_dearest(&own, "openai", "gpt-of-tomorrow");
        let known = prices(&own, "openai", "gpt-4o").unwrap();
        assert!(unknown.input > known.input && unknown.output > known.output);
        assert_eq!(prices_or_dearest(&own, "ollama", "anything"), Prices::FREE);
        let picture = prices_or_dearest(&own, "openai", "gpt-image-1");
        assert!(picture.input == prices(&own, "openai", "gpt-image-1").unwrap().input && picture.output == unknown.output);
    }

    #[test]
    fn the_owners_prices_come_first() {
        let own =
            OwnPrices::parse(r#"{"openai/gpt-4o": {"input_cost_per_token": 1e-06}, "ollama/big": {"output_cost_per_token": 0.000002}}"#).unwrap();
        assert_eq!(prices(&own, "openai", "gpt-4o-2024-08-06").unwrap().input, Some(Money(1_000_000)));
        // Whichever of its names the answer gives.
        let by_any = prices_of_any(&own, "openai", &["gpt-4.1", "gpt-4o"]).unwrap();
        assert_eq!(by_any.input, Some(Money(1_000_000)));
        let pasted =
            OwnPrices::parse(r#"{"a/b": {"input_cost_per_token": 1e-06, "input_cost_per_token_batches": 5e-07, "litellm_provider": "a"}}"#).unwrap();
        assert_eq!(pasted.ignored(), ["input_cost_per_token_batches"]);
        assert_eq!(prices(&own, "ollama", "big").unwrap().output, Some(Money(2_000_000)));
        for (json, wrong) in [
            ("[]", "not a JSON object"),
            (r#"{"a/b": 1}"#, "a/b: expected an object"),
            (r#"{"a/b": {"input": 1}}"#, "is missing"),
            (r#"{"a/b": {"input_cost_per_token": -1}}"#, "no amount"),
            (r#"{"a/b": {}}"#, "is missing"),
        ] {
            assert!(OwnPrices::parse(json).unwrap_err().contains(wrong), "{json}");
        }
    }
}
