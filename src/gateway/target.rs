//! Who serves a request, in which dialect, and how a call to them is sent.

use super::{Gateway, Outside};
use crate::http::{Failure, Surface, UpstreamFailure, headers};
use crate::ir::Dialect;
use crate::lanes::hub;
use crate::ports::{Outgoing, ReadError, SendError, UpstreamReply, UpstreamRequest};
use crate::providers::{self, Account, Auth, Endpoint, Provider};
use crate::routing::split_model;

/// An error body longer than this, in bytes, is told by its beginning.
const ERROR_MAX: usize = 1 << 20;

/// How long a provider's list of models may take.
const LIST_TIMEOUT_MS: u32 = 10_000;

/// Who serves a request.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) provider: &'static dyn Provider,
    pub(super) account: &'a Account,
    /// The model without the provider's prefix.
    pub(super) model: &'a str,
    /// The dialect to speak to them.
    pub(super) dialect: Dialect,
}

/// What is sent to an endpoint, and how.
pub(super) struct Sending<B> {
    pub(super) method: &'static str,
    pub(super) content_type: Option<String>,
    pub(super) body: Outgoing<B>,
    /// The longest to wait for the answer's head, if shorter than usual.
    pub(super) timeout_ms: Option<u32>,
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
    /// Finds who serves `asked`, a name with or without the provider's prefix, for a caller who speaks `own`.
    pub(super) fn target<'a>(&'a self, surface: Surface, own: Dialect, asked: &'a str, deployment: Option<&'a str>) -> Result<Target<'a>, Failure> {
        let (provider, model) = match deployment {
            Some(deployment) => (Some("azure"), deployment),
            None => split_model(asked, |name| providers::by_id(name).is_some()),
        };
        let provider = provider.or(surface.default_provider()).ok_or_else(|| Failure::ModelWithoutProvider { model: asked.to_owned() })?;
        self.target_of(provider, own, model)
    }

    /// The provider of that name, for a model without prefix.
    pub(super) fn target_of<'a>(&'a self, provider: &str, own: Dialect, model: &'a str) -> Result<Target<'a>, Failure> {
        let provider = providers::by_id(provider).ok_or_else(|| Failure::NoSuchProvider { provider: provider.to_owned() })?;
        let account = match self.config.account(provider) {
            Some(Ok(account)) => account,
            Some(Err(why)) => return Err(Failure::NotConfigured { provider: provider.id(), hint: why.to_string() }),
            None => return Err(Failure::NotConfigured { provider: provider.id(), hint: String::new() }),
        };
        let spoken = provider.dialects(model);
        // The caller's own dialect loses nothing; else the provider's first loses least.
        let dialect = if spoken.contains(&own) { own } else { spoken.first().copied().unwrap_or(own) };
        Ok(Target { provider, account, model, dialect })
    }

    /// Sends a request to an endpoint, authenticated.
    pub(super) async fn send<O: Outside>(
        &self,
        outside: &O,
        target: &Target<'_>,
        endpoint: Endpoint,
        caller: Option<&dyn headers::Headers>,
        sending: Sending<O::Body>,
    ) -> Result<UpstreamReply<O::Body, O::Headers>, Failure> {
        let mut sent: Vec<(String, String)> = endpoint.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // The caller's come later and win: an SDK's own `anthropic-version` says how its body reads.
        let anthropic = target.dialect == Dialect::Anthropic;
        if let Some(caller) = caller.filter(|_| !anthropic || target.provider.takes_anthropic_headers()) {
            sent.extend(headers::to_upstream(caller, anthropic));
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
        let longest = self.config.settings.request_timeout_ms;
        let timeout_ms = timeout_ms.map_or(longest, |shorter| shorter.min(longest));
        let request = UpstreamRequest { method, url: endpoint.url, headers: sent, body, timeout_ms };
        outside.send(request).await.map_err(|error| match error {
            SendError::Unreachable => Failure::Unreachable { provider: target.provider.id() },
            SendError::TimedOut => Failure::TimedOut { milliseconds: timeout_ms },
        })
    }

    /// Reads a provider's error.
    pub(super) async fn upstream_failure<O: Outside>(&self, outside: &O, target: &Target<'_>, reply: UpstreamReply<O::Body, O::Headers>) -> Failure {
        let headers = headers::of_error(&reply.headers);
        let body = outside.read(reply.body, ERROR_MAX, self.config.settings.request_timeout_ms).await.unwrap_or_default();
        let error = hub::decode_error(target.dialect, &body);
        // Google says 400 for a key that it does not know.
        let status = if error.code.as_deref() == Some("API_KEY_INVALID") { 401 } else { reply.status };
        Failure::Upstream(Box::new(UpstreamFailure { provider: target.provider.id(), status, error, headers }))
    }

    /// Reads a provider's whole answer.
    pub(super) async fn read_reply<O: Outside>(&self, outside: &O, target: &Target<'_>, body: O::Body) -> Result<Vec<u8>, Failure> {
        let limit = self.config.settings.max_body_bytes.max(32 << 20);
        let timeout_ms = self.config.settings.request_timeout_ms;
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
    let mut headers = vec![("x-bf-provider", target.provider.id().to_owned()), ("x-bf-attempts", "1".to_owned())];
    // A model's name may hold what a header cannot.
    if target.model.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        headers.push(("x-bf-model", target.model.to_owned()));
    }
    headers
}
