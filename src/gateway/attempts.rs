//! Trying: with one key and then another, again after a while, and then with the next that the request may go to. Only until
//! something of an answer is there for the caller; what fails after that is the caller's to see.

use super::candidates::Candidate;
use super::choice::{Wants, number};
use super::entry::Entry;
use super::target::Target;
use super::{Answer, Gateway, Outside, Request};
use crate::http::{Failure, Headers};
use crate::ir::Dialect;
use crate::ports::Upstream;
use crate::routing::circuit::Circuit;
use crate::routing::retry::{Class, Failed, retry_after_ms};

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
        let mut wants = self.wants(request.headers, candidates)?;
        let settings = &self.config.settings;
        // A job's attempts are over before the job itself is given up.
        let of_job = settings.job_timeout_ms - (settings.job_timeout_ms / 10).min(10_000);
        wants.timeout_ms = if request.job.is_some() { of_job } else { settings.request_timeout_ms };
        if request.job.is_some() {
            wants.until_ms = outside.now_ms() + u64::from(of_job);
        }
        self.admit(outside, request, candidates).await?;
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
            // Who has no time left would fail for nothing of their own.
            if turn > 0 && outside.now_ms() >= wants.until_ms {
                break;
            }
            let is_last = turn + 1 == order.len();
            let tried = self.attempt_one(outside, &request.entry, own, candidate, &wants, once, is_last, &mut trail, &job).await;
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
        entry: &Entry,
        own: Dialect,
        candidate: &Candidate,
        wants: &Wants,
        once: bool,
        is_last: bool,
        trail: &mut Trail,
        job: &impl AsyncFn(&Target<'_>) -> Tried<O>,
    ) -> Tried<O> {
        let policy = self.config.settings.retries;
        let deadline = wants.until_ms.min(outside.now_ms() + u64::from(wants.timeout_ms));
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
                until_ms: deadline,
            };
            entry.sent_to(&target, key);
            self.well(candidate, key, |circuit| circuit.started(now));
            trail.attempts += 1;
            let done = job(&target).await;
            if was_sent(&done) {
                entry.sent();
            }
            let miss = match done {
                Ok(answer) => {
                    self.well(candidate, key, Circuit::succeeded);
                    if !trail.steps.is_empty() {
                        trail.step(candidate, "ok");
                    }
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

    /// What the caller is told of the attempts.
    fn note<B>(&self, request: &Request<'_, B>, trail: &Trail, fallback: usize) {
        request.entry.tried(trail.attempts, fallback);
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

/// Whether the provider was asked: what the gateway itself refuses takes nothing of anybody's limits.
fn was_sent<B, H>(done: &Result<Answer<B, H>, Miss<B, H>>) -> bool {
    let Err(Miss { outcome: Err(failure), .. }) = done else { return true };
    matches!(failure, Failure::Upstream(_) | Failure::UpstreamInvalid { .. } | Failure::Unreachable { .. } | Failure::TimedOut { .. })
}

fn discard<O: Outside>(outside: &O, answer: Answer<O::Body, O::Headers>) {
    if let Answer::Untouched { body, .. } | Answer::Stream { body, .. } = answer {
        outside.discard(body);
    }
}
