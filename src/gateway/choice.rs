//! Choosing: a key of the gateway's, by its rules and by how it lately fared, or the one that the caller brings.

use std::rc::Rc;

use super::candidates::Candidate;
use super::pools::Pool;
use super::{Gateway, Outside};
use crate::base::fields::Invalid;
use crate::base::glob::fits;
use crate::http::{Failure, Headers, caller};
use crate::providers::azure::named_endpoint;
use crate::providers::{Account, Provider, Secret};
use crate::routing::circuit::{Circuit, State};
use crate::routing::{KeyRules, choose};

/// Requests that name the same get the same key.
pub(super) const SESSION: &str = "x-bf-session-id";

/// What the caller wants of the choice.
#[derive(Default)]
pub(super) struct Wants {
    /// The first candidate's provider, and the name of its key. Others have other names.
    pinned: Option<(&'static str, String)>,
    session: Option<String>,
    /// A key of their own for the first candidate's provider.
    direct: Option<(&'static str, Rc<Account>)>,
    /// How long all attempts at one candidate may take.
    pub(super) timeout_ms: u32,
    /// When all of them, at whichever candidate, have to be over, in milliseconds since 1970.
    pub(super) until_ms: u64,
}

impl Wants {
    fn brings_key(&self, candidate: &Candidate) -> bool {
        self.direct.as_ref().is_some_and(|(of, _)| *of == candidate.provider.id())
    }
}

fn wants_of_pool(headers: &dyn Headers, first: &'static str) -> Wants {
    let pinned = headers.get("x-bf-api-key").filter(|name| !name.is_empty()).map(|name| (first, name));
    Wants { pinned, session: headers.get(SESSION), direct: None, timeout_ms: 0, until_ms: u64::MAX }
}

impl Gateway {
    /// A key of the gateway's for one request that is tried once: its account and its name.
    pub(super) fn account_once<'a, O: Outside>(
        &'a self,
        outside: &O,
        headers: &dyn Headers,
        candidate: &Candidate,
    ) -> Result<(Rc<Account>, Option<&'a str>), Failure> {
        self.chosen(outside, candidate, &wants_of_pool(headers, candidate.provider.id()), &[], outside.now_ms())
    }

    pub(super) fn wants(&self, headers: &dyn Headers, candidates: &[Candidate]) -> Result<Wants, Failure> {
        let direct = match candidates.first() {
            Some(first) if self.config.settings.allow_direct_keys => {
                self.direct(headers, first.provider)?.map(|account| (first.provider.id(), account))
            }
            _ => None,
        };
        let first = candidates.first().map(|first| first.provider.id()).unwrap_or_default();
        Ok(Wants { direct, ..wants_of_pool(headers, first) })
    }

    /// The account of a caller who brings their own key.
    fn direct(&self, headers: &dyn Headers, provider: &dyn Provider) -> Result<Option<Rc<Account>>, Failure> {
        let Some(key) = caller::any_direct_key(provider.id(), headers) else { return Ok(None) };
        let Some(template) = self.config.direct_account(provider) else { return Ok(None) };
        let mut account = Account { key: Some(Secret::new(key)), ..template.clone() };
        if provider.id() == "azure" {
            const HEADER: &str = "x-bf-azure-endpoint";
            let settings = &self.config.settings;
            if let Some(named) = headers.get(HEADER) {
                let endpoint = named_endpoint(&named, &settings.azure_host_suffixes, settings.allow_local_upstream);
                account.base_url = endpoint.map_err(|why| Failure::Invalid(Invalid::new(HEADER, why)))?;
                // The owner's deployments are of the owner's resource.
                account.deployments.clear();
            }
            if account.base_url.is_empty() {
                let why = "is required with a key of your own: your Azure resource, such as https://my-resource.openai.azure.com";
                return Err(Failure::Invalid(Invalid::new(HEADER, why)));
            }
        }
        Ok(Some(Rc::new(account)))
    }

    /// The account to ask with, and the name of its key if it is the gateway's.
    pub(super) fn chosen<'a, O: Outside>(
        &'a self,
        outside: &O,
        candidate: &Candidate,
        wants: &Wants,
        given_up: &[&str],
        now: u64,
    ) -> Result<(Rc<Account>, Option<&'a str>), Failure> {
        let provider = candidate.provider.id();
        if let Some((_, account)) = wants.direct.as_ref().filter(|(of, _)| *of == provider) {
            return Ok((Rc::clone(account), None));
        }
        let pool = self.config.pool(candidate.provider).map_err(|why| Failure::NotConfigured { provider, hint: why.to_string() })?;
        let fitting = fitting(pool, candidate, wants)?;
        let fresh = |rules: &&KeyRules| !given_up.contains(&rules.name.as_str());
        let closed = |rules: &&KeyRules| !self.is_key_open(provider, &rules.name, now);
        // Whom nothing speaks against, else who was not given up, else anybody.
        let mut among: Vec<&KeyRules> = fitting.iter().copied().filter(|rules| fresh(rules) && closed(rules)).collect();
        if among.is_empty() {
            among = fitting.iter().copied().filter(fresh).collect();
        }
        if among.is_empty() {
            among = fitting;
        }
        let rules = match among.as_slice() {
            [only] => Some(*only),
            _ => choose(&among, wants.session.as_deref(), number(outside)),
        };
        let key = rules.and_then(|rules| pool.keys.iter().find(|key| key.rules.name == rules.name));
        key.map(|key| (Rc::clone(&key.account), Some(key.rules.name.as_str()))).ok_or_else(|| Failure::NoKey {
            provider,
            hint: format!("{} has none that can be chosen", pool.setting),
            is_off: true,
        })
    }

    pub(super) fn has_other_key(&self, candidate: &Candidate, wants: &Wants, given_up: &[&str], now: u64) -> bool {
        let provider = candidate.provider.id();
        if wants.brings_key(candidate) {
            return false;
        }
        let Ok(pool) = self.config.pool(candidate.provider) else { return false };
        let fitting = fitting(pool, candidate, wants).unwrap_or_default();
        fitting.iter().any(|rules| !given_up.contains(&rules.name.as_str()) && !self.is_key_open(provider, &rules.name, now))
    }

    /// Whether all of its keys have lately failed.
    pub(super) fn is_open(&self, candidate: &Candidate, wants: &Wants, now: u64) -> bool {
        if self.circuits.borrow().is_empty() || wants.brings_key(candidate) {
            return false;
        }
        let Ok(pool) = self.config.pool(candidate.provider) else { return false };
        let fitting = fitting(pool, candidate, wants).unwrap_or_default();
        !fitting.is_empty() && fitting.iter().all(|rules| self.is_key_open(candidate.provider.id(), &rules.name, now))
    }

    fn is_key_open(&self, provider: &'static str, key: &str, now: u64) -> bool {
        let circuits = self.circuits.borrow();
        !circuits.is_empty() && circuits.get(&(provider, key.to_owned())).is_some_and(|circuit| circuit.is_open(now))
    }

    /// Tells the circuit something good, which means nothing to one that nothing speaks against.
    pub(super) fn well(&self, candidate: &Candidate, key: Option<&str>, tell: impl FnOnce(&mut Circuit)) {
        if !self.circuits.borrow().is_empty() {
            self.circuit(candidate, key, tell);
        }
    }

    /// Tells the circuit of a key of the gateway's; nothing is remembered of a caller's own.
    pub(super) fn circuit(&self, candidate: &Candidate, key: Option<&str>, tell: impl FnOnce(&mut Circuit)) {
        let (Some(key), mut circuits) = (key, self.circuits.borrow_mut()) else { return };
        let id = (candidate.provider.id(), key.to_owned());
        let mut circuit = circuits.remove(&id).unwrap_or_default();
        tell(&mut circuit);
        // Most are in order, and nothing is kept of those.
        if circuit != Circuit::default() {
            circuits.insert(id, circuit);
        }
    }

    /// How the circuits stand that are not closed, for the owner.
    pub(super) fn circuits_now(&self, now: u64) -> Vec<(String, &'static str)> {
        let circuits = self.circuits.borrow();
        let word = |circuit: &Circuit| match circuit.state(now) {
            State::Closed => "closed",
            State::Open => "open",
            State::SetAside => "set aside: the provider refuses the key",
            State::HalfOpen => "half open",
        };
        circuits.iter().map(|((provider, key), circuit)| (format!("{provider}/{key}"), word(circuit))).collect()
    }
}

/// The keys that may serve the candidate.
fn fitting<'a>(pool: &'a Pool, candidate: &Candidate, wants: &Wants) -> Result<Vec<&'a KeyRules>, Failure> {
    let (provider, model, setting) = (candidate.provider.id(), candidate.model.as_str(), &pool.setting);
    let none = |hint: String, is_off: bool| Failure::NoKey { provider, hint, is_off };
    let may = |rules: &&KeyRules| candidate.keys.as_ref().is_none_or(|keys| keys.iter().any(|pattern| fits(pattern, &rules.name)));
    let rules = || pool.keys.iter().map(|key| &key.rules).filter(may);
    if rules().next().is_none() {
        return Err(none(format!("the virtual key allows none of {setting}"), false));
    }
    let pinned = wants.pinned.as_ref().filter(|(of, _)| *of == provider).map(|(_, name)| name);
    let found: Vec<&KeyRules> = match pinned {
        None => rules().filter(|rules| rules.serves(model)).collect(),
        Some(pinned) if rules().all(|rules| rules.name != *pinned) => {
            return Err(none(format!("{setting} has none of the name that x-bf-api-key says"), false));
        }
        Some(pinned) => rules().filter(|rules| rules.name == *pinned && rules.serves(model)).collect(),
    };
    match found.is_empty() {
        false => Ok(found),
        true if rules().all(|rules| !rules.enabled) => Err(none(format!("all of {setting} are switched off"), true)),
        true => Err(none(format!("none of {setting} serves the model '{model}'"), false)),
    }
}

/// Any number.
pub(super) fn number<O: Outside>(outside: &O) -> u64 {
    outside.bytes().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
