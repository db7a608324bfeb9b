//! Responses that the gateway keeps for providers that keep none: `previous_response_id`, item references, and what is done
//! with a stored one.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Answer, Gateway, Outside, Request};
use crate::base::fields::Invalid;
use crate::base::scan::{Patch, TopLevel};
use crate::dialects::openai_responses::{input_items, is_own, page, response_of_item};
use crate::http::{Action, Failure, Native};
use crate::ir::Losses;
use crate::lanes::identity;
use crate::ports::{StoreError, StoredResponse};

/// How long a response is kept, in seconds: 30 days, as OpenAI keeps them.
const KEPT_FOR: u64 = 30 * 24 * 3600;

/// How many stored responses the items of one request may refer to: each is a query.
const REFERRED_MAX: usize = 40;

/// What will be kept of a request, once it is answered.
pub(super) struct Draft {
    id: String,
    owner: String,
    previous: Option<String>,
    created_at: u64,
    input: Vec<Value>,
}

impl Draft {
    pub(super) fn answered(self, response: &Value) -> StoredResponse {
        StoredResponse {
            id: self.id,
            owner: self.owner,
            previous: self.previous,
            created_at: self.created_at,
            expires_at: self.created_at + KEPT_FOR,
            input: Value::Array(self.input).to_string(),
            body: response.to_string(),
        }
    }
}

/// Whether a request refers to what the gateway keeps.
pub(super) fn refers_to_own(body: &Map<String, Value>) -> bool {
    let own_reference = |item: &Value| reference(item).is_some_and(|id| response_of_item(id).is_some());
    body.get("previous_response_id").and_then(Value::as_str).is_some_and(is_own)
        || body.get("input").and_then(Value::as_array).is_some_and(|items| items.iter().any(own_reference))
}

fn reference(item: &Value) -> Option<&str> {
    let is_reference = item.get("type").is_some_and(|kind| kind == "item_reference");
    item.get("id").and_then(Value::as_str).filter(|_| is_reference)
}

/// Stands in every identifier that the gateway gives out.
pub(super) const OWN_IDS_MARK: &[u8] = b"_fg";

impl Gateway {
    /// For a provider that stores responses itself: what the gateway keeps is written out and goes on there, what is the
    /// provider's own stays as it is. Says whether there was anything.
    pub(super) async fn recall_natively<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        top: &TopLevel<'_>,
        patch: &mut Patch,
        losses: &mut Losses,
    ) -> Result<bool, Failure> {
        let mut body: Map<String, Value> = serde_json::from_slice(request.bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
        if !refers_to_own(&body) {
            return Ok(false);
        }
        let previous = body.get("previous_response_id").and_then(Value::as_str).is_some_and(is_own);
        self.recall(outside, request, &mut body, "resp_fg", true).await?;
        let mut input = body.shift_remove("input").unwrap_or_default();
        let mut foreign = Losses::default();
        identity::strip_tagged_items(&mut input, &mut foreign);
        if !foreign.is_empty() {
            losses.add("input", "thinking of other providers stays behind");
        }
        // Identifiers that the provider did not give out mean nothing to it.
        for item in input.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            if item.get("id").and_then(Value::as_str).is_some_and(|id| response_of_item(id).is_some()) {
                item.shift_remove("id");
            }
        }
        match top.raw("input") {
            Some(_) => patch.set("input", input.to_string()),
            None => patch.insert("input", input.to_string()),
        }
        if previous {
            patch.remove("previous_response_id");
        }
        Ok(true)
    }

    /// Puts everything that the request refers to into its `input`; returns what to keep of it, under the identifier that
    /// its answer will have. With `natively`, what the gateway did not give out is the provider's to find.
    pub(super) async fn recall<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        body: &mut Map<String, Value>,
        response_id: &str,
        natively: bool,
    ) -> Result<Draft, Failure> {
        let (owner, now) = (request.owner(), outside.now());
        let previous = match body.get("previous_response_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.clone()).filter(|id| !natively || is_own(id)),
            Some(_) => return Err(Invalid::new("previous_response_id", "expected a string").into()),
        };
        let mut chain = Vec::new();
        if let Some(id) = &previous {
            for stored in self.chain(outside, &owner, id, "previous_response_id").await? {
                chain.extend(items_of(&stored));
            }
        }
        let is_given = body.get("input").is_some_and(|input| input.is_string() || input.is_array());
        let mut input = input_items(body.get("input").cloned().unwrap_or_default(), response_id);
        // Many references are to few responses.
        let mut known: HashMap<String, Vec<Value>> = HashMap::new();
        for item in &mut input {
            let Some(id) = reference(item).map(str::to_owned) else { continue };
            let is_it = |item: &&Value| item.get("id").is_some_and(|known| *known == id);
            if let Some(found) = chain.iter().find(is_it) {
                *item = found.clone();
                continue;
            }
            let unknown = || Failure::NoSuchResponse { id: id.clone(), param: "input" };
            let Some(response) = response_of_item(&id) else {
                if natively {
                    continue;
                }
                return Err(unknown());
            };
            if !known.contains_key(&response) {
                if known.len() >= REFERRED_MAX {
                    let message =
                        format!("refers to more than {REFERRED_MAX} stored responses; use previous_response_id or send the items themselves");
                    return Err(Invalid::new("input", message).into());
                }
                let stored = outside.find(&owner, &response, now).await.map_err(|error| failed(outside, error))?;
                known.insert(response.clone(), stored.as_ref().map(items_of).unwrap_or_default());
            }
            *item = known.get(&response).and_then(|items| items.iter().find(is_it)).cloned().ok_or_else(unknown)?;
        }
        if is_given || !chain.is_empty() {
            chain.extend(input.iter().cloned());
            body.insert("input".into(), Value::Array(chain));
        }
        Ok(Draft { id: response_id.to_owned(), owner, previous, created_at: now, input })
    }

    /// The stored responses up to `id`, oldest first; all of them or none.
    async fn chain<O: Outside>(&self, outside: &O, owner: &str, id: &str, param: &'static str) -> Result<Vec<StoredResponse>, Failure> {
        let unknown = |id: &str| Failure::NoSuchResponse { id: id.to_owned(), param };
        if !is_own(id) {
            return Err(unknown(id));
        }
        let chain = outside.chain(owner, id, outside.now()).await.map_err(|error| failed(outside, error))?;
        match chain.first() {
            None => Err(unknown(id)),
            // An answer without the beginning of its conversation would be another answer.
            Some(StoredResponse { previous: Some(missing), .. }) => Err(unknown(missing)),
            Some(_) => Ok(chain),
        }
    }

    /// Shows, forgets or gives up a stored response; those of providers are theirs.
    pub(super) async fn stored<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        id: &str,
        action: Action,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(Failure::NoSuchResponse { id: id.to_owned(), param: "id" });
        }
        if !is_own(id) {
            let path = match action {
                Action::Read | Action::Delete => format!("responses/{id}"),
                Action::InputItems => format!("responses/{id}/input_items"),
                Action::Cancel => format!("responses/{id}/cancel"),
            };
            return match self.native(outside, request, Native { path, deployment: None, names_model: false }).await {
                // Where there is no such provider, there is no such response.
                Err(Failure::NotConfigured { .. } | Failure::NoSuchProvider { .. }) => {
                    Err(Failure::NoSuchResponse { id: id.to_owned(), param: "id" })
                }
                answer => answer,
            };
        }
        let (owner, now) = (request.owner(), outside.now());
        let unknown = || Failure::NoSuchResponse { id: id.to_owned(), param: "id" };
        let stored = outside.find(&owner, id, now).await.map_err(|error| failed(outside, error))?.ok_or_else(unknown)?;
        let body = match action {
            Action::Read => stored.body,
            Action::InputItems => page(parsed_list(&stored.input), request.query)?.to_string(),
            Action::Cancel => return Err(Failure::Invalid(Invalid::new("id", "only background responses can be cancelled"))),
            Action::Delete => {
                outside.forget(&owner, id).await.map_err(|error| failed(outside, error))?;
                json!({"id": id, "object": "response", "deleted": true}).to_string()
            }
        };
        Ok(Answer::Json { status: 200, headers: Vec::new(), body })
    }
}

/// Keeps a response. The caller has its answer whether that works or not; the owner reads why it did not.
pub(super) async fn keep<O: Outside>(outside: &O, response: StoredResponse) {
    let id = response.id.clone();
    if let Err(StoreError(reason)) = outside.keep(response).await {
        outside.warn(&format!("the response {id} could not be stored: {reason}"));
    }
}

fn parsed_list(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap_or_default()
}

/// What it answered and what it answered with.
fn items_of(stored: &StoredResponse) -> Vec<Value> {
    let mut items = parsed_list(&stored.input);
    let mut body: Value = serde_json::from_str(&stored.body).unwrap_or_default();
    if let Some(Value::Array(output)) = body.get_mut("output").map(Value::take) {
        items.extend(output);
    }
    items
}

fn failed<O: Outside>(outside: &O, error: StoreError) -> Failure {
    outside.warn(&format!("stored responses: {}", error.0));
    Failure::Store
}
