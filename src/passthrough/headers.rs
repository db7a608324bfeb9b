//! Headers of native requests and answers: everything passes but what is the connection's, a credential or the gateway's.

/// Answer headers that stay here: those of one connection, the provider's cookies, its word on browsers.
pub const NOT_BACK: &[&str] = &[
    // Which pages may read an answer is the gateway's to say.
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Caller headers that stay here, besides whole families: what one connection is about, credentials, who the caller is.
const NOT_ON: [&str; 20] = [
    "accept-encoding", // The runtime asks for what it can read, and answers the caller in what they can.
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-api-key",
    "x-goog-api-key",
];

/// Whether a caller's header of that name (in lower case) goes to the provider. `connection` is the caller's header of that
/// name, which lists more that do not.
pub fn passes(name: &str, connection: &str) -> bool {
    let is_family = ["x-bf-", "cf-", "x-forwarded-", "x-model-provider", "x-real-ip"].iter().any(|prefix| name.starts_with(prefix));
    !is_family && !NOT_ON.contains(&name) && !connection.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_passes_unless_it_is_a_credential_the_connections_or_the_gateways() {
        for name in [
            "anthropic-beta",
            "anthropic-version",
            "content-type",
            "content-encoding",
            "x-goog-upload-protocol",
            "openai-beta",
            "range",
            "user-agent",
        ] {
            assert!(passes(name, "close"), "{name}");
        }
        for name in ["authorization", "x-api-key", "cookie", "host", "x-bf-vk", "cf-connecting-ip", "x-forwarded-for", "x-hop"] {
            assert!(!passes(name, "keep-alive, X-Hop"), "{name}");
        }
    }
}
