//! Anthropic: <https://docs.anthropic.com/en/api>.

use super::account::{Account, Unconfigured, Vars, base_url, required_key};
use super::{Auth, Call, Endpoint, ModelList, NativeCall, Provider, with_query};
use crate::ir::{Dialect, EmbeddingDialect};

/// The version of the API that this gateway writes; a caller's own is kept.
pub(super) const VERSION: &str = "2023-06-01";

/// How the tokens begin that subscribers' tools bring.
const OAUTH: &str = "sk-ant-oat";

mod betas;

pub(super) use betas::is_known_beta;
pub use betas::{family, needed_betas};

pub(super) static PROVIDER: Anthropic = Anthropic;

pub(super) struct Anthropic;

impl Anthropic {
    fn at(path: &str, account: &Account) -> Endpoint {
        let auth = account.key.clone().map_or(Auth::None, |key| match key.expose().starts_with(OAUTH) {
            true => Auth::Bearer(key),
            false => Auth::Header("x-api-key", key),
        });
        Endpoint { url: format!("{}{path}", account.base_url), auth, headers: vec![("anthropic-version", VERSION.to_owned())] }
    }
}

impl Provider for Anthropic {
    fn id(&self) -> &'static str {
        "anthropic"
    }

    fn account(&self, vars: Vars<'_>) -> Result<Account, Unconfigured> {
        let missing = "set the secret ANTHROPIC_API_KEY: wrangler secret put ANTHROPIC_API_KEY";
        let key = Some(required_key(vars, "ANTHROPIC_API_KEY", missing)?);
        Ok(Account { base_url: base_url(vars, "ANTHROPIC_BASE_URL", "https://api.anthropic.com", false)?, key, ..Account::default() })
    }

    fn key_settings(&self) -> &'static [(&'static str, &'static str)] {
        &[("value", "ANTHROPIC_API_KEY")]
    }

    fn dialects(&self, _model: &str) -> &'static [Dialect] {
        &[Dialect::Anthropic]
    }

    fn endpoint(&self, _call: &Call<'_>, account: &Account) -> Endpoint {
        Self::at("/v1/messages", account)
    }

    fn count_tokens(&self, _call: &Call<'_>, account: &Account) -> Option<Endpoint> {
        Some(Self::at("/v1/messages/count_tokens", account))
    }

    fn native(&self, call: &NativeCall<'_>, account: &Account) -> Option<Endpoint> {
        (call.dialect == Dialect::Anthropic).then(|| Self::at(&format!("/v1/{}", call.path_and_query()), account))
    }

    fn embeddings(&self, _call: &NativeCall<'_>, _account: &Account) -> Option<(EmbeddingDialect, Endpoint)> {
        None
    }

    fn passthrough(&self, path: &str, query: &str, account: &Account, _as_they_say: bool) -> Endpoint {
        // The version is the caller's own to say.
        Endpoint { headers: Vec::new(), ..Self::at(&with_query(path, query), account) }
    }

    fn models(&self, account: &Account) -> ModelList {
        ModelList { endpoints: vec![Self::at("/v1/models?limit=1000", account)], list: "data", name: "id", known: Vec::new() }
    }
}
