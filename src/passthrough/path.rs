//! Paths and queries of native requests.

/// The query without the credentials that Google's clients may put there.
pub fn without_credentials(query: &str) -> String {
    let is_credential = |pair: &&str| matches!(pair.split('=').next(), Some("key" | "access_token"));
    if !query.split('&').any(|pair| is_credential(&pair)) {
        return query.to_owned();
    }
    query.split('&').filter(|pair| !is_credential(pair)).collect::<Vec<_>>().join("&")
}

/// The model that a path names: Google's `models/{model}:method`, Azure's `deployments/{deployment}/…`.
pub fn model_of(path: &str) -> Option<&str> {
    let after = |word: &str| path.split_once(word).map(|(_, rest)| rest);
    let rest = after("/models/").or_else(|| after("/tunedModels/")).or_else(|| after("/deployments/"))?;
    let end = rest.find(['/', ':']).unwrap_or(rest.len());
    rest.get(..end).filter(|model| !model.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_off_the_query_and_nothing_else() {
        assert_eq!(without_credentials("alt=sse&key=AIza&x=%20"), "alt=sse&x=%20");
        assert_eq!(without_credentials("keys=1&pageSize=2"), "keys=1&pageSize=2");
        assert_eq!(without_credentials("key"), "");
    }

    #[test]
    fn a_model_is_read_off_the_path() {
        for (path, model) in [
            ("/v1beta/models/gemini-2.5-flash:generateContent", Some("gemini-2.5-flash")),
            ("/v1beta/tunedModels/mine:generateContent", Some("mine")),
            ("/openai/deployments/gpt-4o/chat/completions", Some("gpt-4o")),
            ("/v1/chat/completions", None),
        ] {
            assert_eq!(model_of(path), model, "{path}");
        }
    }
}
