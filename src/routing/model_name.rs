//! Names of models.

/// Splits `provider/model` at the first `/`, but only if the prefix is a known provider: `meta-llama/Llama-3` stays whole.
pub fn split_model(name: &str, is_provider: impl Fn(&str) -> bool) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((prefix, model)) if is_provider(prefix) && !model.is_empty() => (Some(prefix), model),
        _ => (None, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_provider_is_split_off() {
        let known = |name: &str| name == "openai" || name == "ollama";
        assert_eq!(split_model("openai/gpt-4o", known), (Some("openai"), "gpt-4o"));
        assert_eq!(split_model("ollama/meta-llama/Llama-3", known), (Some("ollama"), "meta-llama/Llama-3"));
        assert_eq!(split_model("meta-llama/Llama-3", known), (None, "meta-llama/Llama-3"));
        assert_eq!(split_model("openai/", known), (None, "openai/"));
    }
}
