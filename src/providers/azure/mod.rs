//! Azure OpenAI, and Claude on Azure: <https://learn.microsoft.com/azure/ai-foundry/openai/reference>.

mod endpoint;

use serde_json::{Map, Value};

use super::account::{Account, Unconfigured, Vars, base_url, required_key, segment};
use super::{Auth, Call, Endpoint, ModelList, NativeCall, Provider, with_query};
use crate::ir::{Dialect, Losses};

pub use endpoint::named_endpoint;

pub(super) static PROVIDER: Azure = Azure;

pub(super) struct Azure;

const DEFAULT_VERSION: &str = "2024-10-21";

impl Azure {
    fn deployment<'a>(model: &'a str, account: &'a Account) -> &'a str {
        account.deployments.iter().find(|(name, _)| name == model).map_or(model, |(_, deployment)| deployment)
    }

    fn auth(header: &'static str, account: &Account) -> Auth {
        account.key.clone().map_or(Auth::None, |key| Auth::Header(header, key))
    }

    /// What belongs to no deployment: by the version that the caller's SDK names, else by the v1 API, which needs none.
    fn by_path(path: &str, query: &str, account: &Account) -> Endpoint {
        let is_dated = version_of(query).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()));
        let place = if is_dated { "openai" } else { "openai/v1" };
        let url = format!("{}/{place}/{}", account.base_url, with_query(path, query));
        Endpoint { url, auth: Self::auth("api-key", account), headers: Vec::new() }
    }

    /// Claude on Azure is reached by Anthropic's own paths.
    fn claude(path: &str, account: &Account) -> Endpoint {
        let headers = vec![("anthropic-version", super::anthropic::VERSION.to_owned())];
        Endpoint { url: format!("{}/anthropic/v1/{path}", account.base_url), auth: Self::auth("x-api-key", account), headers }
    }
}

fn version_of(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("api-version="))
}

fn is_claude(model: &str) -> bool {
    model.contains("claude")
}

impl Provider for Azure {
    fn id(&self) -> &'static str {
        "azure"
    }

    fn account(&self, vars: Vars<'_>) -> Result<Account, Unconfigured> {
        let missing = "set the secret AZURE_OPENAI_API_KEY (wrangler secret put AZURE_OPENAI_API_KEY) and the var AZURE_OPENAI_ENDPOINT";
        let key = Some(required_key(vars, "AZURE_OPENAI_API_KEY", missing)?);
        if vars("AZURE_OPENAI_ENDPOINT").is_none() {
            return Err(Unconfigured::Missing("set the var AZURE_OPENAI_ENDPOINT, such as https://my-resource.openai.azure.com"));
        }
        let deployments = match vars("AZURE_DEPLOYMENTS") {
            None => Vec::new(),
            Some(json) => {
                let wrong = |_| Unconfigured::Wrong("AZURE_DEPLOYMENTS must be a JSON object of model names to deployment names".to_owned());
                let map: Map<String, Value> = serde_json::from_str(&json).map_err(wrong)?;
                map.into_iter().filter_map(|(model, deployment)| Some((model, deployment.as_str()?.to_owned()))).collect()
            }
        };
        Ok(Account {
            base_url: base_url(vars, "AZURE_OPENAI_ENDPOINT", "", false)?,
            key,
            api_version: vars("AZURE_OPENAI_API_VERSION").unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
            deployments,
            ..Account::default()
        })
    }

    fn key_settings(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("value", "AZURE_OPENAI_API_KEY"),
            ("endpoint", "AZURE_OPENAI_ENDPOINT"),
            ("api_version", "AZURE_OPENAI_API_VERSION"),
            ("deployments", "AZURE_DEPLOYMENTS"),
        ]
    }

    /// <https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/claude>: all of Anthropic's that are public but one.
    fn serves_beta(&self, beta: &str) -> bool {
        super::anthropic::is_known_beta(beta) && !beta.starts_with("fast-mode-")
    }

    fn dialects(&self, model: &str) -> &'static [Dialect] {
        if is_claude(model) { &[Dialect::Anthropic] } else { super::openai::dialects(model) }
    }

    fn endpoint(&self, call: &Call<'_>, account: &Account) -> Endpoint {
        if call.dialect == Dialect::Anthropic {
            return Self::claude("messages", account);
        }
        if call.dialect == Dialect::OpenAiResponses {
            let query = call.api_version.map(|version| format!("api-version={version}")).unwrap_or_default();
            return Self::by_path("responses", &query, account);
        }
        let (deployment, version) = (segment(Self::deployment(call.model, account)), call.api_version.unwrap_or(&account.api_version));
        let url = format!("{}/openai/deployments/{deployment}/chat/completions?api-version={}", account.base_url, segment(version));
        Endpoint { url, auth: Self::auth("api-key", account), headers: Vec::new() }
    }

    fn count_tokens(&self, call: &Call<'_>, account: &Account) -> Option<Endpoint> {
        is_claude(call.model).then(|| Self::claude("messages/count_tokens", account))
    }

    fn native(&self, call: &NativeCall<'_>, account: &Account) -> Option<Endpoint> {
        if call.dialect == Dialect::Anthropic {
            return None;
        }
        if ["moderations", "images/variations"].contains(&call.path) {
            return None;
        }
        let by_deployment = ["completions", "embeddings", "audio/", "images/"].iter().any(|start| call.path.starts_with(start));
        let Some(model) = call.model.filter(|_| by_deployment) else {
            return Some(Self::by_path(call.path, call.query, account));
        };
        let mut path = call.path_and_query();
        if version_of(call.query).is_none() {
            path.push(if call.query.is_empty() { '?' } else { '&' });
            path.push_str(&format!("api-version={}", segment(&account.api_version)));
        }
        let deployment = segment(Self::deployment(model, account));
        let url = format!("{}/openai/deployments/{deployment}/{path}", account.base_url);
        Some(Endpoint { url, auth: Self::auth("api-key", account), headers: Vec::new() })
    }

    /// Anthropic's SDK knows nothing of Azure's `/anthropic`.
    fn passthrough(&self, path: &str, query: &str, account: &Account, _as_they_say: bool) -> Endpoint {
        let is_claude = path.starts_with("/anthropic/") || path.starts_with("/v1/messages");
        let place = if path.starts_with("/v1/messages") { "/anthropic" } else { "" };
        let auth = Self::auth(if is_claude { "x-api-key" } else { "api-key" }, account);
        Endpoint { url: format!("{}{place}{}", account.base_url, with_query(path, query)), auth, headers: Vec::new() }
    }

    fn models(&self, account: &Account) -> ModelList {
        let url = format!("{}/openai/models?api-version={}", account.base_url, segment(&account.api_version));
        let endpoint = Endpoint { url, auth: Self::auth("api-key", account), headers: Vec::new() };
        let known = account.deployments.iter().map(|(model, _)| model.clone()).collect();
        ModelList { endpoints: vec![endpoint], list: "data", name: "id", known }
    }

    fn edit_hub(&self, call: &Call<'_>, body: &mut Map<String, Value>, losses: &mut Losses) {
        if call.dialect != Dialect::Anthropic {
            super::openai::edit_hub(call, body, losses);
        }
    }

    /// Claude and the Responses API name the deployment in the body, not in the address.
    fn model_in_body<'a>(&self, model: &'a str, account: &'a Account) -> &'a str {
        Self::deployment(model, account)
    }

    fn refuses_reasoning(&self) -> bool {
        true
    }
}
