//! The Gemini API: <https://ai.google.dev/api>. The key travels in a header, never in the address.

use super::account::{Account, Unconfigured, Vars, base_url, required_key, segment};
use super::{Auth, Call, Endpoint, ModelList, NativeCall, Provider, with_query};
use crate::ir::{Dialect, EmbeddingDialect};

pub(super) static PROVIDER: Gemini = Gemini;

pub(super) struct Gemini;

impl Gemini {
    fn at(path: &str, account: &Account) -> Endpoint {
        let auth = account.key.clone().map_or(Auth::None, |key| Auth::Header("x-goog-api-key", key));
        Endpoint { url: format!("{}/v1beta/{path}", account.base_url), auth, headers: Vec::new() }
    }
}

/// The method of generateContent, and of its stream as server-sent events.
pub(super) fn method(stream: bool) -> &'static str {
    if stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" }
}

impl Provider for Gemini {
    fn id(&self) -> &'static str {
        "gemini"
    }

    fn account(&self, vars: Vars<'_>) -> Result<Account, Unconfigured> {
        let key = Some(required_key(vars, "GEMINI_API_KEY", "set the secret GEMINI_API_KEY: wrangler secret put GEMINI_API_KEY")?);
        Ok(Account { base_url: base_url(vars, "GEMINI_BASE_URL", "https://generativelanguage.googleapis.com", false)?, key, ..Account::default() })
    }

    fn key_settings(&self) -> &'static [(&'static str, &'static str)] {
        &[("value", "GEMINI_API_KEY")]
    }

    fn dialects(&self, _model: &str) -> &'static [Dialect] {
        &[Dialect::Gemini]
    }

    fn endpoint(&self, call: &Call<'_>, account: &Account) -> Endpoint {
        let model = call.model.strip_prefix("models/").unwrap_or(call.model);
        // Tuned models have a collection of their own.
        let name = match model.strip_prefix("tunedModels/") {
            Some(tuned) => format!("tunedModels/{}", segment(tuned)),
            None => format!("models/{}", segment(model)),
        };
        Self::at(&format!("{name}{}", method(call.stream)), account)
    }

    fn embeddings(&self, call: &NativeCall<'_>, account: &Account) -> Option<(EmbeddingDialect, Endpoint)> {
        let model = call.model.map(|model| model.strip_prefix("models/").unwrap_or(model)).unwrap_or_default();
        Some((EmbeddingDialect::BatchEmbedContents, Self::at(&format!("models/{}:batchEmbedContents", segment(model)), account)))
    }

    fn passthrough(&self, path: &str, query: &str, account: &Account, _as_they_say: bool) -> Endpoint {
        let auth = account.key.clone().map_or(Auth::None, |key| Auth::Header("x-goog-api-key", key));
        Endpoint { url: format!("{}{}", account.base_url, with_query(path, query)), auth, headers: Vec::new() }
    }

    fn models(&self, account: &Account) -> ModelList {
        ModelList { endpoints: vec![Self::at("models?pageSize=1000", account)], list: "models", name: "name", known: Vec::new() }
    }
}
