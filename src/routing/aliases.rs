//! `MODEL_ALIASES`: other names for models. A name, or the beginning of one (`local-*`), stands for `provider/model`, or for one of
//! several by weight. In the model of a pattern `*` is what the pattern's `*` stood for.

use serde_json::{Map, Value};

use super::keys::{KeyRules, choose};

/// The aliases, exact names first, then the longest beginnings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aliases(Vec<(String, Vec<KeyRules>)>);

impl Aliases {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn parse(json: &str) -> Result<Self, String> {
        let map: Map<String, Value> = serde_json::from_str(json)
            .map_err(|_| "MODEL_ALIASES must be a JSON object, such as {\"fast\":\"openai/gpt-4o-mini\",\"local-*\":\"ollama/*\"}".to_owned())?;
        let mut aliases = Vec::with_capacity(map.len());
        for (name, value) in map {
            let wrong = |what: &str| format!("MODEL_ALIASES: '{name}' {what}");
            if name.is_empty() || name.find('*').is_some_and(|at| at + 1 != name.len()) {
                return Err(wrong("may have one '*', at its end"));
            }
            let targets = match value {
                Value::Array(targets) => targets,
                one => vec![one],
            };
            let targets: Option<Vec<KeyRules>> = targets.iter().map(target).collect();
            let targets = targets.filter(|targets| !targets.is_empty());
            let targets = targets.ok_or_else(|| wrong("must be \"provider/model\" or a list of {\"model\": \"provider/model\", \"weight\": 1}"))?;
            aliases.push((name, targets));
        }
        aliases.sort_by_key(|(name, _)| (name.ends_with('*'), std::cmp::Reverse(name.len())));
        Ok(Self(aliases))
    }

    /// The model that a name stands for; `None` when it is no alias. `session` and `random` choose among several.
    pub fn resolve(&self, asked: &str, session: Option<&str>, random: u64) -> Option<String> {
        let (targets, rest) = self.0.iter().find_map(|(name, targets)| match name.strip_suffix('*') {
            Some(beginning) => asked.strip_prefix(beginning).map(|rest| (targets, rest)),
            None => (name == asked).then_some((targets, asked)),
        })?;
        choose(&targets.iter().collect::<Vec<_>>(), session, random).map(|target| target.name.replace('*', rest))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn target(value: &Value) -> Option<KeyRules> {
    let (model, weight) = match value {
        Value::String(model) => (model.clone(), 1.0),
        Value::Object(entry) => {
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            let model = text("model")?;
            let model = text("provider").map_or_else(|| model.to_owned(), |provider| format!("{provider}/{model}"));
            (model, entry.get("weight").map_or(Some(1.0), Value::as_f64).filter(|weight| *weight >= 0.0)?)
        }
        _ => return None,
    };
    let rules = KeyRules { name: model, weight, models: Vec::new(), blacklisted_models: Vec::new(), enabled: true };
    (!rules.name.is_empty()).then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_the_longest_beginning_of_it_stands_for_a_model() {
        let aliases = Aliases::parse(
            r#"{"gpt-*":"openai/gpt-*","gpt-4*":"azure/*","gpt-4o":{"provider":"anthropic","model":"claude-x"},"local-*":"ollama/*"}"#,
        )
        .unwrap();
        for (asked, expected) in [
            ("gpt-4o", Some("anthropic/claude-x")),
            ("gpt-4-turbo", Some("azure/-turbo")),
            ("gpt-5", Some("openai/gpt-5")),
            ("local-llama3.1:8b", Some("ollama/llama3.1:8b")),
            ("claude", None),
        ] {
            assert_eq!(aliases.resolve(asked, None, 0).as_deref(), expected, "{asked}");
        }
    }

    #[test]
    fn one_of_several_is_chosen_by_weight_and_a_session_keeps_it() {
        let aliases = Aliases::parse(r#"{"fast":[{"model":"openai/a","weight":0},{"model":"gemini/b","weight":2},"ollama/c"]}"#).unwrap();
        let found: std::collections::BTreeSet<String> = (0..64_u64).filter_map(|i| aliases.resolve("fast", None, i << 58)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["gemini/b", "ollama/c"]);
        assert_eq!(aliases.resolve("fast", Some("s"), 0), aliases.resolve("fast", Some("s"), u64::MAX));
    }

    #[test]
    fn what_is_no_list_of_aliases_is_told_by_name() {
        for (json, word) in
            [("[]", "JSON object"), ("{", "JSON object"), (r#"{"a*b":"x"}"#, "'a*b'"), (r#"{"a":[]}"#, "'a'"), (r#"{"a":[{"weight":1}]}"#, "'a'")]
        {
            assert!(Aliases::parse(json).unwrap_err().contains(word), "{json}");
        }
    }
}
