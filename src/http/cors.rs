//! Browsers: nothing is allowed unless `ALLOWED_ORIGINS` says so, because a page that holds a gateway key gives it away.

/// The headers that a page of an allowed origin may send.
const REQUEST_HEADERS: &str = "authorization, content-type, x-api-key, x-goog-api-key, api-key, anthropic-version, anthropic-beta, \
    anthropic-dangerous-direct-browser-access, openai-organization, openai-project, openai-beta, idempotency-key, x-bf-vk, x-bf-async, x-bf-async-id, x-bf-async-job-result-ttl, x-bf-async-callback, x-bf-strict, x-model-provider, x-bf-api-key, x-bf-session-id, x-bf-fallbacks, x-bf-azure-endpoint, \
    x-stainless-arch, x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, \
    x-stainless-runtime-version, x-stainless-timeout, x-stainless-helper-method";

/// The headers that it may read.
const ANSWER_HEADERS: &str = "x-request-id, x-bf-provider, x-bf-model, x-bf-attempts, x-bf-attempt-status, x-bf-fallback-index, x-bf-dropped-params, x-bf-dropped-headers, x-bf-error-type, \
    x-bf-token-count, x-bf-async-id, x-bf-async-status, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
    x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// Headers of every answer to a page; none when its origin is not allowed.
pub fn answer(origin: Option<&str>, allowed: &[String]) -> Vec<(&'static str, String)> {
    let Some(origin) = origin.filter(|origin| is_allowed(origin, allowed)) else { return Vec::new() };
    vec![
        ("access-control-allow-origin", origin.to_owned()),
        ("access-control-expose-headers", ANSWER_HEADERS.to_owned()),
        ("vary", "origin".to_owned()),
    ]
}

/// Headers of the answer to a preflight.
pub fn preflight(origin: Option<&str>, allowed: &[String]) -> Vec<(&'static str, String)> {
    let mut headers = answer(origin, allowed);
    if !headers.is_empty() {
        headers.push(("access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".to_owned()));
        headers.push(("access-control-allow-headers", REQUEST_HEADERS.to_owned()));
        headers.push(("access-control-max-age", "86400".to_owned()));
    }
    headers
}

fn is_allowed(origin: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|entry| entry == "*" || entry == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_origin_is_echoed_and_others_get_nothing() {
        let allowed = ["https://a.example".to_owned()];
        assert_eq!(answer(Some("https://a.example"), &allowed)[0].1, "https://a.example");
        assert!(preflight(Some("https://b.example"), &allowed).is_empty());
        assert!(answer(None, &allowed).is_empty());
    }
}
