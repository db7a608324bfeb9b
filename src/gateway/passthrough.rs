//! Native requests: the gateway adds its key and takes a record, and changes nothing else.

use url::Url;

use super::target::Target;
use super::{Answer, Gateway, Outside, Request};
use crate::accounting::Record;
use crate::base::path::checked;
use crate::base::scan::TopLevel;
use crate::http::{Failure, Headers, Pass, PassTo, caller};
use crate::lanes::observe::observe;
use crate::passthrough::{NOT_BACK, is_vertex_path, is_vertex_token, model_of, passes, without_credentials};
use crate::ports::{Metering, Outgoing, SendError, UpstreamRequest};
use crate::providers::{Auth, Endpoint, Secret};

/// The longest answer, in bytes, that is read for its tokens.
const OBSERVED_MAX: usize = 8 << 20;

impl Gateway {
    /// Sends the request on. One record is taken of it, whatever becomes of it.
    pub(super) async fn pass<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        pass: Pass,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let mut record = Record {
            id: request.id.clone(),
            at_ms: outside.now_ms(),
            object: "passthrough",
            method: request.method,
            model: model_of(&pass.path).map(str::to_owned),
            path: pass.path.clone(),
            whole: true,
            ..Record::default()
        };
        let sent = self.pass_on(outside, request, &pass, &mut record).await;
        if !self.config.settings.log_requests {
            return sent.map(|(_, answer)| answer);
        }
        let sink = outside.clone();
        let failed = sent.as_ref().err().map(Failure::status);
        let told = record.method == "POST";
        let mut at_end = move |bytes: Option<Vec<u8>>, size: u64, whole: bool| {
            let observed = bytes.map(|bytes| observe(&bytes, record.stream)).unwrap_or_default();
            record.model = observed.model.or(record.model.take());
            // Who asks for what was made before is told its tokens again.
            record.usage = observed.usage.filter(|_| told);
            record.bytes = Some(size);
            record.whole = whole;
            record.http_status = failed.unwrap_or(record.http_status);
            record.duration_ms = sink.now_ms().saturating_sub(record.at_ms);
            sink.record(&record);
        };
        match sent {
            Ok((metering, Answer::Untouched { status, upstream, without, headers, body })) => {
                let Seen { length, stream, readable } = metering;
                let limit = if readable { OBSERVED_MAX } else { 0 };
                let body = outside.meter(body, Metering { limit, length, stream, at_end: Box::new(at_end) });
                Ok(Answer::Untouched { status, upstream, without, headers, body })
            }
            Ok((_, answer)) => Ok(answer),
            Err(failure) => {
                at_end(None, 0, true);
                Err(failure)
            }
        }
    }

    async fn pass_on<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        pass: &Pass,
        record: &mut Record,
    ) -> Result<(Seen, Answer<O::Body, O::Headers>), Failure> {
        checked(&pass.path).map_err(|why| Failure::UnsafePath { reason: why.0 })?;
        let Request { route, headers, query, method, body, bytes, .. } = request;
        let named = headers.get("x-model-provider");
        let provider = match pass.to {
            PassTo::One(provider) => named.as_deref().unwrap_or(provider),
            PassTo::Google => named.as_deref().unwrap_or_else(|| google(&pass.path, headers, bytes)),
        };
        let candidate = self.of_provider(provider, model_of(&pass.path).unwrap_or_default())?;
        let target = Target {
            provider: candidate.provider,
            account: self.account_once(outside, headers, &candidate)?,
            model: "",
            dialect: route.surface.dialect(),
            with_callers_key: false,
            may_go_on: false,
            timeout_ms: self.config.settings.request_timeout_ms,
        };
        let provider = target.provider.id();
        record.provider = provider;
        let (query, key) = without_credentials(query);
        let direct = if self.config.settings.allow_direct_keys { caller::direct_key(provider, headers, key) } else { None };
        let Endpoint { url, auth, .. } = target.provider.passthrough(&pass.path, &query, &target.account, direct.is_some());
        if !same_host(&url, &target.account.base_url) {
            return Err(Failure::UnsafePath { reason: "it leads to another host" });
        }
        let connection = headers.get("connection").unwrap_or_default();
        let mut sent = headers.with_prefix("");
        sent.retain(|(name, _)| passes(name, &connection));
        sent.extend(match (direct, auth) {
            (Some((name, value)), _) => Some((name.to_owned(), value)),
            (None, Auth::None) => None,
            (None, Auth::Header(name, key)) => Some((name.to_owned(), key.expose().to_owned())),
            (None, Auth::Bearer(key)) => Some(bearer(&key)),
            (None, Auth::GoogleToken) => Some(bearer(&self.google_token(outside, &target).await?)),
        });
        let body = if matches!(method, "GET" | "HEAD") { Outgoing::Nothing } else { Outgoing::Untouched(body) };
        let timeout_ms = self.config.settings.request_timeout_ms;
        let reply = outside.send(UpstreamRequest { method, url, headers: sent, body, timeout_ms }).await.map_err(|error| match error {
            SendError::Unreachable => Failure::Unreachable { provider },
            SendError::TimedOut => Failure::TimedOut { milliseconds: timeout_ms },
        })?;
        let (status, upstream, body) = (reply.status, reply.headers, reply.body);
        if !(200..600).contains(&status) {
            return Err(Failure::UpstreamInvalid { provider, reason: format!("the status {status}") });
        }
        let content_type = upstream.get("content-type").unwrap_or_default().to_ascii_lowercase();
        let length = upstream.get("content-length").and_then(|length| length.parse().ok()).filter(|_| method != "HEAD");
        let stream = content_type.starts_with("text/event-stream");
        (record.stream, record.http_status) = (stream, status);
        let headers = vec![("x-bf-provider", provider.to_owned())];
        let seen = Seen { length, stream, readable: stream || content_type.contains("json") };
        Ok((seen, Answer::Untouched { status, upstream, headers, without: NOT_BACK, body }))
    }
}

/// What the head of an answer says of its body.
struct Seen {
    length: Option<u64>,
    stream: bool,
    /// Whether it may tell tokens.
    readable: bool,
}

fn google(path: &str, headers: &dyn Headers, bytes: &[u8]) -> &'static str {
    let by_token = || headers.get("authorization").is_some_and(|value| is_vertex_token(&value));
    let by_body = || TopLevel::scan(bytes).ok().and_then(|top| top.string("model")).is_some_and(|model| is_vertex_path(&model));
    if is_vertex_path(path) || by_token() || by_body() { "vertex" } else { "gemini" }
}

fn bearer(key: &Secret) -> (String, String) {
    ("authorization".to_owned(), format!("Bearer {}", key.expose()))
}

/// Whatever the path did, the key goes to its provider and to nobody else.
fn same_host(url: &str, base: &str) -> bool {
    let place = |text: &str| {
        Url::parse(text).ok().map(|url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port(), url.username().to_owned()))
    };
    place(url).is_some_and(|found| Some(found) == place(base))
}

/// Whether the body has to be looked at to know whose the request is: only where the path and the headers do not say.
pub(super) fn asks_in_body(pass: &Pass, headers: &dyn Headers) -> bool {
    /// Larger bodies stream.
    const READ_MAX: usize = 1 << 20;
    let is_short = || headers.get("content-length").and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length <= READ_MAX);
    let is_open = pass.to == PassTo::Google && model_of(&pass.path).is_none() && !pass.path.starts_with("/upload/");
    is_open && is_short() && google(&pass.path, headers, b"") == "gemini"
}
