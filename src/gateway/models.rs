//! The models of all configured providers, asked from them and remembered for a minute.

use std::rc::Rc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::target::{Passing, Sending, Target};
use super::{Gateway, Outside, Request};
use crate::base::time::rfc3339;
use crate::http::{Failure, Surface};
use crate::providers::Provider;

/// How long a listing is good, in seconds.
const FRESH: u64 = 60;

/// What was found, and when.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    at: u64,
    models: Rc<Vec<Model>>,
}

#[derive(Debug, Clone)]
struct Model {
    /// `provider/model`.
    id: String,
    provider: &'static str,
    /// Seconds since 1970; 0 when the provider does not say.
    created: u64,
    /// When it was made, where the provider says so in words.
    created_at: Option<String>,
    name: Option<String>,
}

impl Gateway {
    pub(super) async fn list_models<O: Outside>(&self, outside: &O, request: &Request<'_, O::Body>) -> String {
        let all = self.models(outside).await;
        let models: Vec<&Model> = all.iter().filter(|model| model.is_for(request)).collect();
        match request.route.surface {
            Surface::Anthropic => json!({
                "data": models.iter().map(|model| model.anthropic()).collect::<Vec<_>>(),
                "has_more": false,
                "first_id": models.first().map(|model| &model.id),
                "last_id": models.last().map(|model| &model.id),
            }),
            Surface::OpenAi | Surface::Bare | Surface::Google => {
                json!({"object": "list", "data": models.iter().map(|model| model.openai()).collect::<Vec<_>>()})
            }
        }
        .to_string()
    }

    pub(super) async fn find_model<O: Outside>(&self, outside: &O, request: &Request<'_, O::Body>, name: &str) -> Result<String, Failure> {
        let models = self.models(outside).await;
        let surface = request.route.surface;
        let full = surface.default_provider().map(|provider| format!("{provider}/{name}"));
        let found = models.iter().find(|model| (model.id == name || Some(&model.id) == full.as_ref()) && model.is_for(request));
        let model = found.ok_or_else(|| Failure::NoSuchModel { model: name.to_owned() })?;
        Ok(if surface == Surface::Anthropic { model.anthropic() } else { model.openai() }.to_string())
    }

    async fn models<O: Outside>(&self, outside: &O) -> Rc<Vec<Model>> {
        let now = outside.now();
        if let Some(listing) = self.models.borrow().as_ref().filter(|listing| now < listing.at + FRESH) {
            return Rc::clone(&listing.models);
        }
        let asked = self.config.accounts().map(|(provider, account)| async move {
            let dialect = provider.dialects("").first().copied().unwrap_or(crate::ir::Dialect::OpenAiChat);
            let timeout_ms = self.config.settings.request_timeout_ms;
            let account = std::rc::Rc::clone(account);
            let target = Target { provider, account, model: "", dialect, with_callers_key: false, may_go_on: false, timeout_ms, until_ms: 0 };
            self.models_of(outside, &target).await
        });
        let (found, failed): (Vec<_>, Vec<_>) = join_all(asked).await.into_iter().partition(Result::is_ok);
        for error in failed.iter().filter_map(|failed| failed.as_ref().err()) {
            outside.warn(&format!("models not listed: {error}"));
        }
        let models: Rc<Vec<Model>> = Rc::new(found.into_iter().flatten().flatten().collect());
        // A provider that did not answer is asked again next time.
        if failed.is_empty() {
            *self.models.borrow_mut() = Some(Listing { at: now, models: Rc::clone(&models) });
        }
        models
    }

    async fn models_of<O: Outside>(&self, outside: &O, target: &Target<'_>) -> Result<Vec<Model>, String> {
        let provider = target.provider;
        let list = provider.models(&target.account);
        let mut models: Vec<Model> = list.known.iter().map(|name| Model::named(provider, name)).collect();
        for endpoint in list.endpoints {
            let failed = |failure: Failure| format!("{}: {}", provider.id(), failure.message());
            let reply = self.send(outside, target, endpoint, Passing::default(), Sending::list()).await.map_err(failed)?;
            if reply.status != 200 {
                return Err(failed(self.upstream_failure(outside, target, reply).await));
            }
            let body = self.read_reply(outside, target, reply.body).await.map_err(failed)?;
            let body: Value = serde_json::from_slice(&body).map_err(|error| format!("{}: {error}", provider.id()))?;
            let entries = body.get(list.list).and_then(Value::as_array).into_iter().flatten();
            models.extend(entries.filter_map(|entry| Model::of_entry(provider, entry, list.name)));
        }
        Ok(models)
    }
}

impl Model {
    /// Whether the caller may use it.
    fn is_for<B>(&self, request: &Request<'_, B>) -> bool {
        let model = self.id.split_once('/').map_or(self.id.as_str(), |(_, model)| model);
        request.holder.as_ref().is_none_or(|holder| holder.key.allows(self.provider, model).next().is_some())
    }

    fn named(provider: &dyn Provider, name: &str) -> Self {
        Self { id: format!("{}/{name}", provider.id()), provider: provider.id(), created: 0, created_at: None, name: None }
    }

    fn of_entry(provider: &dyn Provider, entry: &Value, name: &str) -> Option<Self> {
        // Google lists resource names: `models/gemini-2.5-flash`, `publishers/google/models/gemini-2.5-flash`.
        let full = entry.get(name)?.as_str()?;
        let short = full.rsplit_once("models/").map_or(full, |(_, short)| short);
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let created = entry.get("created").or_else(|| entry.get("created_at")).and_then(Value::as_u64).unwrap_or(0);
        let created_at = text("created_at");
        Some(Self { created, created_at, name: text("display_name").or_else(|| text("displayName")), ..Self::named(provider, short) })
    }

    fn openai(&self) -> Value {
        json!({"id": self.id, "object": "model", "created": self.created, "owned_by": self.provider})
    }

    fn anthropic(&self) -> Value {
        let name = self.name.as_deref().unwrap_or(&self.id);
        json!({"type": "model", "id": self.id, "display_name": name, "created_at": self.created_at.clone().unwrap_or_else(|| rfc3339(self.created))})
    }
}
