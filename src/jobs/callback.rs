//! Who is told that a job is done: a request signed as Standard Webhooks has it. <https://www.standardwebhooks.com>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::json;
use sha2::Sha256;
use url::{Host, Url};

use crate::base::time::rfc3339;

use super::store::Row;

/// The header that names who is told.
pub const CALLBACK: &str = "x-bf-async-callback";

/// How long to wait for the next attempt, in seconds: half a minute, then twice as long each time.
pub fn delay_s(attempts: u64) -> u64 {
    30_u64.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(1800)
}

/// The address that a caller names, if it may be called: public, by https, on its usual port.
///
/// # Errors
/// What is wrong with it.
pub fn checked(address: &str, allows_local: bool) -> Result<String, &'static str> {
    let url = Url::parse(address.trim()).map_err(|_| "expected an address such as https://example.com/done")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a name or a password");
    }
    let host = url.host().ok_or("names no host")?;
    let is_loopback = match &host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    if allows_local && is_loopback {
        return Ok(url.into());
    }
    if url.scheme() != "https" {
        return Err("must be https");
    }
    if url.port().is_some() {
        return Err("must be on port 443");
    }
    // Addresses as numbers and names without a dot are of some inner network, mostly.
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let inner = [".local", ".localhost", ".internal", ".intranet", ".lan", ".home.arpa"];
            if !name.contains('.') || inner.iter().any(|ending| name.ends_with(ending)) { Err("must be a public host") } else { Ok(url.into()) }
        }
        Host::Ipv4(_) | Host::Ipv6(_) => Err("must name its host, not an address in numbers"),
    }
}

/// What is told of a job that is done.
pub fn body(row: &Row) -> String {
    let kind = if row.status == "completed" { "async_job.completed" } else { "async_job.failed" };
    let at = rfc3339(row.completed_at.unwrap_or_default() / 1000);
    json!({"type": kind, "timestamp": at, "data": {"id": row.id, "object": row.kind, "status": row.status, "status_code": row.http_status}})
        .to_string()
}

/// The headers that prove whom it is from. `seconds` are since 1970.
pub fn headers(secret: &str, id: &str, seconds: u64, body: &str) -> Vec<(String, String)> {
    let key = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_else(|| secret.as_bytes().to_vec());
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), seconds.to_string()),
    ];
    // Keys of any length are taken.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) {
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        headers.push(("webhook-signature".to_owned(), format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    #[test]
    fn a_signature_is_what_the_specification_says() {
        let found = headers("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert!(found.contains(&("webhook-signature".into(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".into())), "{found:?}");
    }

    #[test]
    fn only_public_hosts_are_told() {
        for address in ["https://example.com/done?x=1", "https://hooks.example.com."] {
            assert!(checked(address, false).is_ok(), "{address}");
        }
        for address in [
            "http://example.com",
            "https://user:pass@example.com",
            "https://example.com:8443",
            "https://localhost/x",
            "https://intranet/x",
            "https://db.internal",
            "https://printer.local.",
            "https://127.0.0.1",
            "https://10.0.0.1",
            "https://0x7f.1",
            "https://2130706433",
            "https://[::1]",
            "https://[::ffff:10.0.0.1]",
            "ftp://example.com",
            "example.com",
            "",
        ] {
            assert!(checked(address, false).is_err(), "{address}");
        }
        assert!(checked("http://127.0.0.1:9000/x", true).is_ok() && checked("http://10.0.0.1/x", true).is_err());
        assert_eq!([1, 2, 6, 9].map(delay_s), [30, 60, 960, 1800]);
    }
}
