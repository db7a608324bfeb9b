//! Azure OpenAI, and Claude on Azure: <https://learn.microsoft.com/azure/ai-foundry/openai/reference>.

use serde_json::{Map, Value};

use super::account::{Account, Unconfigured, Vars, base_url, required_key, segment};
use super::{Auth, Call, Endpoint, ModelList, NativeCall, Provider};
use crate::ir::{Dialect, Losses};

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

    /// Claude on Azure is reached by Anthropic's own paths.
    fn claude(path: &str, account: &Account) -> Endpoint {
        let headers = vec![("anthropic-version", super::anthropic::VERSION.to_owned())];
        Endpoint { url: format!("{}/anthropic/v1/{path}", account.base_url), auth: Self::auth("x-api-key", account), headers }
    }
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

    fn dialects(&self, model: &str) -> &'static [Dialect] {
        if is_claude(model) { &[Dialect::Anthropic] } else { super::openai::dialects(model) }
    }

    fn endpoint(&self, call: &Call<'_>, account: &Account) -> Endpoint {
        if call.dialect == Dialect::Anthropic {
            return Self::claude("messages", account);
        }
        if call.dialect == Dialect::OpenAiResponses {
            // Azure's own SDK names a version; the v1 API needs none.
            let place = match call.api_version {
                Some(version) => format!("responses?api-version={}", segment(version)),
                None => "v1/responses".to_owned(),
            };
            return Endpoint { url: format!("{}/openai/{place}", account.base_url), auth: Self::auth("api-key", account), headers: Vec::new() };
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
        // Responses are in the v1 API, which needs no version; the rest is by version, and by deployment where there is a model.
        let (place, version) = match call.model {
            _ if call.path.starts_with("responses") => ("openai/v1".to_owned(), None),
            Some(model) => (format!("openai/deployments/{}", segment(Self::deployment(model, account))), Some(&account.api_version)),
            None => ("openai".to_owned(), Some(&account.api_version)),
        };
        let mut path = call.path_and_query();
        if let Some(version) = version.filter(|_| !call.query.split('&').any(|pair| pair.starts_with("api-version="))) {
            path.push(if call.query.is_empty() { '?' } else { '&' });
            path.push_str(&format!("api-version={}", segment(version)));
        }
        Some(Endpoint { url: format!("{}/{place}/{path}", account.base_url), auth: Self::auth("api-key", account), headers: Vec::new() })
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
