//! Which headers pass, in either direction.

/// The headers of a request or an answer.
pub trait Headers {
    /// The value of the header of that name, in any case.
    fn get(&self, name: &str) -> Option<String>;

    /// Names, in lower case, and values of the headers whose name begins so.
    fn with_prefix(&self, prefix: &str) -> Vec<(String, String)>;
}

/// Caller headers that a provider may see. Everything else stays here, the credentials first of all.
const TO_OPENAI: [&str; 4] = ["idempotency-key", "openai-beta", "openai-organization", "openai-project"];

/// Answer headers that hold a session, tell the gateway's account, or belong to the provider's edge. Those of the connection the runtime keeps to itself.
pub const NOT_TO_CALLER: [&str; 15] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "alt-svc",
    "anthropic-organization-id",
    "cf-cache-status",
    "cf-ray",
    "nel",
    "openai-organization",
    "openai-project",
    "report-to",
    "server",
    "set-cookie",
    "strict-transport-security",
    "www-authenticate",
];

/// What a provider is told besides its own credentials. An Anthropic caller's `anthropic-*` headers go to Anthropic's dialect
/// unchanged: they say how the body is to be read.
pub fn to_upstream(caller: &dyn Headers, speaks_anthropic: bool) -> Vec<(String, String)> {
    if speaks_anthropic {
        // This one only says that the caller is a browser, which the gateway is not.
        let mut own = caller.with_prefix("anthropic-");
        own.retain(|(name, _)| name != "anthropic-dangerous-direct-browser-access");
        return own;
    }
    TO_OPENAI.iter().filter_map(|name| Some(((*name).to_owned(), caller.get(name)?))).collect()
}

/// What an error of the provider keeps of its headers when its body is translated.
pub fn of_error(upstream: &dyn Headers) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = ["retry-after", "retry-after-ms", "x-should-retry", "request-id", "x-request-id"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), upstream.get(name)?)))
        .collect();
    out.extend(upstream.with_prefix("x-ratelimit-"));
    out.extend(upstream.with_prefix("anthropic-ratelimit-"));
    out
}
