//! Trying: with one key and then another, again after a while, and then with the next that the request may go to. Only until
//! something of an answer is there for the caller; what fails after that is the caller's to see.

use std::rc::Rc;

use super::candidates::Candidate;
use super::pools::Pool;
use super::target::Target;
use super::{Answer, Gateway, Outside, Request};
use crate::http::{Failure, Headers};
use crate::ir::Dialect;
use crate::ports::Upstream;
use crate::providers::azure::named_endpoint;
use crate::providers::{Account, Provider, Secret};
use crate::routing::circuit::{Circuit, State};
use crate::routing::retry::{Class, Failed, retry_after_ms};
use crate::routing::{KeyRules, choose};

/// Requests that name the same get the same key.
pub(super) const SESSION: &str = "x-bf-session-id";

/// An error's body longer than this, in bytes, is not kept while others are tried.
const HELD_MAX: usize = 1 << 20;

/// An attempt that did not bring an answer.
pub(super) struct Miss<B, H> {
    pub(super) class: Class,
    /// A status, or a word.
    label: String,
    retry_after_ms: Option<u64>,
    says_no: bool,
    /// What the caller gets if this is the end.
    pub(super) outcome: Result<Answer<B, H>, Failure>,
}

impl<B, H: Headers> Miss<B, H> {
    /// A provider's answer that is an error.
    pub(super) fn answered(status: u16, headers: &H) -> (Class, String, Option<u64>, bool) {
        let wait = retry_after_ms(headers.get("retry-after-ms").as_deref(), headers.get("retry-after").as_deref());
        (Class::of_status(status), status.to_string(), wait, headers.get("x-should-retry").as_deref() == Some("false"))
    }

    pub(super) fn new((class, label, retry_after_ms, says_no): (Class, String, Option<u64>, bool), outcome: Result<Answer<B, H>, Failure>) -> Self {
        Self { class, label, retry_after_ms, says_no, outcome }
    }

    /// Something that a later attempt may be spared.
    pub(super) fn passing(self) -> Self {
        Self { class: Class::Passing, ..self }
    }
}

impl<B, H> From<Failure> for Miss<B, H> {
    fn from(failure: Failure) -> Self {
        let label = failure.kind().unwrap_or("failed").to_owned();
        let (class, label, retry_after_ms, says_no) = match &failure {
            Failure::Unreachable { .. } | Failure::TimedOut { .. } => (Class::Passing, label, None, false),
            Failure::NotConfigured { .. } | Failure::NoKey { .. } => (Class::Unavailable, label, None, false),
            Failure::Upstream(upstream) => {
                let header = |wanted: &str| upstream.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
                let wait = retry_after_ms(header("retry-after-ms"), header("retry-after"));
                (Class::of_status(upstream.status), upstream.status.to_string(), wait, header("x-should-retry") == Some("false"))
            }
            _ => (Class::Final, label, None, false),
        };
        Self { class, label, retry_after_ms, says_no, outcome: Err(failure) }
    }
}

/// What the caller gets.
type Outcome<O> = Result<Answer<<O as Upstream>::Body, <O as Upstream>::Headers>, Failure>;

/// What an attempt comes to.
pub(super) type Tried<O> = Result<Answer<<O as Upstream>::Body, <O as Upstream>::Headers>, Miss<<O as Upstream>::Body, <O as Upstream>::Headers>>;

/// What the caller wants of the choice.
#[derive(Default)]
struct Wants {
    /// The first candidate's provider, and the name of its key. Others have other names.
    pinned: Option<(&'static str, String)>,
    session: Option<String>,
    /// A key of their own for the first candidate's provider.
    direct: Option<(&'static str, Rc<Account>)>,
}

impl Wants {
    fn brings_key(&self, candidate: &Candidate) -> bool {
        self.direct.as_ref().is_some_and(|(of, _)| *of == candidate.provider.id())
    }
}

fn wants_of_pool(headers: &dyn Headers, first: &'static str) -> Wants {
    let pinned = headers.get("x-bf-api-key").filter(|name| !name.is_empty()).map(|name| (first, name));
    Wants { pinned, session: headers.get(SESSION), direct: None }
}

/// What was tried.
#[derive(Default)]
struct Trail {
    attempts: u32,
    steps: Vec<String>,
}

impl Trail {
    fn step(&mut self, candidate: &Candidate, label: &str) {
        let model: String = candidate.model.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, ',' | '=')).take(80).collect();
        self.steps.push(format!("{}/{model}={label}", candidate.provider.id()));
    }
}

impl Gateway {
    /// Does `job` for one candidate after another until there is an answer. With `once` the request's body cannot be sent twice.
    pub(super) async fn attempt<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        own: Dialect,
        candidates: &[Candidate],
        once: bool,
        job: impl AsyncFn(&Target<'_>) -> Tried<O>,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let wants = self.wants(request.headers, candidates)?;
        let mut trail = Trail::default();
        let mut first: Option<Outcome<O>> = None;
        let now = outside.now_ms();
        let is_closed: Vec<bool> = candidates.iter().map(|candidate| !self.is_open(candidate, &wants, now)).collect();
        // Those that lately failed are left out, unless there is nobody else; then, last, they are tried all the same.
        let skips = candidates.len() > 1 && is_closed.contains(&true);
        let order = (0..candidates.len()).filter(|i| !skips || is_closed.get(*i) == Some(&true));
        let late = (0..candidates.len()).filter(|i| skips && is_closed.get(*i) == Some(&false));
        for i in late.clone() {
            candidates.get(i).into_iter().for_each(|candidate| trail.step(candidate, "open"));
        }
        let order: Vec<usize> = order.chain(late).collect();
        for (turn, i) in order.iter().enumerate() {
            let Some(candidate) = candidates.get(*i) else { continue };
            let is_last = turn + 1 == order.len();
            let tried = self.attempt_one(outside, own, candidate, &wants, once, is_last, &mut trail, &job).await;
            let miss = match tried {
                Ok(answer) => {
                    self.note(request, &trail, *i);
                    if let Some(Ok(old)) = first {
                        discard(outside, old);
                    }
                    return Ok(answer);
                }
                Err(miss) => miss,
            };
            // What the gateway itself cannot do with one fallback it may do with the next.
            let is_unfit = turn > 0 && matches!(&miss.outcome, Err(failure) if !matches!(failure, Failure::Upstream(_)));
            let goes_on = (miss.class.falls_back() || is_unfit) && !is_last;
            match (&first, miss.outcome) {
                (None, outcome) if goes_on => first = Some(self.held(outside, outcome).await),
                (None, outcome) => first = Some(outcome),
                (Some(_), Ok(answer)) => discard(outside, answer),
                (Some(_), Err(_)) => {}
            }
            if !goes_on {
                break;
            }
        }
        self.note(request, &trail, 0);
        first.unwrap_or(Err(Failure::Misconfigured { hint: "there is nobody to ask".to_owned() }))
    }

    #[allow(clippy::too_many_arguments)]
    async fn attempt_one<O: Outside>(
        &self,
        outside: &O,
        own: Dialect,
        candidate: &Candidate,
        wants: &Wants,
        once: bool,
        is_last: bool,
        trail: &mut Trail,
        job: &impl AsyncFn(&Target<'_>) -> Tried<O>,
    ) -> Tried<O> {
        let policy = self.config.settings.retries;
        let deadline = outside.now_ms() + u64::from(self.config.settings.request_timeout_ms);
        let (mut retries, mut given_up): (u32, Vec<&str>) = (0, Vec::new());
        loop {
            let now = outside.now_ms();
            let (account, key) = self.chosen(outside, candidate, wants, &given_up, now).inspect_err(|failure| {
                trail.step(candidate, failure.kind().unwrap_or("failed"));
            })?;
            let spoken = candidate.provider.dialects(&candidate.model);
            // The caller's own dialect loses nothing; else the provider's first loses least.
            let dialect = if spoken.contains(&own) { own } else { spoken.first().copied().unwrap_or(own) };
            let left_ms = deadline.saturating_sub(now).max(1);
            let target = Target {
                provider: candidate.provider,
                account,
                model: &candidate.model,
                dialect,
                with_callers_key: key.is_none(),
                may_go_on: !once && (!is_last || retries < policy.max_retries),
                timeout_ms: u32::try_from(left_ms).unwrap_or(u32::MAX),
            };
            self.circuit(candidate, key, |circuit| circuit.started(now));
            trail.attempts += 1;
            let miss = match job(&target).await {
                Ok(answer) => {
                    self.circuit(candidate, key, Circuit::succeeded);
                    trail.step(candidate, "ok");
                    return Ok(answer);
                }
                Err(miss) => miss,
            };
            let now = outside.now_ms();
            trail.step(candidate, &miss.label);
            self.circuit(candidate, key, |circuit| match miss.class {
                Class::Passing | Class::Limited => circuit.failed(now),
                Class::Refused => circuit.refused(now),
                Class::Final | Class::Unavailable => {}
            });
            if let (Some(key), Class::Limited | Class::Refused) = (key, miss.class) {
                given_up.push(key);
            }
            let failed = Failed {
                class: miss.class,
                retry_after_ms: miss.retry_after_ms,
                says_no: miss.says_no,
                retries,
                has_other_key: self.has_other_key(candidate, wants, &given_up, now),
                left_ms: deadline.saturating_sub(now),
            };
            let wait = if once { None } else { policy.next(&failed, number(outside)) };
            let Some(wait) = wait else { return Err(miss) };
            retries += u32::from(miss.class != Class::Refused);
            if let Ok(answer) = miss.outcome {
                discard(outside, answer);
            }
            if wait > 0 {
                outside.sleep(wait).await;
            }
        }
    }

    /// A key for one request that is tried once: its account, and whether it is the caller's own.
    pub(super) fn account_once<O: Outside>(&self, outside: &O, headers: &dyn Headers, candidate: &Candidate) -> Result<Rc<Account>, Failure> {
        self.chosen(outside, candidate, &wants_of_pool(headers, candidate.provider.id()), &[], outside.now_ms()).map(|(account, _)| account)
    }

    fn wants(&self, headers: &dyn Headers, candidates: &[Candidate]) -> Result<Wants, Failure> {
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
        let Some(key) = crate::http::caller::any_direct_key(provider.id(), headers) else { return Ok(None) };
        let Some(template) = self.config.direct_account(provider) else { return Ok(None) };
        let mut account = Account { key: Some(Secret::new(key)), ..template.clone() };
        if provider.id() == "azure" {
            const HEADER: &str = "x-bf-azure-endpoint";
            let settings = &self.config.settings;
            if let Some(named) = headers.get(HEADER) {
                let endpoint = named_endpoint(&named, &settings.azure_host_suffixes, settings.allow_local_upstream);
                account.base_url = endpoint.map_err(|why| Failure::Invalid(crate::base::fields::Invalid::new(HEADER, why)))?;
                // The owner's deployments are of the owner's resource.
                account.deployments.clear();
            }
            if account.base_url.is_empty() {
                let why = "is required with a key of your own: your Azure resource, such as https://my-resource.openai.azure.com";
                return Err(Failure::Invalid(crate::base::fields::Invalid::new(HEADER, why)));
            }
        }
        Ok(Some(Rc::new(account)))
    }

    /// The account to ask with, and the name of its key if it is the gateway's.
    fn chosen<'a, O: Outside>(
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

    fn has_other_key(&self, candidate: &Candidate, wants: &Wants, given_up: &[&str], now: u64) -> bool {
        let provider = candidate.provider.id();
        if wants.brings_key(candidate) {
            return false;
        }
        let Ok(pool) = self.config.pool(candidate.provider) else { return false };
        let fitting = fitting(pool, candidate, wants).unwrap_or_default();
        fitting.iter().any(|rules| !given_up.contains(&rules.name.as_str()) && !self.is_key_open(provider, &rules.name, now))
    }

    /// Whether all of its keys have lately failed.
    fn is_open(&self, candidate: &Candidate, wants: &Wants, now: u64) -> bool {
        if self.circuits.borrow().is_empty() || wants.brings_key(candidate) {
            return false;
        }
        let Ok(pool) = self.config.pool(candidate.provider) else { return false };
        let fitting = fitting(pool, candidate, wants).unwrap_or_default();
        !fitting.is_empty() && fitting.iter().all(|rules| self.is_key_open(candidate.provider.id(), &rules.name, now))
    }

    fn is_key_open(&self, provider: &'static str, key: &str, now: u64) -> bool {
        self.circuits.borrow().get(&(provider, key.to_owned())).is_some_and(|circuit| circuit.is_open(now))
    }

    /// Tells the circuit of a key of the gateway's; nothing is remembered of a caller's own.
    fn circuit(&self, candidate: &Candidate, key: Option<&str>, tell: impl FnOnce(&mut Circuit)) {
        let Some(key) = key else { return };
        let (id, mut circuits) = ((candidate.provider.id(), key.to_owned()), self.circuits.borrow_mut());
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

    /// What the caller is told of the attempts.
    fn note<B>(&self, request: &Request<'_, B>, trail: &Trail, fallback: usize) {
        let mut notes = request.notes.borrow_mut();
        notes.push(("x-bf-attempts", trail.attempts.to_string()));
        if fallback > 0 {
            notes.push(("x-bf-fallback-index", fallback.to_string()));
        }
        if trail.steps.len() > 1 {
            notes.push(("x-bf-attempt-status", trail.steps.join(", ")));
        }
    }

    /// An error as it can be kept while others are asked: its connection is free again.
    async fn held<O: Outside>(&self, outside: &O, outcome: Outcome<O>) -> Outcome<O> {
        let Ok(Answer::Untouched { status, upstream, without, headers, body }) = outcome else { return outcome };
        let bytes = outside.read(body, HELD_MAX, self.config.settings.request_timeout_ms).await.unwrap_or_default();
        Ok(Answer::Untouched { status, upstream, without, headers, body: outside.body_of(bytes) })
    }
}

/// The keys that may serve the candidate.
fn fitting<'a>(pool: &'a Pool, candidate: &Candidate, wants: &Wants) -> Result<Vec<&'a KeyRules>, Failure> {
    let (provider, model, setting) = (candidate.provider.id(), candidate.model.as_str(), &pool.setting);
    let none = |hint: String, is_off: bool| Failure::NoKey { provider, hint, is_off };
    let rules = || pool.keys.iter().map(|key| &key.rules);
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

fn discard<O: Outside>(outside: &O, answer: Answer<O::Body, O::Headers>) {
    if let Answer::Untouched { body, .. } | Answer::Stream { body, .. } = answer {
        outside.discard(body);
    }
}

/// Any number.
pub(super) fn number<O: Outside>(outside: &O) -> u64 {
    outside.bytes().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
