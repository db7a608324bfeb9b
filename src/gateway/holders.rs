//! Whose virtual key a request shows, and what it may use.

use std::collections::HashMap;
use std::rc::Rc;

use super::candidates::Candidate;
use super::{Gateway, Outside, Request};
use crate::accounting::{OwnPrices, prices};
use crate::governance::Limits;
use crate::governance::choice::{May, order};
use crate::governance::record::{Group, VirtualKey};
use crate::http::{Failure, Governed, Headers, Surface, caller};
use crate::ports::StoreError;

/// How long a record is taken for fresh, in milliseconds. The store's own edge may have remembered it for thirty seconds before.
const FRESH_MS: u64 = 25_000;

/// How many records an isolate remembers.
const KNOWN_MAX: usize = 5_000;

impl Governed {
    /// In the API.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::VirtualKey => "virtual_key",
            Self::Team => "team",
            Self::Customer => "customer",
        }
    }

    /// For people.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::VirtualKey => "virtual key",
            Self::Team => "team",
            Self::Customer => "customer",
        }
    }

    /// Before its name in the key-value store, and before that of the place that counts for it.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::VirtualKey => "vk:",
            Self::Team => "team:",
            Self::Customer => "customer:",
        }
    }
}

/// A virtual key, with what its limits are and those above it.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) key: VirtualKey,
    pub(super) team_id: Option<String>,
    pub(super) customer_id: Option<String>,
    /// The key's, the team's, the customer's, as far as they have any.
    pub(super) nodes: Vec<Rc<NodeOf>>,
}

/// One that has limits.
#[derive(Debug)]
pub(super) struct NodeOf {
    pub(super) governed: Governed,
    /// What the place is called that counts for it.
    pub(super) name: String,
    /// What people call it.
    pub(super) whose: String,
    pub(super) limits: Limits,
}

impl NodeOf {
    pub(super) fn new(governed: Governed, id: &str, name: &str, limits: Limits) -> Self {
        let shown = if name.is_empty() { id } else { name };
        Self { governed, name: format!("{}{id}", governed.prefix()), whose: format!("{} '{shown}'", governed.in_words()), limits }
    }
}

/// By hash: when it was read, and what was found.
pub(super) type Holders = HashMap<String, (u64, Result<Rc<Holder>, Failure>)>;

impl Gateway {
    /// Whose virtual key the headers show; `None` where none is and none has to be.
    ///
    /// # Errors
    /// Why they may not use the gateway.
    pub(super) async fn holder<O: Outside>(&self, outside: &O, headers: &dyn Headers) -> Result<Option<Rc<Holder>>, Failure> {
        let Some(shown) = caller::virtual_key(headers) else {
            return if self.config.settings.require_virtual_key { Err(Failure::VirtualKeyRequired) } else { Ok(None) };
        };
        self.holder_of(outside, &caller::hash(&shown)).await.map(Some)
    }

    /// Who has the virtual key of that hash.
    pub(super) async fn holder_of<O: Outside>(&self, outside: &O, hash: &str) -> Result<Rc<Holder>, Failure> {
        let now = outside.now_ms();
        let known = self.holders.borrow().get(hash).filter(|(at, _)| now < at + FRESH_MS).map(|(_, found)| found.clone());
        let found = match known {
            Some(found) => found,
            None => {
                let found = read(outside, hash).await;
                // One that is not there is asked for again: it may be on its way, and nobody else can be let in by that.
                if !matches!(found, Err(Failure::VirtualKeyUnknown | Failure::LimitsUnavailable)) {
                    let mut holders = self.holders.borrow_mut();
                    if holders.len() >= KNOWN_MAX {
                        holders.retain(|_, (at, _)| now < *at + FRESH_MS);
                    }
                    if holders.len() < KNOWN_MAX {
                        holders.insert(hash.to_owned(), (now, found.clone()));
                    }
                }
                found
            }
        }?;
        match found.key.is_blocked(now) {
            Some(reason) => Err(Failure::VirtualKeyBlocked { reason }),
            None => Ok(found),
        }
    }

    /// Forgets what it read, since it may have changed.
    pub(super) fn forget_holders(&self) {
        self.holders.borrow_mut().clear();
    }

    /// The candidate, if the caller's virtual key may use it, with those keys of the provider that it may.
    pub(super) fn permitted<B>(&self, request: &Request<'_, B>, candidate: Candidate) -> Result<Candidate, Failure> {
        let Some(holder) = &request.holder else { return Ok(candidate) };
        let provider = candidate.provider.id();
        if !holder.key.may_use(provider) {
            return Err(Failure::ProviderBlocked { provider: provider.to_owned() });
        }
        // Looking at a file or a batch names no model and changes nothing.
        let makes_nothing = candidate.model.is_empty() && matches!(request.method, "GET" | "HEAD");
        let allowing: Vec<_> = match makes_nothing {
            true => holder.key.providers.iter().filter(|allowed| allowed.is_of(provider)).collect(),
            false => holder.key.allows(provider, &candidate.model).collect(),
        };
        if allowing.is_empty() {
            let reason = match candidate.model.is_empty() {
                true => "it names no model, and the key is for some models only",
                false => "it is not among those that the key is for",
            };
            return Err(Failure::ModelBlocked { model: candidate.model, reason });
        }
        let keys: Vec<String> = allowing.iter().flat_map(|allowed| allowed.keys.iter().cloned()).collect();
        let keys = if keys.iter().any(|pattern| pattern == "*") { None } else { Some(keys.into()) };
        Ok(Candidate { keys, ..candidate })
    }

    /// Those of the key's providers that serve a model which names none, in the order in which they are asked.
    pub(super) fn chosen_by_key<O: Outside>(&self, outside: &O, holder: &Holder, surface: Surface, model: &str) -> Result<Vec<Candidate>, Failure> {
        let own = OwnPrices::default();
        let mut may = Vec::new();
        for (provider, pool) in self.config.pools() {
            let id = provider.id();
            let allowing: Vec<_> = holder.key.allows(id, model).collect();
            if pool.is_err() || allowing.is_empty() {
                continue;
            }
            // Everything is free at Ollama, which says nothing of what there is.
            let knows = allowing.iter().any(|allowed| allowed.names(model)) || (id != "ollama" && prices(&own, id, model).is_some());
            let weight = allowing.iter().map(|allowed| allowed.weight).fold(0.0, f64::max);
            may.push(May { who: provider, weight, knows });
        }
        let order = order(may, super::choice::number(outside));
        if order.is_empty() {
            // The surface's own provider has the better error.
            let provider = surface.default_provider().ok_or_else(|| {
                let reason = "none of the key's providers has it";
                Failure::ModelBlocked { model: model.to_owned(), reason }
            })?;
            return Ok(vec![self.of_provider(provider, model)?]);
        }
        Ok(order.into_iter().map(|provider| Candidate { provider, model: model.to_owned(), keys: None }).collect())
    }
}

async fn read<O: Outside>(outside: &O, hash: &str) -> Result<Rc<Holder>, Failure> {
    let name = format!("{}{hash}", Governed::VirtualKey.prefix());
    let json = value(outside, &name).await?.ok_or(Failure::VirtualKeyUnknown)?;
    let not_right = |what: String| {
        outside.warn(&format!("a virtual key is blocked: {what}"));
        Failure::VirtualKeyBlocked { reason: "is not set up right; the gateway's owner must mend its record" }
    };
    let key = VirtualKey::parse(&json).map_err(|error| {
        // Which one it is, as far as its record tells.
        let id = serde_json::from_str::<serde_json::Value>(&json).ok().and_then(|record| Some(record.get("id")?.as_str()?.to_owned()));
        not_right(format!("the record of '{}' is wrong at '{}': {}", id.unwrap_or(name), error.path, error.message))
    })?;
    let group = async |governed: Governed, id: &Option<String>| {
        let Some(id) = id else { return Ok(None) };
        let kind = governed.in_words();
        let json = value(outside, &format!("{}{id}", governed.prefix())).await?;
        let json = json.ok_or_else(|| not_right(format!("'{}' is of the {kind} '{id}', which has no record", key.id)))?;
        let group = Group::parse(&json).map_err(|error| not_right(format!("the {kind} '{id}' is wrong at '{}': {}", error.path, error.message)))?;
        Ok::<_, Failure>(Some(group))
    };
    let team = group(Governed::Team, &key.team_id).await?;
    let customer_id = key.customer_id.clone().or_else(|| team.as_ref()?.customer_id.clone());
    let customer = group(Governed::Customer, &customer_id).await?;
    let mut nodes = vec![NodeOf::new(Governed::VirtualKey, &key.id, &key.name, key.limits)];
    nodes.extend(team.map(|team| NodeOf::new(Governed::Team, &team.id, &team.name, team.limits)));
    nodes.extend(customer.map(|customer| NodeOf::new(Governed::Customer, &customer.id, &customer.name, customer.limits)));
    let nodes = nodes.into_iter().filter(|node| !node.limits.is_empty()).map(Rc::new).collect();
    Ok(Rc::new(Holder { team_id: key.team_id.clone(), customer_id, nodes, key }))
}

async fn value<O: Outside>(outside: &O, name: &str) -> Result<Option<String>, Failure> {
    outside.value(name).await.map_err(|StoreError(why)| {
        outside.warn(&format!("virtual keys cannot be read: {why}"));
        Failure::LimitsUnavailable
    })
}
