//! Which headers pass, in either direction.

use crate::base::glob::fits;

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

/// Never sent on, whoever asks for it, besides what the connection's own header lists: credentials, what one connection is
/// about, what the gateway says itself, who the caller is.
const NEVER: [&str; 24] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-api-key",
    "x-goog-api-key",
    "x-model-provider",
];

/// Families of the same.
const NEVER_FAMILIES: [&str; 6] = ["x-bf-", "cf-", "proxy-", "x-forwarded-", "x-amz-security-", "x-real-ip"];

/// The prefix of a header that is to go on without it.
const EXTRA: &str = "x-bf-eh-";

/// The header whose values switch on what Anthropic does not offer to everybody.
pub const BETA: &str = "anthropic-beta";

/// `HEADER_ALLOWLIST` and `HEADER_DENYLIST`: names, or beginnings of names (`x-team-*`), in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderPolicy {
    /// What passes besides the gateway's own list.
    pub allow: Vec<String>,
    /// What does not pass, even if it is on that list.
    pub deny: Vec<String>,
}

impl HeaderPolicy {
    /// Whether the owner lets it pass.
    pub fn allows(&self, name: &str) -> bool {
        self.allow.iter().any(|pattern| fits(pattern, name)) && !self.denies(name)
    }

    /// Whether the owner does not let it pass.
    pub fn denies(&self, name: &str) -> bool {
        self.deny.iter().any(|pattern| fits(pattern, name))
    }

    /// The caller's headers that pass beyond the gateway's list, by `x-bf-eh-<name>` or the allow-list, and the names of those
    /// that were to go on and may not.
    pub fn further(&self, caller: &dyn Headers) -> (Vec<(String, String)>, Vec<String>) {
        let extra = caller.with_prefix(EXTRA).into_iter().filter_map(|(name, value)| Some((name.strip_prefix(EXTRA)?.to_owned(), value)));
        let extra: Vec<(String, String)> = extra.collect();
        let mut listed = if self.allow.is_empty() { Vec::new() } else { caller.with_prefix("") };
        listed.retain(|(name, _)| self.allows(name) && !name.starts_with(EXTRA));
        if extra.is_empty() && listed.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let connection = caller.get("connection").unwrap_or_default();
        let never = |name: &str| is_never_sent(name) || connection.split(',').any(|hop| hop.trim().eq_ignore_ascii_case(name));
        listed.retain(|(name, _)| !never(name));
        let (denied, passed): (Vec<_>, Vec<_>) = extra.into_iter().partition(|(name, _)| never(name) || self.denies(name));
        // What is asked for by name wins over what passes by rule.
        listed.extend(passed);
        (listed, denied.into_iter().map(|(name, _)| name).collect())
    }
}

/// Whether a header goes to no provider, whoever asks for it.
fn is_never_sent(name: &str) -> bool {
    name.is_empty() || NEVER.contains(&name) || NEVER_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// What a provider is told besides its own credentials. An Anthropic caller's `anthropic-*` headers go to Anthropic's dialect
/// unchanged: they say how the body is to be read.
pub fn to_upstream(caller: &dyn Headers, speaks_anthropic: bool) -> Vec<(String, String)> {
    if speaks_anthropic {
        // This one only says that the caller is a browser, which the gateway is not.
        let mut own = caller.with_prefix("anthropic-");
        own.retain(|(name, _)| name != "anthropic-dangerous-direct-browser-access" && name != BETA);
        return own;
    }
    TO_OPENAI.iter().filter_map(|name| Some(((*name).to_owned(), caller.get(name)?))).collect()
}

/// Of a caller's headers, what a job needs that is done later: what may go on, and the gateway's own words about it, but for the key and
/// what made it a job.
pub fn of_job(caller: &dyn Headers) -> Vec<(String, String)> {
    let is_kept = |name: &str| match name.strip_prefix("x-bf-") {
        Some(own) => !own.starts_with("async") && !matches!(own, "vk" | "azure-endpoint"),
        None => name == "content-type" || !(is_never_sent(name) || name == "referer"),
    };
    let mut kept = caller.with_prefix("");
    // A virtual key may stand anywhere.
    kept.retain(|(name, value)| is_kept(name) && !name.strip_prefix(EXTRA).is_some_and(is_never_sent) && !value.contains("sk-bf-"));
    kept
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Some_(&'static [(&'static str, &'static str)]);

    impl Headers for Some_ {
        fn get(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        }

        fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            self.0.iter().filter(|(name, _)| name.starts_with(prefix)).map(own).collect()
        }
    }

    fn names(policy: &HeaderPolicy, headers: &'static [(&'static str, &'static str)]) -> (Vec<String>, Vec<String>) {
        let (passed, dropped) = policy.further(&Some_(headers));
        (passed.into_iter().map(|(name, _)| name).collect(), dropped)
    }

    #[test]
    fn nothing_passes_that_is_a_credential_the_connections_or_the_gateways() {
        let all = HeaderPolicy { allow: vec!["*".into()], deny: vec!["x-secret*".into()] };
        let headers = &[
            ("authorization", "x"),
            ("cookie", "x"),
            ("host", "x"),
            ("cf-ray", "x"),
            ("x-bf-vk", "x"),
            ("x-secret-1", "x"),
            ("connection", "x-hop"),
            ("x-hop", "x"),
            ("proxy-authorization", "x"),
            ("x-team", "x"),
            ("x-bf-eh-authorization", "x"),
            ("x-bf-eh-x-bf-vk", "x"),
            ("x-bf-eh-x-secret-2", "x"),
            ("x-bf-eh-content-length", "x"),
            ("x-bf-eh-x-trace", "x"),
        ];
        let denied = ["authorization", "x-bf-vk", "x-secret-2", "content-length"].map(str::to_owned).to_vec();
        assert_eq!(names(&all, headers), (vec!["x-team".to_owned(), "x-trace".to_owned()], denied.clone()));
        let none = HeaderPolicy { deny: vec!["x-secret*".into()], ..HeaderPolicy::default() };
        assert_eq!(names(&none, headers), (vec!["x-trace".to_owned()], denied));
    }
}
