//! The settings, read once an isolate.

use super::pools::Pool;
use crate::base::text::percent_decoded;
use crate::http::headers::HeaderPolicy;
use crate::providers::{self, Account, Provider, Secret, Unconfigured, Vars};
use crate::routing::Aliases;
use crate::routing::retry::Policy;

/// Settings and keys.
#[derive(Debug)]
pub struct Config {
    /// What is not about one provider.
    pub settings: Settings,
    pools: Vec<Result<Pool, Unconfigured>>,
    /// What a caller's own key is put into, by provider; empty unless `ALLOW_DIRECT_KEYS`.
    direct: Vec<Option<Account>>,
}

/// Settings that are not about one provider.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `MAX_BODY_BYTES`.
    pub max_body_bytes: usize,
    /// `REQUEST_TIMEOUT_MS`: to the first byte.
    pub request_timeout_ms: u32,
    /// `STREAM_IDLE_TIMEOUT_MS`.
    pub stream_idle_timeout_ms: u32,
    /// `ALLOWED_ORIGINS`.
    pub allowed_origins: Vec<String>,
    /// `ALLOW_DIRECT_KEYS`.
    pub allow_direct_keys: bool,
    /// `AZURE_HOST_SUFFIXES`.
    pub azure_host_suffixes: Vec<String>,
    /// `ALLOW_LOCAL_UPSTREAM`.
    pub allow_local_upstream: bool,
    /// `HEADER_ALLOWLIST` and `HEADER_DENYLIST`.
    pub headers: HeaderPolicy,
    /// `REQUIRED_HEADERS`.
    pub required_headers: Vec<String>,
    /// `MAX_RETRIES`, `RETRY_BACKOFF_INITIAL_MS`, `RETRY_BACKOFF_MAX_MS`.
    pub retries: Policy,
    /// `MODEL_ALIASES`, or what is wrong with it.
    pub aliases: Result<Aliases, String>,
    /// `ADMIN_TOKEN`.
    pub admin_token: Option<Secret>,
    /// `REQUIRE_VIRTUAL_KEY`.
    pub require_virtual_key: bool,
    /// `RESERVATION_TTL_MS`: how long what a request reserved stays reserved if the request dies.
    pub reservation_ttl_ms: u32,
    /// `ASYNC_JOB_RESULT_TTL`: seconds.
    pub job_ttl_s: u64,
    /// `ASYNC_JOB_TIMEOUT_MS`: how long one attempt at a job may take.
    pub job_timeout_ms: u32,
    /// `WEBHOOK_SECRET`.
    pub webhook_secret: Option<Secret>,
    /// `LOG_REQUESTS`.
    pub log_requests: bool,
    /// `LOG_CONTENT`.
    pub log_content: bool,
    /// `LOG_RETENTION_DAYS`.
    pub log_retention_days: u32,
    /// `OTLP_ENDPOINT`, and `OTLP_HEADERS`.
    pub otlp: Option<(String, Vec<(String, String)>)>,
}

/// Stands where a setting must be and a caller brings their own.
const TO_COME: &str = "https://to-come.openai.azure.com";

impl Config {
    /// Reads everything. What is wrong about one provider is told when that provider is asked for.
    pub fn read(vars: Vars<'_>) -> Self {
        let vars: Vars<'_> = &|name| vars(name).filter(|value| !value.trim().is_empty());
        let number = |name: &str, default: u32| vars(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default);
        let flag = |name: &str, default: bool| vars(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"));
        let list_or = |name: &str, default: &str| -> Vec<String> {
            let value = vars(name).unwrap_or_else(|| default.to_owned());
            value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        let list = |name: &str| list_or(name, "");
        let names = |name: &str| list(name).into_iter().map(|item| item.to_ascii_lowercase()).collect();
        let settings = Settings {
            max_body_bytes: number("MAX_BODY_BYTES", 32 << 20) as usize,
            request_timeout_ms: number("REQUEST_TIMEOUT_MS", 120_000),
            stream_idle_timeout_ms: number("STREAM_IDLE_TIMEOUT_MS", 60_000),
            allowed_origins: list("ALLOWED_ORIGINS"),
            allow_direct_keys: flag("ALLOW_DIRECT_KEYS", false),
            azure_host_suffixes: list_or("AZURE_HOST_SUFFIXES", ".openai.azure.com,.cognitiveservices.azure.com,.services.ai.azure.com"),
            allow_local_upstream: flag("ALLOW_LOCAL_UPSTREAM", false),
            headers: HeaderPolicy { allow: names("HEADER_ALLOWLIST"), deny: names("HEADER_DENYLIST") },
            required_headers: names("REQUIRED_HEADERS"),
            retries: Policy {
                max_retries: number("MAX_RETRIES", 2),
                backoff_initial_ms: number("RETRY_BACKOFF_INITIAL_MS", 500).into(),
                backoff_max_ms: number("RETRY_BACKOFF_MAX_MS", 5000).into(),
            },
            aliases: vars("MODEL_ALIASES").map_or_else(|| Ok(Aliases::default()), |json| Aliases::parse(&json)),
            admin_token: vars("ADMIN_TOKEN").map(|token| Secret::new(token.trim().to_owned())),
            require_virtual_key: flag("REQUIRE_VIRTUAL_KEY", false),
            reservation_ttl_ms: number("RESERVATION_TTL_MS", 900_000),
            job_ttl_s: number("ASYNC_JOB_RESULT_TTL", 3600).into(),
            job_timeout_ms: number("ASYNC_JOB_TIMEOUT_MS", 840_000).min(840_000),
            webhook_secret: vars("WEBHOOK_SECRET").map(|secret| Secret::new(secret.trim().to_owned())),
            log_requests: flag("LOG_REQUESTS", true),
            log_content: flag("LOG_CONTENT", false),
            log_retention_days: number("LOG_RETENTION_DAYS", 30),
            otlp: vars("OTLP_ENDPOINT").map(|endpoint| {
                let headers = list("OTLP_HEADERS").into_iter().filter_map(|header| {
                    let (name, value) = header.split_once('=')?;
                    // OpenTelemetry has the values percent-encoded.
                    Some((name.trim().to_ascii_lowercase(), percent_decoded(value.trim())))
                });
                (format!("{}/v1/traces", endpoint.trim().trim_end_matches('/').trim_end_matches("/v1/traces")), headers.collect())
            }),
        };
        let direct = |provider: &dyn Provider| settings.allow_direct_keys.then(|| direct_account(provider, vars)).flatten();
        Self {
            pools: providers::ALL.iter().map(|provider| Pool::read(*provider, vars)).collect(),
            direct: providers::ALL.iter().map(|provider| direct(*provider)).collect(),
            settings,
        }
    }

    /// Every provider with what is known of its keys.
    pub fn pools(&self) -> impl Iterator<Item = (&'static dyn Provider, &Result<Pool, Unconfigured>)> {
        providers::ALL.into_iter().zip(&self.pools)
    }

    /// The keys of a provider.
    ///
    /// # Errors
    /// Why it has none.
    pub fn pool(&self, provider: &dyn Provider) -> Result<&Pool, Unconfigured> {
        let found = self.pools().find(|(other, _)| other.id() == provider.id());
        found.map_or(Err(Unconfigured::Missing("there is no such provider")), |(_, pool)| pool.as_ref().map_err(Clone::clone))
    }

    /// Every configured provider with its first key, for what is not about a model.
    pub fn accounts(&self) -> impl Iterator<Item = (&'static dyn Provider, &std::rc::Rc<Account>)> {
        self.pools().filter_map(|(provider, pool)| {
            let keys = &pool.as_ref().ok()?.keys;
            keys.iter().find(|key| key.rules.enabled).map(|key| (provider, &key.account))
        })
    }

    /// Where a caller's own key for the provider goes.
    pub fn direct_account(&self, provider: &dyn Provider) -> Option<&Account> {
        providers::ALL.into_iter().zip(&self.direct).find(|(other, _)| other.id() == provider.id())?.1.as_ref()
    }
}

/// The provider's own address and settings without any key of the gateway's. An address that the caller is to name is empty.
fn direct_account(provider: &dyn Provider, vars: Vars<'_>) -> Option<Account> {
    let endpoint = provider.key_settings().iter().find(|(member, _)| *member == "endpoint").map(|(_, setting)| *setting);
    let (key, _) = (provider.key_settings().first()?.1, ());
    let laid_over = |wanted: &str| match wanted {
        _ if wanted == key => Some("to-come".to_owned()),
        "GOOGLE_SERVICE_ACCOUNT" => None,
        _ if Some(wanted) == endpoint => vars(wanted).or_else(|| Some(TO_COME.to_owned())),
        _ => vars(wanted),
    };
    let mut account = provider.account(&laid_over).ok()?;
    if account.base_url == TO_COME {
        account.base_url.clear();
    }
    account.key = None;
    Some(account)
}
