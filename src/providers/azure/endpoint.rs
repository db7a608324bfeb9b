//! An Azure endpoint that a caller names for a key of their own.

use url::{Host, Url};

use super::super::account::is_loopback;

/// The endpoint, as a base URL.
///
/// # Errors
/// Why the caller may not name it. Only hosts below one of `suffixes`, which are Azure's; loopback in development (`local`).
pub fn named_endpoint(text: &str, suffixes: &[String], local: bool) -> Result<String, &'static str> {
    if text.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b' ' | b'\\' | b'@')) {
        return Err("must be a plain address, such as https://my-resource.openai.azure.com");
    }
    let url = Url::parse(text).map_err(|_| "must be a full address, such as https://my-resource.openai.azure.com")?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() || url.path() != "/" {
        return Err("must be scheme and host only");
    }
    if local && is_loopback(&url) {
        return Ok(url.as_str().trim_end_matches('/').to_owned());
    }
    if url.scheme() != "https" || url.port().is_some() {
        return Err("must begin with https:// and name no port");
    }
    let Some(Host::Domain(host)) = url.host() else { return Err("must name a host, not an address") };
    let is_below = |suffix: &String| {
        let label = host.strip_suffix(suffix.as_str()).unwrap_or_default();
        suffix.starts_with('.') && !label.is_empty()
    };
    if suffixes.iter().any(is_below) { Ok(format!("https://{host}")) } else { Err("is not below one of the hosts that AZURE_HOST_SUFFIXES allows") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_azures_own_hosts_can_be_named() {
        let suffixes = [".openai.azure.com".to_owned(), ".cognitiveservices.azure.com".to_owned()];
        for (text, host) in [
            ("https://mine.openai.azure.com", "https://mine.openai.azure.com"),
            ("https://MINE.OpenAI.azure.com/", "https://mine.openai.azure.com"),
            ("https://a.b.cognitiveservices.azure.com:443", "https://a.b.cognitiveservices.azure.com"),
        ] {
            assert_eq!(named_endpoint(text, &suffixes, false).as_deref(), Ok(host));
        }
        for hostile in [
            "",
            "mine.openai.azure.com",
            "http://mine.openai.azure.com",
            "https://mine.openai.azure.com:8443",
            "https://mine.openai.azure.com:80",
            "https://u:p@mine.openai.azure.com",
            "https://mine.openai.azure.com@evil.com",
            "https://mine.openai.azure.com.evil.com",
            "https://evilopenai.azure.com",
            "https://openai.azure.com",
            "https://.openai.azure.com",
            "https://evil.com/.openai.azure.com",
            "https://evil.com#.openai.azure.com",
            "https://evil.com?.openai.azure.com",
            "https://evil.com\\.openai.azure.com",
            "https://evil.com%2f.openai.azure.com",
            "https://evil.com%00.openai.azure.com",
            "https://mine.openai.azure.com/path",
            "https://mine.openai.azure.com/?a=b",
            "https://mine.openai.azure.com.",
            "https://127.0.0.1",
            "https://[::1]",
            "https://2130706433",
            "https://0x7f.1",
            "https://169.254.169.254",
            "https://localhost",
            "http://127.0.0.1:8080",
            "ftp://mine.openai.azure.com",
            "javascript:alert(1)",
            "//mine.openai.azure.com",
            "https://mine.openai.azure.com\r\nx: y",
            " https://mine.openai.azure.com",
            "https:/mine.openai.azure.com@evil.com/",
            "https://mine.openai.azure.com%40evil.com",
        ] {
            assert!(named_endpoint(hostile, &suffixes, false).is_err(), "{hostile:?}");
        }
        assert_eq!(named_endpoint("http://127.0.0.1:8080", &suffixes, true).as_deref(), Ok("http://127.0.0.1:8080"));
        assert!(named_endpoint("http://10.0.0.1", &suffixes, true).is_err());
        assert!(named_endpoint("https://mine.openai.azure.com", &["openai.azure.com".to_owned()], false).is_err(), "a suffix begins with a dot");
    }
}
