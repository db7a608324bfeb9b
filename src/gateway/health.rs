//! What is configured, and for the owner how it stands.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Gateway, Outside, Request};
use crate::http::Failure;

impl Gateway {
    /// What is configured, never a secret; with `?detail=1` and the owner's token also each key and the circuits.
    pub(super) fn health<O: Outside>(&self, outside: &O, request: &Request<'_, O::Body>) -> Result<String, Failure> {
        let providers = self.config.pools().map(|(provider, pool)| {
            (provider.id().to_owned(), Value::from(pool.as_ref().map_or_else(ToString::to_string, |_| "configured".to_owned())))
        });
        let mut body = Map::from_iter([
            ("status".to_owned(), json!("ok")),
            ("version".to_owned(), json!(env!("CARGO_PKG_VERSION"))),
            ("providers".to_owned(), Value::Object(providers.collect())),
        ]);
        if let Err(hint) = &self.config.settings.aliases {
            body.insert("problems".to_owned(), json!([hint]));
        }
        if request.query("detail").is_some_and(|value| !matches!(value, "" | "0" | "false")) {
            self.admit_owner(request)?;
            let keys = self.config.pools().filter_map(|(provider, pool)| Some((provider, pool.as_ref().ok()?))).map(|(provider, pool)| {
                let told = |key: &super::pools::Key| {
                    let rules = &key.rules;
                    json!({"name": rules.name, "weight": rules.weight, "models": rules.models, "blacklisted_models": rules.blacklisted_models, "enabled": rules.enabled})
                };
                (provider.id().to_owned(), pool.keys.iter().map(told).collect::<Value>())
            });
            body.insert("keys".to_owned(), Value::Object(keys.collect()));
            let circuits = self.circuits_now(outside.now_ms()).into_iter().map(|(target, state)| (target, state.into()));
            // Those of this isolate; another may know others.
            body.insert("circuits".to_owned(), Value::Object(circuits.collect()));
        }
        Ok(Value::Object(body).to_string())
    }

    /// Whether the caller shows the owner's token.
    pub(super) fn admit_owner<B>(&self, request: &Request<'_, B>) -> Result<(), Failure> {
        let token = self.config.settings.admin_token.as_ref().ok_or(Failure::NoAdminToken)?;
        let shown = request.headers.get("authorization").unwrap_or_default();
        let shown = shown.strip_prefix("Bearer ").unwrap_or_default().trim();
        // Of one length, in a time that tells nothing of what was compared.
        if bool::from(Sha256::digest(shown).ct_eq(&Sha256::digest(token.expose()))) { Ok(()) } else { Err(Failure::NotTheOwner) }
    }
}
