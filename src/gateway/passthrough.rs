//! Native requests: the gateway adds its key and takes a record, and changes nothing else.

use url::Url;

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
    pub(super) async fn pass<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        pass: Pass,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let begun = outside.now_ms();
        checked(&pass.path).map_err(|why| Failure::UnsafePath { reason: why.0 })?;
        let Request { headers, query, method, body, bytes, id, .. } = request;
        let dialect = request.route.surface.dialect();
        let named = headers.get("x-model-provider");
        let provider = match pass.to {
            PassTo::One(provider) => named.as_deref().unwrap_or(provider),
            PassTo::Google => named.as_deref().unwrap_or_else(|| google(&pass.path, headers, bytes)),
        };
        let target = self.target_of(provider, dialect, "")?;
        let endpoint = target.provider.passthrough(&pass.path, &without_credentials(query), target.account);
        if !same_host(&endpoint.url, &target.account.base_url) {
            return Err(Failure::UnsafePath { reason: "it leads to another host" });
        }
        let Endpoint { url, auth, .. } = endpoint;
        let direct = if self.config.settings.allow_direct_keys && target.provider.id() != "azure" { caller::direct_key(headers) } else { None };
        let connection = headers.get("connection").unwrap_or_default();
        let mut sent = headers.with_prefix("");
        sent.retain(|(name, _)| passes(name, &connection));
        sent.extend(match (auth, direct.map(Secret::new)) {
            (Auth::None, _) => None,
            // An OAuth token is a bearer's, whatever else a key would be.
            (_, Some(token)) if token.expose().starts_with("ya29.") => Some(bearer(&token)),
            (Auth::Header(name, key), direct) => Some((name.to_owned(), direct.unwrap_or(key).expose().to_owned())),
            (Auth::Bearer(key), direct) => Some(bearer(&direct.unwrap_or(key))),
            (Auth::GoogleToken, _) => Some(bearer(&self.google_token(outside, &target).await?)),
        });
        let body = match (method, bytes.is_empty()) {
            ("GET" | "HEAD", _) => Outgoing::Nothing,
            _ => Outgoing::Untouched(body),
        };
        let timeout_ms = self.config.settings.request_timeout_ms;
        let upstream = UpstreamRequest { method, url, headers: sent, body, timeout_ms };
        let reply = outside.send(upstream).await.map_err(|error| match error {
            SendError::Unreachable => Failure::Unreachable { provider: target.provider.id() },
            SendError::TimedOut => Failure::TimedOut { milliseconds: timeout_ms },
        })?;
        let provider = target.provider.id();
        let status = reply.status;
        let (upstream, body) = (reply.headers, reply.body);
        let content_type = upstream.get("content-type").unwrap_or_default().to_ascii_lowercase();
        let length = upstream.get("content-length").and_then(|length| length.parse::<u64>().ok());
        let answer = |body| {
            let headers = vec![("x-bf-provider", provider.to_owned())];
            Ok(Answer::Untouched { status, upstream, headers, without: NOT_BACK, body })
        };
        if !self.config.settings.log_requests {
            return answer(body);
        }
        let stream = content_type.starts_with("text/event-stream");
        let mut record = Record {
            id,
            at_ms: begun,
            object: "passthrough",
            provider,
            method,
            model: model_of(&pass.path).map(str::to_owned),
            path: pass.path,
            http_status: status,
            stream,
            whole: true,
            bytes: length,
            ..Record::default()
        };
        let readable = stream || (content_type.contains("json") && length.is_none_or(|length| length <= OBSERVED_MAX as u64));
        let sink = outside.clone();
        let mut at_end = move |bytes: Option<Vec<u8>>, whole: bool| {
            if let Some(bytes) = bytes {
                let observed = observe(&bytes, stream);
                record.model = observed.model.or(record.model.take());
                record.usage = observed.usage;
                record.bytes = record.bytes.or(whole.then_some(bytes.len() as u64));
            }
            record.whole = whole;
            record.duration_ms = sink.now_ms().saturating_sub(record.at_ms);
            sink.record(&record);
        };
        if !readable || method == "HEAD" {
            at_end(None, true);
            return answer(body);
        }
        let metering = Metering { limit: OBSERVED_MAX, length, stream, at_end: Box::new(at_end) };
        answer(outside.meter(body, metering))
    }
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
    pass.to == PassTo::Google && google(&pass.path, headers, b"") == "gemini" && model_of(&pass.path).is_none()
}
