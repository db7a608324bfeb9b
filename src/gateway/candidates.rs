//! Whom a request may go to, in order: what it names, resolved through the aliases, then its fallbacks.

use std::rc::Rc;

use super::{Gateway, Outside, Request};
use crate::base::scan::TopLevel;
use crate::http::{Failure, Surface};
use crate::providers::{self, Provider};
use crate::routing::{fallbacks, split_model};

/// One that a request may go to.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) provider: &'static dyn Provider,
    /// The model without the provider's prefix.
    pub(super) model: String,
    /// Patterns of the names of its keys that may serve, where not all may.
    pub(super) keys: Option<Rc<[String]>>,
}

impl Gateway {
    /// Everybody that the request may go to. `asked` is the model that it names, `deployment` the one of its path.
    pub(super) fn candidates<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        top: &TopLevel<'_>,
        asked: &str,
        deployment: Option<&str>,
    ) -> Result<Vec<Candidate>, Failure> {
        let surface = request.route.surface;
        let mut candidates = match deployment {
            Some(deployment) => vec![self.of_provider("azure", deployment)?],
            None => self.meant(outside, request, surface, asked)?,
        };
        let named = fallbacks(top.raw("fallbacks"), top.raw("models"), request.headers.get("x-bf-fallbacks").as_deref())?;
        if !named.is_empty() {
            candidates.truncate(1);
        }
        for name in named.iter().filter(|name| *name != asked) {
            candidates.push(self.candidate(outside, request, surface, name)?);
        }
        candidates.into_iter().map(|candidate| self.permitted(request, candidate)).collect()
    }

    /// Everybody whom a name means: with a virtual key, one without a provider's prefix means all of the key's that have the model.
    fn meant<O: Outside>(&self, outside: &O, request: &Request<'_, O::Body>, surface: Surface, asked: &str) -> Result<Vec<Candidate>, Failure> {
        let Some(holder) = &request.holder else { return Ok(vec![self.candidate(outside, request, surface, asked)?]) };
        let meant = self.unaliased(outside, request, asked)?;
        let name = meant.as_deref().unwrap_or(asked);
        match split_model(name, |name| providers::by_id(name).is_some()) {
            (Some(provider), model) => Ok(vec![self.of_provider(provider, model)?]),
            (None, model) => self.chosen_by_key(outside, holder, surface, model),
        }
    }

    /// Whom a name means, with or without the provider's prefix.
    pub(super) fn candidate<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        surface: Surface,
        asked: &str,
    ) -> Result<Candidate, Failure> {
        let meant = self.unaliased(outside, request, asked)?;
        let name = meant.as_deref().unwrap_or(asked);
        let (provider, model) = split_model(name, |name| providers::by_id(name).is_some());
        let provider = provider.or(surface.default_provider()).ok_or_else(|| Failure::ModelWithoutProvider { model: asked.to_owned() })?;
        self.of_provider(provider, model)
    }

    pub(super) fn of_provider(&self, provider: &str, model: &str) -> Result<Candidate, Failure> {
        let provider = providers::by_id(provider).ok_or_else(|| Failure::NoSuchProvider { provider: provider.to_owned() })?;
        Ok(Candidate { provider, model: model.to_owned(), keys: None })
    }

    fn unaliased<O: Outside>(&self, outside: &O, request: &Request<'_, O::Body>, asked: &str) -> Result<Option<String>, Failure> {
        match &self.config.settings.aliases {
            Ok(aliases) if aliases.is_empty() => Ok(None),
            Ok(aliases) => Ok(aliases.resolve(asked, request.headers.get(super::choice::SESSION).as_deref(), super::choice::number(outside))),
            // Who names a provider does not need them.
            Err(_) if split_model(asked, |name| providers::by_id(name).is_some()).0.is_some() => Ok(None),
            Err(hint) => Err(Failure::Misconfigured { hint: hint.clone() }),
        }
    }
}
