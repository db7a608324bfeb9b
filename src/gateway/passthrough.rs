//! Native requests: the gateway adds its key and changes nothing else.

use std::rc::Rc;

use url::Url;

use super::limits::refuse_second_names;
use super::target::Target;
use super::{Answer, Gateway, Outside, Request};
use crate::base::multipart;
use crate::base::path::checked;
use crate::base::scan::TopLevel;
use crate::base::text::percent_decoded;
use crate::http::{Failure, Headers, Pass, PassTo, caller};
use crate::ir::Dialect;
use crate::passthrough::{NOT_BACK, is_vertex_path, is_vertex_token, model_of, passes, without_credentials};
use crate::ports::{Outgoing, SendError, UpstreamRequest};
use crate::providers::{Auth, Endpoint, Secret};

impl Gateway {
    /// Sends the request on.
    pub(super) async fn pass<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        pass: Pass,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        checked(&pass.path).map_err(|why| Failure::UnsafePath { reason: why.0 })?;
        let Request { route, headers, query, method, bytes, ref body, .. } = request;
        let entry = Rc::clone(&request.entry);
        let (model, outgoing) = self.asked_natively(outside, &request, &pass, body.clone()).await?;
        let model = model.as_str();
        entry.asked(model);
        let named = headers.get("x-model-provider");
        let provider = match pass.to {
            PassTo::One(provider) => named.as_deref().unwrap_or(provider),
            PassTo::Google => named.as_deref().unwrap_or_else(|| google(&pass.path, headers, bytes)),
        };
        let candidate = self.permitted(&request, self.of_provider(provider, model)?)?;
        self.refuse_what_spends_later(&request, &pass.path)?;
        let (account, key_name) = self.account_once(outside, headers, &candidate)?;
        let target = Target {
            provider: candidate.provider,
            account,
            model,
            dialect: dialect_of(&pass.path).unwrap_or(route.surface.dialect()),
            with_callers_key: false,
            may_go_on: false,
            timeout_ms: self.config.settings.request_timeout_ms,
            until_ms: 0,
        };
        let provider = target.provider.id();
        let (query, key) = without_credentials(query);
        let direct = if self.config.settings.allow_direct_keys { caller::direct_key(provider, headers, key) } else { None };
        entry.record.borrow_mut().dialect_in = Some(target.dialect.name());
        entry.sent_to(&target, key_name.filter(|_| direct.is_none()));
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
        let body = if matches!(method, "GET" | "HEAD") { Outgoing::Nothing } else { outgoing };
        let timeout_ms = self.config.settings.request_timeout_ms;
        self.admit(outside, &request, std::slice::from_ref(&candidate)).await?;
        entry.tried(1, 0);
        entry.sent();
        let reply = outside.send(UpstreamRequest { method, url, headers: sent, body, timeout_ms }).await.map_err(|error| match error {
            SendError::Unreachable => Failure::Unreachable { provider },
            SendError::TimedOut => Failure::TimedOut { milliseconds: timeout_ms },
        })?;
        let (status, upstream, body) = (reply.status, reply.headers, reply.body);
        if !(200..600).contains(&status) {
            return Err(Failure::UpstreamInvalid { provider, reason: format!("the status {status}") });
        }
        let headers = vec![("x-bf-provider", provider.to_owned())];
        Ok(Answer::Untouched { status, upstream, headers, without: NOT_BACK, body })
    }
}

impl Gateway {
    /// The model that a native request names, and its body, of which as little is read as that takes. What the path does not say
    /// matters only where a virtual key is for some models or has limits.
    async fn asked_natively<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        pass: &Pass,
        body: O::Body,
    ) -> Result<(String, Outgoing<O::Body>), Failure> {
        let in_path = model_of(&pass.path).map(percent_decoded);
        if request.holder.is_none() {
            return Ok((in_path.unwrap_or_default(), Outgoing::Untouched(body)));
        }
        if is_disguised(&pass.path) {
            return Err(Failure::UnsafePath {
                reason: "with a virtual key, letters are not percent-encoded, and the words of the path are in their own case",
            });
        }
        if request.method != "POST" {
            return Ok((in_path.unwrap_or_default(), Outgoing::Untouched(body)));
        }
        let believes_body = believes_body(pass);
        if let Ok(top) = TopLevel::scan(request.bytes) {
            refuse_second_names(request, &top)?;
            let is_embedding = pass.path.ends_with("/embeddings")
                || pass.path.rsplit(':').next().is_some_and(|deed| deed.starts_with("embed") || deed.starts_with("batchEmbed"));
            let writes = !(is_embedding || ["/moderations", "/audio/"].iter().any(|part| pass.path.contains(part)));
            self.note_need(request, |key| top.raw(key), writes);
            let in_body = || {
                top.string("model")
                    .filter(|_| believes_body)
                    .map(|name| name.rsplit_once("models/").map_or(name.clone(), |(_, model)| model.to_owned()))
            };
            return Ok((in_path.or_else(in_body).unwrap_or_default(), Outgoing::Untouched(body)));
        }
        let content_type = request.headers.get("content-type").filter(|_| in_path.is_none() && believes_body);
        let Some(boundary) = content_type.as_deref().and_then(multipart::boundary) else {
            return Ok((in_path.unwrap_or_default(), Outgoing::Untouched(body)));
        };
        let (head, at, rest) = self.read_form(outside, body, boundary, true).await?;
        let model = at.and_then(|at| head.get(at)).map(|model| String::from_utf8_lossy(model).into_owned());
        let length = request.headers.get("content-length").and_then(|length| length.parse().ok());
        Ok((model.unwrap_or_default(), Outgoing::Continued { head, rest, length }))
    }
}

/// Whether the body's model is the one that answers: Google and Azure's deployments go by the path.
fn believes_body(pass: &Pass) -> bool {
    let last = pass.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match pass.to {
        PassTo::Google => !last.contains(':') && !pass.path.contains("/endpoints/"),
        PassTo::One("azure") => ["/openai/v1/", "/openai/responses", "/anthropic/", "/v1/"].iter().any(|start| pass.path.starts_with(start)),
        PassTo::One(_) => true,
    }
}

/// Whether a path hides what it asks for from who reads it as it stands.
fn is_disguised(path: &str) -> bool {
    let is_plain =
        |pair: &str| u8::from_str_radix(pair, 16).is_ok_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'));
    let encodes_letters = path.split('%').skip(1).any(|rest| rest.get(..2).is_none_or(is_plain));
    let lower = path.to_ascii_lowercase();
    let words = [("/models/", "/models/"), ("/tunedmodels/", "/tunedModels/"), ("/deployments/", "/deployments/"), ("/endpoints/", "/endpoints/")];
    encodes_letters || words.iter().any(|(any, own)| lower.matches(any).count() != path.matches(own).count())
}

/// The dialect that a native path is of, where that shows.
fn dialect_of(path: &str) -> Option<Dialect> {
    const SIGNS: [(&str, Dialect); 5] = [
        ("/chat/completions", Dialect::OpenAiChat),
        ("/responses", Dialect::OpenAiResponses),
        ("/messages", Dialect::Anthropic),
        ("rawPredict", Dialect::Anthropic),
        ("enerateContent", Dialect::Gemini),
    ];
    SIGNS.iter().find(|(sign, _)| path.contains(sign)).map(|(_, dialect)| *dialect)
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
