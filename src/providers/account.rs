//! What the settings say about a provider.

use std::fmt;

use url::{Host, Url};

/// Reads a var or a secret of the worker; empty counts as absent.
pub type Vars<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A credential. Printing it shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The credential, to be put into a header and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Where and with which credentials a provider is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The start of every address, without a slash at its end.
    pub base_url: String,
    /// The key.
    pub key: Option<Secret>,
    /// Azure: the version of the API where the caller names none.
    pub api_version: String,
    /// Azure: the deployment that serves a model, where its name is another.
    pub deployments: Vec<(String, String)>,
    /// Vertex: the project.
    pub project: Option<String>,
    /// Vertex: the location.
    pub location: String,
    /// Vertex: who to sign as, instead of a key.
    pub service_account: Option<crate::providers::vertex::ServiceAccount>,
}

/// Why a provider cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unconfigured {
    /// A setting is missing; says what to set, and how.
    Missing(&'static str),
    /// A setting is wrong; says which and why. Never its value.
    Wrong(String),
}

impl fmt::Display for Unconfigured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => formatter.write_str(what),
            Self::Wrong(why) => formatter.write_str(why),
        }
    }
}

/// The key, which must be there.
pub(super) fn required_key(vars: Vars<'_>, name: &str, missing: &'static str) -> Result<Secret, Unconfigured> {
    vars(name).map(|key| Secret::new(key.trim().to_owned())).ok_or(Unconfigured::Missing(missing))
}

/// A base URL from the settings. Plain http and loopback are for development: `ALLOW_LOCAL_UPSTREAM` says so.
pub(super) fn base_url(vars: Vars<'_>, name: &str, default: &str, plain_http: bool) -> Result<String, Unconfigured> {
    let text = vars(name).unwrap_or_else(|| default.to_owned());
    let wrong = |why: &str| Unconfigured::Wrong(format!("{name} {why}"));
    let url = Url::parse(text.trim()).map_err(|_| wrong("is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must be scheme, host and path only"));
    }
    let local = is_loopback(&url);
    if local && vars("ALLOW_LOCAL_UPSTREAM").as_deref() != Some("true") {
        return Err(wrong("is a loopback address; for development set ALLOW_LOCAL_UPSTREAM=true"));
    }
    match url.scheme() {
        "https" => {}
        "http" if local || plain_http => {}
        _ => return Err(wrong("must begin with https://")),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        None => false,
    }
}

/// A path segment, percent-encoded.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'@' | b':') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // A segment of dots would walk up the path, and so it would encoded once.
    if out.chars().all(|c| c == '.') { out.replace('.', "%252E") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(value: &str, local: bool) -> Result<String, Unconfigured> {
        base_url(&|name| if name == "X" { Some(value.to_owned()) } else { local.then(|| "true".to_owned()) }, "X", "", false)
    }

    #[test]
    fn a_base_url_is_https_or_said_to_be_local() {
        assert_eq!(url("https://api.openai.com/v1/", false).unwrap(), "https://api.openai.com/v1");
        assert_eq!(url("http://127.0.0.1:9/v1", true).unwrap(), "http://127.0.0.1:9/v1");
        for bad in
            ["http://127.0.0.1:9", "https://localhost", "http://api.example.com", "https://u:p@x.com", "https://x.com/?key=1", "ftp://x.com", "x"]
        {
            assert!(url(bad, false).is_err(), "{bad}");
        }
        assert!(url("http://api.example.com", true).is_err());
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("sk-1".into())), "Secret(…)");
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("a/../b?c#d e"), "a%2F..%2Fb%3Fc%23d%20e");
        assert_eq!(segment(".."), "%252E%252E");
    }
}
