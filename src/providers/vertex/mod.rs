//! Vertex AI: Gemini models by generateContent, Claude models by `rawPredict`.
//!
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>,
//! <https://docs.anthropic.com/en/api/claude-on-vertex-ai>.

mod place;
mod service_account;

use serde_json::{Map, Value, json};

use super::account::{Account, Unconfigured, Vars, base_url, segment};
use super::{Auth, Call, Endpoint, ModelList, NativeCall, Provider, Secret, with_query};
use crate::base::scan::{Patch, TopLevel};
use crate::ir::{Dialect, EmbeddingDialect, Losses};

pub use service_account::{ServiceAccount, Token};

/// The version that Claude on Vertex wants in the body.
const CLAUDE_VERSION: &str = "vertex-2023-10-16";

pub(super) static PROVIDER: Vertex = Vertex;

pub(super) struct Vertex;

impl Vertex {
    fn auth(account: &Account) -> Auth {
        match (&account.key, &account.service_account) {
            (_, Some(_)) => Auth::GoogleToken,
            // What a caller brings may be one of Google's OAuth tokens.
            (Some(key), None) if key.expose().starts_with("ya29.") => Auth::Bearer(key.clone()),
            (Some(key), None) => Auth::Header("x-goog-api-key", key.clone()),
            (None, None) => Auth::None,
        }
    }

    /// The model's address up to its method. Without a project it is an API key's short ("express") form.
    fn model(publisher: &str, model: &str, account: &Account) -> String {
        let place = match &account.project {
            Some(project) => format!("projects/{}/locations/{}/", segment(project), segment(&account.location)),
            None => String::new(),
        };
        format!("{}/v1/{place}publishers/{publisher}/models/{}", account.base_url, segment(model))
    }
}

fn is_claude(model: &str) -> bool {
    model.contains("claude")
}

fn host(location: &str, has_project: bool) -> String {
    match location {
        _ if !has_project => "https://aiplatform.googleapis.com".to_owned(),
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    }
}

impl Provider for Vertex {
    fn id(&self) -> &'static str {
        "vertex"
    }

    fn account(&self, vars: Vars<'_>) -> Result<Account, Unconfigured> {
        let service_account = vars("GOOGLE_SERVICE_ACCOUNT").map(|json| ServiceAccount::parse(&json, vars)).transpose()?;
        let key = vars("VERTEX_API_KEY").map(Secret::new);
        if service_account.is_none() && key.is_none() {
            return Err(Unconfigured::Missing(
                "set the secret GOOGLE_SERVICE_ACCOUNT (the JSON key file) or VERTEX_API_KEY: wrangler secret put GOOGLE_SERVICE_ACCOUNT",
            ));
        }
        let project = vars("GOOGLE_CLOUD_PROJECT").or_else(|| service_account.as_ref().and_then(|account| account.project.clone()));
        if service_account.is_some() && project.is_none() {
            return Err(Unconfigured::Missing("set the var GOOGLE_CLOUD_PROJECT to your project's id"));
        }
        let location = vars("GOOGLE_CLOUD_LOCATION").unwrap_or_else(|| "us-central1".to_owned());
        if !location.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Unconfigured::Wrong("GOOGLE_CLOUD_LOCATION must be a region's name, such as us-central1, or global".to_owned()));
        }
        let base_url = base_url(vars, "VERTEX_BASE_URL", &host(&location, project.is_some()), false)?;
        Ok(Account { base_url, key, project, location, service_account, ..Account::default() })
    }

    fn key_settings(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("value", "VERTEX_API_KEY"),
            ("auth_credentials", "GOOGLE_SERVICE_ACCOUNT"),
            ("project_id", "GOOGLE_CLOUD_PROJECT"),
            ("region", "GOOGLE_CLOUD_LOCATION"),
        ]
    }

    fn dialects(&self, model: &str) -> &'static [Dialect] {
        if is_claude(model) { &[Dialect::Anthropic] } else { &[Dialect::Gemini] }
    }

    fn endpoint(&self, call: &Call<'_>, account: &Account) -> Endpoint {
        let (publisher, method) = match (call.dialect, call.stream) {
            (Dialect::Anthropic, false) => ("anthropic", ":rawPredict"),
            (Dialect::Anthropic, true) => ("anthropic", ":streamRawPredict"),
            (_, stream) => ("google", super::gemini::method(stream)),
        };
        let url = format!("{}{method}", Self::model(publisher, call.model, account));
        Endpoint { url, auth: Self::auth(account), headers: Vec::new() }
    }

    fn count_tokens(&self, call: &Call<'_>, account: &Account) -> Option<Endpoint> {
        let url = || format!("{}:rawPredict", Self::model("anthropic", "count-tokens", account));
        is_claude(call.model).then(|| Endpoint { url: url(), auth: Self::auth(account), headers: Vec::new() })
    }

    fn embeddings(&self, call: &NativeCall<'_>, account: &Account) -> Option<(EmbeddingDialect, Endpoint)> {
        let model = call.model.unwrap_or_default();
        let (method, word) = match model {
            _ if is_claude(model) => return None,
            _ if model.starts_with("gemini-embedding-2") => (EmbeddingDialect::EmbedContent, "embedContent"),
            _ if model.starts_with("gemini-embedding") => (EmbeddingDialect::Predict { at_once: 1 }, "predict"),
            // Some regions take no more.
            _ => (EmbeddingDialect::Predict { at_once: 5 }, "predict"),
        };
        let url = format!("{}:{word}", Self::model("google", model, account));
        Some((method, Endpoint { url, auth: Self::auth(account), headers: Vec::new() }))
    }

    fn passthrough(&self, path: &str, query: &str, account: &Account, as_they_say: bool) -> Endpoint {
        let path = match &account.project {
            Some(project) if !as_they_say => place::placed(path, &segment(project), &segment(&account.location)),
            _ => path.to_owned(),
        };
        Endpoint { url: format!("{}{}", account.base_url, with_query(&path, query)), auth: Self::auth(account), headers: Vec::new() }
    }

    fn models(&self, account: &Account) -> ModelList {
        let publishers = ["google", "anthropic"].into_iter();
        let endpoint = |publisher| Endpoint {
            url: format!("{}/v1beta1/publishers/{publisher}/models?pageSize=200", account.base_url),
            auth: Self::auth(account),
            headers: Vec::new(),
        };
        ModelList { endpoints: publishers.map(endpoint).collect(), list: "publisherModels", name: "name", known: Vec::new() }
    }

    fn takes_anthropic_headers(&self) -> bool {
        false
    }

    /// It refuses a request that names another.
    fn serves_beta(&self, beta: &str) -> bool {
        ["computer-use-", "compact-", "context-management-", "interleaved-thinking-", "context-1m-"].iter().any(|prefix| beta.starts_with(prefix))
    }

    /// Claude on Vertex: the model is in the address, the version and the betas in the body.
    fn edit_hub(&self, call: &Call<'_>, body: &mut Map<String, Value>, _losses: &mut Losses) {
        if call.dialect == Dialect::Anthropic {
            body.shift_remove("model");
            body.shift_insert(0, "anthropic_version".into(), json!(CLAUDE_VERSION));
        }
    }

    fn edit_identity(&self, call: &Call<'_>, top: &TopLevel<'_>, patch: &mut Patch) {
        // A count names its model in the body, since its address names none.
        if top.raw("max_tokens").is_some() {
            patch.remove("model");
        }
        if top.raw("anthropic_version").is_none() {
            patch.insert("anthropic_version", format!("\"{CLAUDE_VERSION}\""));
        }
        if let (Some(betas), None) = (call.betas, top.raw("anthropic_beta")) {
            patch.insert("anthropic_beta", json!(betas.split(',').collect::<Vec<_>>()).to_string());
        }
    }
}
