//! A Google service account: a signed claim is exchanged for a bearer token.
//!
//! <https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests>

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::super::account::{Secret, Unconfigured, Vars, base_url};

const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest life that Google grants, in seconds.
const LIFE: u64 = 3600;
/// A token this close to its end, in seconds, is not used any more.
const MARGIN: u64 = 120;

/// Who to sign as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: Secret,
    token_url: String,
    /// The project that the account belongs to.
    pub project: Option<String>,
}

/// A bearer token with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub bearer: Secret,
    expires_at: u64,
}

impl ServiceAccount {
    /// Reads the JSON key file.
    ///
    /// # Errors
    /// [`Unconfigured::Wrong`] names the member that is missing.
    pub fn parse(json: &str, vars: Vars<'_>) -> Result<Self, Unconfigured> {
        let wrong = |why: &str| Unconfigured::Wrong(format!("GOOGLE_SERVICE_ACCOUNT {why}"));
        let file: Value = serde_json::from_str(json).map_err(|_| wrong("is not JSON; put the whole key file into the secret"))?;
        let text = |key: &str| file.get(key).and_then(Value::as_str).map(str::to_owned);
        let token_url = match text("token_uri") {
            // Only Google's own, or a loopback one in development: the claim is as good as the account.
            Some(url) if url != TOKEN_URL => base_url(vars, "token_uri", &url, false)
                .ok()
                .filter(|url| url.starts_with("http:") || url.ends_with(".googleapis.com/token"))
                .ok_or_else(|| wrong("has a token_uri that is not Google's"))?,
            _ => TOKEN_URL.to_owned(),
        };
        Ok(Self {
            email: text("client_email").ok_or_else(|| wrong("has no client_email"))?,
            key_id: text("private_key_id"),
            key: Secret::new(text("private_key").ok_or_else(|| wrong("has no private_key"))?),
            token_url,
            project: text("project_id"),
        })
    }

    /// Where the claim is exchanged.
    pub fn token_url(&self) -> &str {
        &self.token_url
    }

    /// What tells this account from others, without its key.
    pub fn identity(&self) -> &str {
        &self.email
    }

    /// The private key as PKCS #8 DER.
    ///
    /// # Errors
    /// [`Unconfigured::Wrong`] when the key is no PEM.
    pub fn key_der(&self) -> Result<Vec<u8>, Unconfigured> {
        let body: String = self.key.expose().lines().filter(|line| !line.starts_with("-----")).flat_map(|line| line.trim().chars()).collect();
        STANDARD.decode(body).map_err(|_| Unconfigured::Wrong("GOOGLE_SERVICE_ACCOUNT has a private_key that is no PEM".to_owned()))
    }

    /// What is to be signed with RS256: header and claims, valid from `now` (seconds since 1970).
    pub fn claim(&self, now: u64) -> String {
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let (Some(id), Some(header)) = (&self.key_id, header.as_object_mut()) {
            header.insert("kid".into(), id.clone().into());
        }
        let claims = json!({"iss": self.email, "scope": SCOPE, "aud": self.token_url, "iat": now, "exp": now + LIFE});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(header), part(claims))
    }

    /// The form that asks for a token.
    pub fn exchange(claim: &str, signature: &[u8]) -> String {
        let grant = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        format!("grant_type={grant}&assertion={claim}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Token {
    /// Reads the answer of the exchange.
    pub fn parse(body: &[u8], now: u64) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let bearer = Secret::new(body.get("access_token")?.as_str()?.to_owned());
        let life = body.get("expires_in").and_then(Value::as_u64).unwrap_or(LIFE);
        Some(Self { bearer, expires_at: now + life })
    }

    /// Whether it can still be used.
    pub fn is_fresh(&self, now: u64) -> bool {
        now + MARGIN < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_dropped_shortly_before_its_end() {
        let token = Token::parse(br#"{"access_token":"t","expires_in":3600}"#, 1000).unwrap();
        assert!(token.is_fresh(1000) && token.is_fresh(4479) && !token.is_fresh(4480));
    }

    #[test]
    fn a_key_file_that_sends_the_claim_elsewhere_is_refused() {
        let file = |uri: &str| format!(r#"{{"client_email":"a@b","private_key":"k","token_uri":"{uri}"}}"#);
        let parse = |json: &str| ServiceAccount::parse(json, &|_| None);
        assert!(parse(&file("https://oauth2.googleapis.com/token")).is_ok());
        assert!(parse(&file("https://evil.example/token")).is_err());
        assert!(parse(&file("http://127.0.0.1:1/token")).is_err());
        assert!(parse("{}").is_err());
    }
}
