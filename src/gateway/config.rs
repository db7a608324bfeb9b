//! The settings, read once an isolate.

use crate::providers::{self, Account, Provider, Unconfigured, Vars};

/// Settings and accounts.
#[derive(Debug)]
pub struct Config {
    /// What is not about one provider.
    pub settings: Settings,
    accounts: Vec<Result<Account, Unconfigured>>,
}

/// Settings that are not about one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// `LOG_REQUESTS`.
    pub log_requests: bool,
}

impl Config {
    /// Reads everything. What is wrong about one provider is told when that provider is asked for.
    pub fn read(vars: Vars<'_>) -> Self {
        let vars: Vars<'_> = &|name| vars(name).filter(|value| !value.trim().is_empty());
        let number = |name: &str, default: u32| vars(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default);
        let flag = |name: &str, default: bool| vars(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"));
        let list = |name: &str| {
            let value = vars(name).unwrap_or_default();
            value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        let settings = Settings {
            max_body_bytes: number("MAX_BODY_BYTES", 32 << 20) as usize,
            request_timeout_ms: number("REQUEST_TIMEOUT_MS", 120_000),
            stream_idle_timeout_ms: number("STREAM_IDLE_TIMEOUT_MS", 60_000),
            allowed_origins: list("ALLOWED_ORIGINS"),
            allow_direct_keys: flag("ALLOW_DIRECT_KEYS", false),
            log_requests: flag("LOG_REQUESTS", true),
        };
        Self { settings, accounts: providers::ALL.iter().map(|provider| provider.account(vars)).collect() }
    }

    /// Every provider with what is known of its account.
    pub fn accounts(&self) -> impl Iterator<Item = (&'static dyn Provider, &Result<Account, Unconfigured>)> {
        providers::ALL.into_iter().zip(&self.accounts)
    }

    /// The account of a provider.
    pub fn account(&self, provider: &dyn Provider) -> Option<&Result<Account, Unconfigured>> {
        self.accounts().find(|(other, _)| other.id() == provider.id()).map(|(_, account)| account)
    }
}
