//! Providers that speak OpenAI's chat completions with a bearer key: a constant each.

use serde_json::{Map, Value};

use super::account::{Account, Secret, Unconfigured, Vars, base_url, required_key};
use super::{Auth, Call, Endpoint, ModelList, NativeCall, Provider, with_query};
use crate::base::scan::{Patch, TopLevel};
use crate::ir::{Dialect, EmbeddingDialect, Losses};

/// An OpenAI-compatible provider. Its settings are `<ID>_API_KEY` and `<ID>_BASE_URL`.
pub struct Compatible {
    /// Its name, as in `provider/model`.
    pub id: &'static str,
    /// The var that holds the base URL.
    pub url_var: &'static str,
    /// The base URL where none is set.
    pub default_url: &'static str,
    /// What stands between the base URL and `/chat/completions`.
    pub path: &'static str,
    /// The secret that holds the key.
    pub key_var: &'static str,
    /// What a key of a pool may say, and the settings that it stands in for.
    pub key_settings: &'static [(&'static str, &'static str)],
    /// What to tell when it is not configured.
    pub missing: &'static str,
    /// The dialects that it speaks for a model, the one that loses least first.
    pub dialects: fn(model: &str) -> &'static [Dialect],
    /// Whether it needs a key at all. One that does not may be reached by plain http.
    pub needs_key: bool,
    /// Whether it has all of OpenAI's API, files and batches included.
    pub is_openai: bool,
    /// Whether it refuses reasoning in a conversation.
    pub refuses_reasoning: bool,
    /// Quirks of a body that the hub wrote.
    pub edit_hub: fn(call: &Call<'_>, body: &mut Map<String, Value>, losses: &mut Losses),
    /// Quirks of a body that the caller wrote.
    pub edit_identity: fn(top: &TopLevel<'_>, patch: &mut Patch),
}

impl Compatible {
    fn at(&self, path: &str, account: &Account) -> Endpoint {
        let auth = account.key.clone().map_or(Auth::None, Auth::Bearer);
        Endpoint { url: format!("{}{}{path}", account.base_url, self.path), auth, headers: Vec::new() }
    }
}

impl Provider for Compatible {
    fn id(&self) -> &'static str {
        self.id
    }

    fn account(&self, vars: Vars<'_>) -> Result<Account, Unconfigured> {
        let key = match self.needs_key {
            true => Some(required_key(vars, self.key_var, self.missing)?),
            false => vars(self.key_var).map(Secret::new),
        };
        // Without a key, being somewhere is what makes it configured.
        if !self.needs_key && vars(self.url_var).is_none() && vars("ALLOW_LOCAL_UPSTREAM").as_deref() != Some("true") {
            return Err(Unconfigured::Missing(self.missing));
        }
        Ok(Account { base_url: base_url(vars, self.url_var, self.default_url, !self.needs_key)?, key, ..Account::default() })
    }

    fn key_settings(&self) -> &'static [(&'static str, &'static str)] {
        self.key_settings
    }

    fn dialects(&self, model: &str) -> &'static [Dialect] {
        (self.dialects)(model)
    }

    fn endpoint(&self, call: &Call<'_>, account: &Account) -> Endpoint {
        self.at(if call.dialect == Dialect::OpenAiResponses { "/responses" } else { "/chat/completions" }, account)
    }

    fn native(&self, call: &NativeCall<'_>, account: &Account) -> Option<Endpoint> {
        (self.is_openai && call.dialect != Dialect::Anthropic).then(|| self.at(&format!("/{}", call.path_and_query()), account))
    }

    fn embeddings(&self, call: &NativeCall<'_>, account: &Account) -> Option<(EmbeddingDialect, Endpoint)> {
        Some((EmbeddingDialect::OpenAi, self.at(&format!("/{}", call.path_and_query()), account)))
    }

    /// A base URL that ends in a version has it already.
    fn passthrough(&self, path: &str, query: &str, account: &Account, _as_they_say: bool) -> Endpoint {
        let version = "/v1";
        let path = match path.strip_prefix(version) {
            Some(rest) if account.base_url.ends_with(version) && (rest.is_empty() || rest.starts_with('/')) => rest,
            _ => path,
        };
        let auth = account.key.clone().map_or(Auth::None, Auth::Bearer);
        Endpoint { url: format!("{}{}", account.base_url, with_query(path, query)), auth, headers: Vec::new() }
    }

    fn models(&self, account: &Account) -> ModelList {
        ModelList { endpoints: vec![self.at("/models", account)], list: "data", name: "id", known: Vec::new() }
    }

    fn edit_hub(&self, call: &Call<'_>, body: &mut Map<String, Value>, losses: &mut Losses) {
        (self.edit_hub)(call, body, losses);
    }

    fn edit_identity(&self, _call: &Call<'_>, top: &TopLevel<'_>, patch: &mut Patch) {
        (self.edit_identity)(top, patch);
    }

    fn refuses_reasoning(&self) -> bool {
        self.refuses_reasoning
    }
}
