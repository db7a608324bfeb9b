//! Paths and queries of native requests.

use crate::base::text::percent_decoded;

/// Members of a query that hold credentials, in the spellings that providers and their gateways take.
const CREDENTIALS: [&str; 9] = ["$key", "access_token", "api-key", "api_key", "apikey", "key", "oauth_token", "subscription-key", "token"];

/// The query without credentials, and the key that stood in it, if any: Google's clients may put it there.
pub fn without_credentials(query: &str) -> (String, Option<String>) {
    let mut key = None;
    let mut kept: Vec<&str> = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (percent_decoded(name).to_ascii_lowercase(), percent_decoded(value));
        if CREDENTIALS.contains(&name.as_str()) || value.starts_with("sk-bf-") {
            key = key.or(Some(value).filter(|_| name == "key"));
        } else {
            kept.push(pair);
        }
    }
    (kept.join("&"), key)
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
        let key = Some("AIza".to_owned());
        assert_eq!(without_credentials("alt=sse&key=AIza&x=%20"), ("alt=sse&x=%20".to_owned(), key.clone()));
        assert_eq!(without_credentials("KEY=x&%6bey=AIza&oauth_token=b&api-key=c&v=sk-bf-1").0, "");
        assert_eq!(without_credentials("keys=1&pageSize=2&pageToken=x"), ("keys=1&pageSize=2&pageToken=x".to_owned(), None));
        assert_eq!(without_credentials("%6bey=AIza").1, key);
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
