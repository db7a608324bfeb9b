use crate::base::fields::Invalid;
use crate::base::money::Money;
use crate::dialects::{Unreadable, UpstreamError};
use crate::governance::Dimension;
use crate::governance::message::Reading;
use crate::ir::{Losses, Refused};

/// Everything that can keep a caller from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The body is larger than `MAX_BODY_BYTES`.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// An identifier of one provider in a request to another.
    ForeignId {
        /// Which, and whose it is.
        message: String,
    },
    /// A member of the body is missing or wrong.
    Invalid(Invalid),
    /// The body is no JSON object.
    InvalidJson(String),
    /// Strict mode: the translation would lose members of the request.
    Lossy(Losses),
    /// The path exists, but not for this method.
    MethodNotAllowed {
        /// What was asked with.
        method: String,
        /// What can be.
        allow: String,
    },
    /// A bare path needs `provider/model`.
    ModelWithoutProvider {
        /// The model as it was named.
        model: String,
    },
    /// The virtual key serves nobody now.
    VirtualKeyBlocked {
        /// Why: `is switched off`.
        reason: &'static str,
    },
    /// Only who has a virtual key may ask.
    VirtualKeyRequired,
    /// There is no such virtual key.
    VirtualKeyUnknown,
    /// A header is missing that the owner requires.
    MissingHeaders {
        /// Their names.
        names: Vec<String>,
    },
    /// A setting that every request needs is wrong.
    Misconfigured {
        /// Which, and why. Never its value.
        hint: String,
    },
    /// The job has begun, and cannot be taken back.
    JobStarted {
        /// Its identifier.
        id: String,
    },
    /// A virtual key, a team or a customer has had all that it may have for now.
    LimitReached(Box<LimitReached>),
    /// Whether limits allow the request cannot be found out; the owner's log says why.
    LimitsUnavailable,
    /// The virtual key may not use the model.
    ModelBlocked {
        /// The model.
        model: String,
        /// Why.
        reason: &'static str,
    },
    /// Only the owner may ask this, and no `ADMIN_TOKEN` is set.
    NoAdminToken,
    /// Only the owner may ask this.
    NotTheOwner,
    /// No key of the provider fits the request.
    NoKey {
        /// Which provider.
        provider: &'static str,
        /// The pool, and why none of its keys fits.
        hint: String,
        /// Whether one would fit, were it not switched off.
        is_off: bool,
    },
    /// No record of that identifier.
    NoSuchLog {
        /// The identifier.
        id: String,
    },
    /// The records cannot be reached; the owner's log says why.
    NoLogs,
    /// There is no virtual key, team or customer of that identifier.
    NoSuchHolder {
        /// Which kind.
        kind: &'static str,
        /// The identifier.
        id: String,
    },
    /// There is no job of that identifier for this caller.
    NoSuchJob {
        /// The identifier.
        id: String,
    },
    /// Jobs cannot be kept just now; the owner's log says why.
    NoJobs {
        /// What to do.
        hint: &'static str,
    },
    /// No model of that name is listed.
    NoSuchModel {
        /// The model as it was named.
        model: String,
    },
    /// No provider of that name exists.
    NoSuchProvider {
        /// The name.
        provider: String,
    },
    /// No response or item of that identifier is stored for this caller.
    NoSuchResponse {
        /// The identifier.
        id: String,
        /// The member that names it.
        param: &'static str,
    },
    /// The caller wants a WebSocket.
    NoWebSocket,
    /// The provider's key or address is not set.
    NotConfigured {
        /// Which provider.
        provider: &'static str,
        /// What to set.
        hint: String,
    },
    /// The virtual key may not use the provider.
    ProviderBlocked {
        /// The provider.
        provider: String,
    },
    /// The target cannot serve this with its meaning kept.
    Refused(Refused),
    /// The database failed; the owner's log says why.
    Store,
    /// The provider did not answer in time.
    TimedOut {
        /// The limit.
        milliseconds: u32,
    },
    /// No such path.
    UnknownRoute {
        /// What was asked with.
        method: String,
        /// The path.
        path: String,
    },
    /// A native path that could lead elsewhere.
    UnsafePath {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The provider could not be reached.
    Unreachable {
        /// Which provider.
        provider: &'static str,
    },
    /// The body is of another kind than JSON.
    UnsupportedMediaType {
        /// Its kind.
        content_type: String,
    },
    /// The provider answered with an error.
    Upstream(Box<UpstreamFailure>),
    /// The provider's answer is not what its API says.
    UpstreamInvalid {
        /// Which provider.
        provider: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitReached {
    /// Whose: `virtual key 'alice'`.
    pub whose: String,
    /// How long it counts: `1M`.
    pub period: String,
    /// How it stands.
    pub reading: Reading,
    /// How all limits of the same stand.
    pub stands: Vec<Reading>,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Whether requests under way have reserved what is left.
    pub is_reserved: bool,
}

impl LimitReached {
    /// In how many seconds a limit begins anew.
    pub fn resets_in(&self, reading: &Reading) -> u64 {
        reading.resets_at_ms.saturating_sub(self.now_ms).div_ceil(1000)
    }

    fn message(&self) -> String {
        let Self { whose, period, reading, .. } = self;
        let limit = match reading.dimension {
            Dimension::Requests => format!("{} requests", reading.max),
            Dimension::Tokens => format!("{} tokens", reading.max),
            Dimension::Cost => format!("{} USD", Money(reading.max)),
        };
        match self.is_reserved {
            true => format!("the {whose} has to wait: requests under way have reserved what is left of its limit of {limit} in {period}"),
            false => format!("the {whose} has used up its limit of {limit} in {period}; it begins anew in {} s", self.resets_in(reading)),
        }
    }
}

/// A provider's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamFailure {
    /// Which provider.
    pub provider: &'static str,
    /// Its status.
    pub status: u16,
    /// What its body says.
    pub error: UpstreamError,
    /// Whether it was asked with the caller's own key.
    pub with_callers_key: bool,
    /// Of its headers, what callers need: when to try again, limits, the request's id.
    pub headers: Vec<(String, String)>,
}

impl Failure {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::ForeignId { .. }
            | Self::Invalid(_)
            | Self::InvalidJson(_)
            | Self::Lossy(_)
            | Self::ModelWithoutProvider { .. }
            | Self::NotConfigured { .. } => 400,
            Self::MissingHeaders { .. } | Self::NoKey { is_off: false, .. } => 400,
            Self::NoSuchProvider { .. } | Self::Refused(_) | Self::UnsafePath { .. } => 400,
            Self::NoSuchHolder { .. }
            | Self::NoSuchJob { .. }
            | Self::NoSuchLog { .. }
            | Self::NoSuchModel { .. }
            | Self::NoSuchResponse { .. }
            | Self::UnknownRoute { .. } => 404,
            Self::NotTheOwner | Self::VirtualKeyRequired => 401,
            Self::LimitReached(reached) => {
                if reached.reading.dimension == Dimension::Cost {
                    402
                } else {
                    429
                }
            }
            Self::NoAdminToken | Self::ModelBlocked { .. } | Self::ProviderBlocked { .. } => 403,
            Self::VirtualKeyBlocked { .. } | Self::VirtualKeyUnknown => 403,
            Self::MethodNotAllowed { .. } => 405,
            Self::JobStarted { .. } => 409,
            Self::BodyTooLarge { .. } => 413,
            Self::NoWebSocket => 426,
            Self::Misconfigured { .. }
            | Self::NoKey { is_off: true, .. }
            | Self::LimitsUnavailable
            | Self::NoJobs { .. }
            | Self::NoLogs
            | Self::Store => 503,
            Self::UnsupportedMediaType { .. } => 415,
            // The gateway's own key was refused: told as 401, the caller would think theirs was.
            Self::Upstream(upstream) if upstream.refuses_our_key() || !(400..600).contains(&upstream.status) => 502,
            Self::Upstream(upstream) => upstream.status,
            Self::Unreachable { .. } | Self::UpstreamInvalid { .. } => 502,
            Self::TimedOut { .. } => 504,
        }
    }

    /// The kind in `x-bf-error-type`; `None` for what the provider itself answered.
    pub fn kind(&self) -> Option<&'static str> {
        Some(match self {
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::ForeignId { .. } => "foreign_id",
            Self::Invalid(_) => "invalid_request",
            Self::InvalidJson(_) => "invalid_json",
            Self::Lossy(_) => "lossy_translation",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::ModelWithoutProvider { .. } => "model_without_provider",
            Self::MissingHeaders { .. } => "missing_header",
            Self::Misconfigured { .. } => "misconfigured",
            Self::LimitReached(reached) => match reached.reading.dimension {
                Dimension::Requests => "rate_limited",
                Dimension::Tokens => "token_limited",
                Dimension::Cost => "budget_exceeded",
            },
            Self::JobStarted { .. } => "job_started",
            Self::LimitsUnavailable => "limits_unavailable",
            Self::NoSuchJob { .. } => "job_not_found",
            Self::NoJobs { .. } => "jobs_unavailable",
            Self::ModelBlocked { .. } => "model_blocked",
            Self::NoSuchHolder { .. } => "not_found",
            Self::ProviderBlocked { .. } => "provider_blocked",
            Self::VirtualKeyBlocked { .. } => "virtual_key_blocked",
            Self::VirtualKeyRequired => "virtual_key_required",
            Self::VirtualKeyUnknown => "virtual_key_not_found",
            Self::NoAdminToken => "no_admin_token",
            Self::NotTheOwner => "wrong_admin_token",
            Self::NoKey { .. } => "no_key",
            Self::NoSuchLog { .. } => "log_not_found",
            Self::NoLogs => "logs_unavailable",
            Self::NoSuchModel { .. } => "model_not_found",
            Self::NoSuchResponse { param: "previous_response_id", .. } => "previous_response_not_found",
            Self::NoSuchResponse { .. } => "response_not_found",
            Self::NoSuchProvider { .. } => "unknown_provider",
            Self::NoWebSocket => "no_websocket",
            Self::NotConfigured { .. } => "provider_not_configured",
            Self::Store => "store_unavailable",
            Self::Refused(_) => "unsupported_parameter",
            Self::TimedOut { .. } => "upstream_timeout",
            Self::UnknownRoute { .. } => "route_not_found",
            Self::UnsafePath { .. } => "unsafe_path",
            Self::Unreachable { .. } => "upstream_unreachable",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::Upstream(upstream) if upstream.refuses_our_key() => "upstream_authentication",
            Self::Upstream(_) => return None,
            Self::UpstreamInvalid { .. } => "upstream_invalid",
        })
    }

    /// The text for people.
    pub fn message(&self) -> String {
        match self {
            Self::BodyTooLarge { limit } => format!("the request body is larger than {limit} bytes (MAX_BODY_BYTES)"),
            Self::ForeignId { message } => message.clone(),
            Self::Invalid(error) if error.path.is_empty() => format!("invalid request: {}", error.message),
            Self::Invalid(error) => format!("invalid value for '{}': {}", error.path, error.message),
            Self::InvalidJson(reason) => format!("the request body is not valid JSON: {reason}"),
            Self::Lossy(losses) => {
                let list: Vec<String> = losses.iter().map(|loss| format!("{} ({})", loss.path, loss.reason)).collect();
                format!("strict mode: this model cannot be given {}", list.join(", "))
            }
            Self::MethodNotAllowed { method, allow } => format!("{method} is not allowed here; use {allow}"),
            Self::ModelWithoutProvider { model } => {
                format!("the model '{model}' names no provider; on this path write provider/model, such as openai/gpt-4o-mini")
            }
            Self::MissingHeaders { names } => format!("required headers are missing: {}", names.join(", ")),
            Self::Misconfigured { hint } => format!("the gateway is not set up right: {hint}"),
            Self::LimitReached(reached) => reached.message(),
            Self::JobStarted { id } => format!("the job '{id}' has begun, and cannot be cancelled any more"),
            Self::NoSuchJob { id } => format!("there is no job '{id}' of yours: it is unknown, has expired, or makes something else than this route"),
            Self::NoJobs { hint } => format!("jobs cannot be kept: {hint}"),
            Self::LimitsUnavailable => "the limits of the virtual key cannot be looked up just now; try again".to_owned(),
            Self::ModelBlocked { model, reason } if model.is_empty() => format!("the virtual key may not use this: {reason}"),
            Self::ModelBlocked { model, reason } => format!("the virtual key may not use the model '{model}': {reason}"),
            Self::NoSuchHolder { kind, id } => format!("there is no {kind} '{id}'; one that was just made may take a minute to show"),
            Self::ProviderBlocked { provider } => format!("the virtual key may not use the provider '{provider}'"),
            Self::VirtualKeyBlocked { reason } => format!("the virtual key {reason}"),
            Self::VirtualKeyRequired => {
                "a virtual key is required: send it as x-bf-vk, or one that begins sk-bf- where your SDK puts its API key".to_owned()
            }
            Self::VirtualKeyUnknown => "the virtual key is not known".to_owned(),
            Self::NoAdminToken => {
                "this is for the gateway's owner; set the secret ADMIN_TOKEN (wrangler secret put ADMIN_TOKEN) to use it".to_owned()
            }
            Self::NotTheOwner => "this is for the gateway's owner: send authorization: Bearer with the ADMIN_TOKEN".to_owned(),
            Self::NoKey { provider, hint, .. } => format!("the provider '{provider}' has no key for this request: {hint}"),
            Self::NoSuchLog { id } => {
                format!("there is no record of the request '{id}': it may be some seconds late, or older than LOG_RETENTION_DAYS")
            }
            Self::NoLogs => "the records cannot be reached; is the D1 database bound, and are its migrations applied (docs/logs.md)?".to_owned(),
            Self::NoSuchModel { model } => format!("the model '{model}' does not exist or no configured provider has it"),
            Self::NoSuchResponse { id, param: "previous_response_id" } => {
                format!("Previous response with id '{id}' not found: it was not stored, has expired, or is another provider's or another key's")
            }
            Self::NoSuchResponse { id, param: "input" } => format!("Item with id '{id}' not found: its response was not stored, or is not yours"),
            Self::NoSuchResponse { id, .. } => format!("Response with id '{id}' not found."),
            Self::NoSuchProvider { provider } => {
                format!("there is no provider '{provider}'; the providers are openai, anthropic, gemini, vertex, azure and ollama")
            }
            Self::NoWebSocket => "websockets are not spoken here; send the request with POST".to_owned(),
            Self::Store => "stored responses cannot be reached just now; try again, or send the whole conversation in 'input'".to_owned(),
            Self::NotConfigured { provider, hint } => format!("the provider '{provider}' is not configured: {hint}"),
            Self::Refused(refused) if refused.path.is_empty() => refused.message.clone(),
            Self::Refused(refused) => format!("'{}' cannot be kept: {}", refused.path, refused.message),
            Self::TimedOut { milliseconds } => format!("the provider did not answer within {milliseconds} ms"),
            Self::UnknownRoute { method, path } => format!("no such route: {method} {path}"),
            Self::UnsafePath { reason } => format!("the path is refused: {reason}"),
            Self::Unreachable { provider } => format!("the provider '{provider}' could not be reached"),
            Self::UnsupportedMediaType { content_type } => format!("the content type '{content_type}' is not supported; send application/json"),
            Self::Upstream(upstream) => upstream.message(),
            Self::UpstreamInvalid { provider, reason } => format!("the provider '{provider}' answered with something unexpected: {reason}"),
        }
    }

    /// The member of the request that is at fault.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Invalid(error) => Some(error.path.as_str()).filter(|path| !path.is_empty()),
            Self::Refused(refused) => Some(refused.path.as_str()).filter(|path| !path.is_empty()),
            Self::Lossy(losses) => losses.iter().next().map(|loss| loss.path.as_str()),
            Self::ModelWithoutProvider { .. }
            | Self::NoSuchModel { .. }
            | Self::NotConfigured { .. }
            | Self::NoKey { .. }
            | Self::ModelBlocked { .. } => Some("model"),
            Self::NoSuchResponse { param, .. } => Some(param),
            Self::Upstream(upstream) => upstream.error.param.as_deref(),
            _ => None,
        }
    }

    /// A finer word for programs.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Upstream(upstream) => upstream.error.code.as_deref().or(upstream.error.kind.as_deref()).or_else(|| self.kind()),
            _ => self.kind(),
        }
    }
}

impl UpstreamFailure {
    fn refuses_our_key(&self) -> bool {
        matches!(self.status, 401 | 403) && !self.with_callers_key
    }

    fn message(&self) -> String {
        let said = self.error.message.as_deref();
        let (provider, status) = (self.provider, self.status);
        match (status, said) {
            // Its own words may hold a part of the key.
            _ if self.refuses_our_key() => {
                format!("the provider '{provider}' refused the gateway's own key (status {status}); the gateway's owner must check it")
            }
            (_, Some(said)) => said.to_owned(),
            (300..=399, None) => format!("the provider '{provider}' answered with a redirect, which is not followed"),
            (_, None) => format!("the provider '{provider}' answered with status {status} and no explanation"),
        }
    }
}

impl From<Invalid> for Failure {
    fn from(error: Invalid) -> Self {
        Self::Invalid(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Invalid(error) => Self::Invalid(error),
            Unreadable::Refused(refused) => Self::Refused(refused),
        }
    }
}
