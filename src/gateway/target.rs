//! Who serves a request, in which dialect, and how a call to them is sent.

use std::rc::Rc;

use super::entry::Entry;
use super::{Gateway, Outside};
use crate::accounting::estimate::of_characters;
use crate::dialects::UpstreamError;
use crate::http::{Failure, UpstreamFailure, headers};
use crate::ir::{Dialect, StreamFault, Usage};
use crate::lanes::first::{First, look};
use crate::lanes::hub;
use crate::lanes::tally::Tally;
use crate::lanes::whole::whole;
use crate::ports::{GoesOn, Outgoing, ReadError, SendError, UpstreamReply, UpstreamRequest};
use crate::providers::{Account, Auth, Endpoint, Provider};

/// An error body longer than this, in bytes, is told by its beginning.
const ERROR_MAX: usize = 1 << 20;

/// A first event longer than this, in bytes, is no error.
const FIRST_MAX: usize = 64 << 10;

/// How long a provider's list of models may take.
const LIST_TIMEOUT_MS: u32 = 10_000;

/// Who serves a request.
#[derive(Clone)]
pub(super) struct Target<'a> {
    pub(super) provider: &'static dyn Provider,
    pub(super) account: Rc<Account>,
    /// The model without the provider's prefix.
    pub(super) model: &'a str,
    /// The dialect to speak to them.
    pub(super) dialect: Dialect,
    /// Whether the account is one that the caller brought.
    pub(super) with_callers_key: bool,
    /// Whether a failure leads to another attempt, so that a stream is to be looked at before it goes out.
    pub(super) may_go_on: bool,
    /// How long this attempt may take to the answer's head.
    pub(super) timeout_ms: u32,
    /// When all attempts have to be over that a job makes, in milliseconds since 1970; 0 where none is.
    pub(super) until_ms: u64,
}

/// What is sent to an endpoint, and how.
pub(super) struct Sending<B> {
    pub(super) method: &'static str,
    pub(super) content_type: Option<String>,
    pub(super) body: Outgoing<B>,
    /// The longest to wait for the answer's head, if shorter than usual.
    pub(super) timeout_ms: Option<u32>,
}

/// Which of the caller's headers go along.
#[derive(Default)]
pub(super) struct Passing<'a> {
    /// The caller, where the provider reads the body as they wrote it.
    pub(super) own: Option<&'a dyn headers::Headers>,
    /// What passes by the caller's or the owner's word.
    pub(super) further: Vec<(String, String)>,
    /// The values of `anthropic-beta`.
    pub(super) betas: Option<&'a str>,
}

impl<B> Sending<B> {
    pub(super) fn json(body: Outgoing<B>) -> Self {
        Self { method: "POST", content_type: Some("application/json".to_owned()), body, timeout_ms: None }
    }

    /// Lists are asked from all providers at once, and a silent one must not hold up the others for minutes.
    pub(super) fn list() -> Self {
        Self { method: "GET", content_type: None, body: Outgoing::Nothing, timeout_ms: Some(LIST_TIMEOUT_MS) }
    }
}

impl Gateway {
    /// Sends a request to an endpoint, authenticated.
    pub(super) async fn send<O: Outside>(
        &self,
        outside: &O,
        target: &Target<'_>,
        endpoint: Endpoint,
        passing: Passing<'_>,
        sending: Sending<O::Body>,
    ) -> Result<UpstreamReply<O::Body, O::Headers>, Failure> {
        let mut sent: Vec<(String, String)> = endpoint.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // The caller's come later and win: an SDK's own `anthropic-version` says how its body reads.
        let anthropic = target.dialect == Dialect::Anthropic;
        if let Some(caller) = passing.own.filter(|_| !anthropic || target.provider.takes_anthropic_headers()) {
            let mut own = headers::to_upstream(caller, anthropic);
            own.retain(|(name, _)| !self.config.settings.headers.denies(name));
            sent.extend(own);
        }
        sent.extend(passing.further);
        if let Some(betas) = passing.betas.filter(|_| target.provider.takes_anthropic_headers()) {
            sent.push((headers::BETA.to_owned(), betas.to_owned()));
        }
        let Sending { method, content_type, body, timeout_ms } = sending;
        sent.extend(content_type.filter(|_| !matches!(body, Outgoing::Nothing)).map(|kind| ("content-type".to_owned(), kind)));
        match endpoint.auth {
            Auth::None => {}
            Auth::Header(name, key) => sent.push((name.to_owned(), key.expose().to_owned())),
            Auth::Bearer(key) => sent.push(("authorization".to_owned(), format!("Bearer {}", key.expose()))),
            Auth::GoogleToken => {
                let token = self.google_token(outside, target).await?;
                sent.push(("authorization".to_owned(), format!("Bearer {}", token.expose())));
            }
        }
        // The attempts before this one took their part of the whole.
        let told_ms = timeout_ms.unwrap_or(u32::MAX).min(self.config.settings.request_timeout_ms);
        let timeout_ms = timeout_ms.map_or(target.timeout_ms, |shorter| shorter.min(target.timeout_ms));
        let request = UpstreamRequest { method, url: endpoint.url, headers: sent, body, timeout_ms };
        outside.send(request).await.map_err(|error| match error {
            SendError::Unreachable => Failure::Unreachable { provider: target.provider.id() },
            SendError::TimedOut => Failure::TimedOut { milliseconds: told_ms },
        })
    }

    /// Looks at the beginning of a stream that answers well so far: an error as its first event is a failure that another attempt
    /// may be spared.
    pub(super) async fn begun<O: Outside>(
        &self,
        outside: &O,
        target: &Target<'_>,
        reply: UpstreamReply<O::Body, O::Headers>,
        goes_on: GoesOn,
    ) -> Result<UpstreamReply<O::Body, O::Headers>, Failure> {
        if !target.may_go_on || reply.status != 200 || !reply.is_event_stream() {
            return Ok(reply);
        }
        let mut first = First::NotYet;
        let mut enough = |head: &[u8]| {
            first = look(head, hub::decoder(target.dialect));
            first != First::NotYet
        };
        let seen = outside.glance(reply.body, goes_on, FIRST_MAX, target.timeout_ms, &mut enough).await;
        let (_, body) = seen.map_err(|why| self.not_read(target, why))?;
        let First::Fault(fault) = first else { return Ok(UpstreamReply { body, ..reply }) };
        outside.discard(body);
        Err(self.fault(target, fault, headers::of_error(&reply.headers)))
    }

    /// Reads a stream to its end and puts it together.
    pub(super) async fn gathered<O: Outside>(
        &self,
        outside: &O,
        entry: &Entry,
        target: &Target<'_>,
        reply: UpstreamReply<O::Body, O::Headers>,
    ) -> Result<Vec<u8>, Failure> {
        let left_ms = u32::try_from(target.until_ms.saturating_sub(outside.now_ms()).max(1)).unwrap_or(u32::MAX);
        let stream = self.read_within(outside, target, reply.body, left_ms).await?;
        match whole(target.dialect, &stream) {
            Ok(whole) => Ok(whole.to_string().into_bytes()),
            Err(fault) => {
                // What was written has its price, though nobody gets it.
                let tally = Tally::of_stream(&stream, hub::decoder(target.dialect), false);
                let output = of_characters(tally.written);
                let usage = tally.usage.unwrap_or_default();
                if tally.written > 0 || usage.total() > 0 {
                    entry.guessed(Usage { output: usage.output.max(output), ..usage });
                }
                Err(self.fault(target, fault, headers::of_error(&reply.headers)))
            }
        }
    }

    fn fault(&self, target: &Target<'_>, fault: StreamFault, headers: Vec<(String, String)>) -> Failure {
        let error = UpstreamError { message: Some(fault.message), code: fault.code, ..UpstreamError::default() };
        let (provider, status) = (target.provider.id(), fault.status);
        Failure::Upstream(Box::new(UpstreamFailure { provider, status, error, with_callers_key: target.with_callers_key, headers }))
    }

    /// Reads a provider's error.
    pub(super) async fn upstream_failure<O: Outside>(&self, outside: &O, target: &Target<'_>, reply: UpstreamReply<O::Body, O::Headers>) -> Failure {
        let headers = headers::of_error(&reply.headers);
        let body = outside.read(reply.body, ERROR_MAX, self.config.settings.request_timeout_ms).await.unwrap_or_default();
        let error = hub::decode_error(target.dialect, &body);
        // Google says 400 for a key that it does not know.
        let status = if error.code.as_deref() == Some("API_KEY_INVALID") { 401 } else { reply.status };
        Failure::Upstream(Box::new(UpstreamFailure {
            provider: target.provider.id(),
            status,
            error,
            with_callers_key: target.with_callers_key,
            headers,
        }))
    }

    /// Why an answer that began well could not be read on.
    pub(super) fn not_read(&self, target: &Target<'_>, why: ReadError) -> Failure {
        match why {
            ReadError::TimedOut => Failure::TimedOut { milliseconds: self.config.settings.request_timeout_ms },
            ReadError::Broken | ReadError::TooLarge => Failure::Unreachable { provider: target.provider.id() },
        }
    }

    /// Reads a provider's whole answer.
    pub(super) async fn read_reply<O: Outside>(&self, outside: &O, target: &Target<'_>, body: O::Body) -> Result<Vec<u8>, Failure> {
        self.read_within(outside, target, body, self.config.settings.request_timeout_ms).await
    }

    async fn read_within<O: Outside>(&self, outside: &O, target: &Target<'_>, body: O::Body, timeout_ms: u32) -> Result<Vec<u8>, Failure> {
        let limit = self.config.settings.max_body_bytes.max(32 << 20);
        outside.read(body, limit, timeout_ms).await.map_err(|error| {
            let reason = match error {
                ReadError::TimedOut => return Failure::TimedOut { milliseconds: timeout_ms },
                ReadError::TooLarge => format!("an answer of more than {limit} bytes"),
                ReadError::Broken => "the connection broke off in the middle of the answer".to_owned(),
            };
            Failure::UpstreamInvalid { provider: target.provider.id(), reason }
        })
    }
}

/// The headers of every answer that a provider had a part in.
pub(super) fn answer_headers(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("x-bf-provider", target.provider.id().to_owned())];
    // A model's name may hold what a header cannot, or more.
    if target.model.len() <= 300 && target.model.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        headers.push(("x-bf-model", target.model.to_owned()));
    }
    headers
}
