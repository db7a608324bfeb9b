//! The callers' side of async jobs: submitting, polling, taking back. [`super::job_runs`] does them.

use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::entry::Entry;
use super::job_runs::Message;
use super::{Answer, Gateway, Outside, Request};
use crate::base::fields::Invalid;
use crate::base::ids::Seed;
use crate::base::scan::TopLevel;
use crate::base::time::rfc3339;
use crate::dialects::embeddings;
use crate::http::headers::of_job;
use crate::http::{Failure, Generation, Headers, Operation, Route, UpstreamFailure, caller, render};
use crate::ir::{Context, Dialect, NameMap};
use crate::jobs::callback::{self, CALLBACK};
use crate::jobs::skeleton::skeleton;
use crate::jobs::store::{self, Row};
use crate::jobs::{ASYNC, ASYNC_ID, Kind, Status, TTL, is_asked, ttl};
use crate::lanes::hub;
use crate::ports::StoreError;

/// When callers should look again, in seconds.
const LOOK_AGAIN_S: u64 = 2;

fn kind_of(operation: &Operation) -> Option<Kind> {
    Some(match operation {
        Operation::Generate(Generation { dialect: Dialect::Anthropic, .. }) => Kind::Messages,
        Operation::Generate(Generation { dialect: Dialect::OpenAiResponses, .. }) => Kind::Responses,
        Operation::Generate(_) => Kind::Chat,
        Operation::Embed { .. } => Kind::Embeddings,
        _ => return None,
    })
}

pub(super) fn dialect_of(kind: Kind) -> Dialect {
    match kind {
        Kind::Messages => Dialect::Anthropic,
        Kind::Responses => Dialect::OpenAiResponses,
        Kind::Chat | Kind::Embeddings => Dialect::OpenAiChat,
    }
}

impl Gateway {
    /// Whether the request is to be a job.
    pub(super) fn is_submitted<B>(&self, request: &Request<'_, B>) -> Result<bool, Failure> {
        let operation = &request.route.operation;
        let is_asked = request.job.is_none() && is_asked(request.headers.get(ASYNC).as_deref());
        let can_be = matches!(operation, Operation::Submit(_)) || kind_of(operation).is_some();
        match is_asked {
            true if !can_be && request.method == "POST" => {
                Err(Invalid::new(ASYNC, "jobs are for chat completions, responses, messages and embeddings").into())
            }
            is_asked => Ok(is_asked && !matches!(operation, Operation::Submit(_)) && can_be),
        }
    }

    /// The answer to a request that asks how a job stands, before its body is looked at; `None` for any other.
    pub(super) async fn polled<O: Outside>(
        &self,
        outside: &O,
        route: &Route,
        headers: &dyn Headers,
        entry: &Rc<Entry>,
    ) -> Result<Option<Answer<O::Body, O::Headers>>, Failure> {
        let Some(kind) = kind_of(&route.operation) else { return Ok(None) };
        let dialect = dialect_of(kind);
        let Some(id) = headers.get(ASYNC_ID).filter(|id| !id.trim().is_empty()) else { return Ok(None) };
        entry.about_job(&id);
        let (row, status) = self.job(outside, &id, headers).await?;
        let made = Kind::of_word(&row.kind).filter(|made| *made == kind || (*made != Kind::Embeddings && kind != Kind::Embeddings));
        let made = made.ok_or_else(|| Failure::NoSuchJob { id: id.clone() })?;
        let call: store::Call = serde_json::from_str(&row.call).unwrap_or_default();
        let mut told = job_headers(&row.id, status);
        if matches!(status, Status::Queued | Status::Processing) {
            told.push(("retry-after", LOOK_AGAIN_S.to_string()));
            // Whoever polls hears that it is under way.
            let body = skeleton(kind, &row.id, &call.model, row.created_at / 1000, Status::Processing).to_string();
            return Ok(Some(Answer::Json { status: 200, headers: told, body }));
        }
        let body = pieces(outside, &row.id, "result").await?;
        told.extend(stored_headers(&row));
        let http_status = row.http_status.unwrap_or(500);
        let from = dialect_of(made);
        if from == dialect {
            return Ok(Some(Answer::Json { status: http_status, headers: told, body }));
        }
        if status == Status::Failed {
            let error = hub::decode_error(from, body.as_bytes());
            let failure = UpstreamFailure { provider: "job", status: http_status, error, with_callers_key: true, headers: Vec::new() };
            let rendered = render(&Failure::Upstream(Box::new(failure)), dialect, &row.id);
            return Ok(Some(Answer::Json { status: rendered.status, headers: told, body: rendered.body }));
        }
        let context = Context { seed: super::seed(outside), now: outside.now(), model: call.model, echo: Map::new() };
        let (body, _) = hub::translate_reply(from, dialect, body.as_bytes(), &NameMap::default(), &context).map_err(|error| {
            outside.warn(&format!("the answer of {} cannot be read: {}", row.id, error.message));
            Failure::NoSuchJob { id }
        })?;
        Ok(Some(Answer::Json { status: http_status, headers: told, body: body.to_string() }))
    }

    /// A job of this caller's.
    async fn job<O: Outside>(&self, outside: &O, id: &str, headers: &dyn Headers) -> Result<(Row, Status), Failure> {
        let found = outside.texts(&store::find(id, &caller::owner(headers), outside.now_ms())).await.map_err(|error| failed(outside, &error))?;
        let row = found.first().and_then(|json| store::row(json)).ok_or_else(|| Failure::NoSuchJob { id: id.to_owned() })?;
        let status = Status::of_word(&row.status).ok_or_else(|| Failure::NoSuchJob { id: id.to_owned() })?;
        Ok((row, status))
    }

    /// Keeps a request, to be done later.
    pub(super) async fn submit<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        operation: &Operation,
        plainly: bool,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let Some(kind) = kind_of(operation) else { return Err(Invalid::new(ASYNC, "this cannot be a job").into()) };
        if !outside.has_queue() || !outside.has_store() {
            return Err(Failure::NoJobs { hint: "no database DB or no queue JOBS is bound" });
        }
        let top = TopLevel::scan(request.bytes).map_err(Failure::InvalidJson)?;
        let Ok(body) = std::str::from_utf8(request.bytes) else { return Err(Failure::InvalidJson("it is not UTF-8".to_owned())) };
        if top.raw("stream").is_some_and(|raw| raw == "true") {
            return Err(Invalid::new("stream", "an async job cannot be streamed: leave it out, and ask for the answer with x-bf-async-id").into());
        }
        let settings = &self.config.settings;
        let ttl_s = ttl(request.headers.get(TTL).as_deref(), settings.job_ttl_s)?;
        let callback = request.headers.get(CALLBACK).filter(|address| !address.is_empty());
        let callback = callback.map(|address| callback::checked(&address, settings.allow_local_upstream)).transpose();
        let callback = callback.map_err(|why| Invalid::new(CALLBACK, why))?;
        if callback.is_some() && settings.webhook_secret.is_none() {
            return Err(Invalid::new(CALLBACK, "the gateway's owner has set no WEBHOOK_SECRET to sign with").into());
        }
        let deployment = match operation {
            Operation::Generate(Generation { deployment, .. }) | Operation::Embed { deployment } => deployment.as_deref(),
            _ => None,
        };
        let (asked, candidates) = self.asked(outside, request, &top, deployment)?;
        self.check(kind, request.bytes, candidates.first())?;
        for candidate in &candidates {
            if settings.allow_direct_keys && caller::any_direct_key(candidate.provider.id(), request.headers).is_some() {
                let why = "a provider key of your own would have to be stored for it; leave the key out, or the header";
                return Err(Invalid::new(ASYNC, why).into());
            }
            // Whether there is anybody to ask at all.
            let provider = candidate.provider.id();
            if let (true, Err(why)) = (candidates.len() == 1, self.config.pool(candidate.provider)) {
                return Err(Failure::NotConfigured { provider, hint: why.to_string() });
            }
        }
        // Nothing of it is spent now: it is let go of when this answer is out, and reserved again when the job is done.
        self.admit(outside, request, &candidates).await?;

        let id = Seed(outside.bytes()).id("job_");
        let path = match (plainly, kind) {
            (false, _) => request.path,
            (true, Kind::Chat) => "/v1/chat/completions",
            (true, Kind::Responses) => "/v1/responses",
            (true, Kind::Messages) => "/anthropic/v1/messages",
            (true, Kind::Embeddings) => "/v1/embeddings",
        };
        let call = store::Call { path: path.to_owned(), query: request.query.to_owned(), headers: of_job(request.headers), model: asked };
        let now = outside.now_ms();
        let row = Row { id: id.clone(), kind: kind.word().to_owned(), owner: request.owner(), created_at: now, ttl_s, callback, ..Row::default() };
        outside.together(&store::submit(&row, &call, body)).await.map_err(|error| failed(outside, &error))?;
        if let Err(StoreError(why)) = outside.enqueue(&[Message::Do(id.clone()).text()], 0).await {
            outside.warn(&format!("the queue of jobs refuses {id}, which is sent again within two minutes: {why}"));
        }
        request.entry.about_job(&id);
        let mut headers = job_headers(&id, Status::Queued);
        headers.push(("retry-after", LOOK_AGAIN_S.to_string()));
        let (status, body) = match plainly {
            true => (202, json!({"id": id, "status": Status::Queued.told(), "created_at": rfc3339(now / 1000)})),
            false => (200, skeleton(kind, &id, &call.model, now / 1000, Status::Queued)),
        };
        Ok(Answer::Json { status, headers, body: body.to_string() })
    }

    /// Refuses now what would be refused later.
    fn check(&self, kind: Kind, bytes: &[u8], first: Option<&super::candidates::Candidate>) -> Result<(), Failure> {
        let body: Value = serde_json::from_slice(bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
        if kind == Kind::Embeddings {
            embeddings::decode_request(body)?;
            return Ok(());
        }
        let dialect = dialect_of(kind);
        let spoken = first.map_or(&[][..], |first| first.provider.dialects(&first.model));
        match (spoken.contains(&dialect), spoken.first(), first) {
            (false, Some(to), Some(first)) => {
                let mut body = body;
                if let Some(body) = body.as_object_mut() {
                    crate::lanes::identity::GATEWAY_FIELDS.iter().for_each(|key| drop(body.shift_remove(*key)));
                    body.insert("model".to_owned(), first.model.as_str().into());
                }
                hub::translate_request(dialect, *to, body, &first.model).map(drop).map_err(Failure::from)
            }
            _ => hub::check_request(dialect, body).map_err(Failure::from),
        }
    }

    /// `GET /v1/async/jobs/{id}`.
    pub(super) async fn show_job<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        id: &str,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        request.entry.about_job(id);
        let (row, status) = self.job(outside, id, request.headers).await?;
        let time = |ms: u64| rfc3339(ms / 1000);
        let mut told = json!({"id": row.id, "status": status.told(), "created_at": time(row.created_at)});
        let mut headers = job_headers(&row.id, status);
        if matches!(status, Status::Queued | Status::Processing) {
            headers.push(("retry-after", LOOK_AGAIN_S.to_string()));
            return Ok(Answer::Json { status: 202, headers, body: told.to_string() });
        }
        let body = pieces(outside, &row.id, "result").await?;
        let body: Value = serde_json::from_str(&body).unwrap_or(Value::String(body));
        if let Some(told) = told.as_object_mut() {
            told.insert("completed_at".to_owned(), row.completed_at.map(time).into());
            told.insert("expires_at".to_owned(), time(row.expires_at).into());
            told.insert("status_code".to_owned(), row.http_status.into());
            match (status, body) {
                (Status::Completed, result) => drop(told.insert("result".to_owned(), result)),
                (_, Value::Object(mut error)) => drop(told.insert("error".to_owned(), error.shift_remove("error").unwrap_or(Value::Object(error)))),
                (_, error) => drop(told.insert("error".to_owned(), error)),
            }
        }
        Ok(Answer::Json { status: 200, headers, body: told.to_string() })
    }

    /// `DELETE /v1/async/jobs/{id}`.
    pub(super) async fn cancel_job<O: Outside>(&self, outside: &O, request: &Request<'_, O::Body>, id: &str) -> Result<String, Failure> {
        request.entry.about_job(id);
        let (row, _) = self.job(outside, id, request.headers).await?;
        let cancelled = outside.texts(&store::cancel(id, &row.owner, outside.now_ms())).await.map_err(|error| failed(outside, &error))?;
        if cancelled.is_empty() { Err(Failure::JobStarted { id: row.id }) } else { Ok(json!({"id": row.id, "status": "cancelled"}).to_string()) }
    }
}

/// Headers of an answer that a poll tells again.
fn stored_headers(row: &Row) -> Vec<(&'static str, String)> {
    const TOLD: [&str; 9] = [
        "x-bf-provider",
        "x-bf-model",
        "x-bf-attempts",
        "x-bf-fallback-index",
        "x-bf-attempt-status",
        "x-bf-dropped-params",
        "x-bf-error-type",
        "x-bf-cost-usd",
        "x-should-retry",
    ];
    let stored: Vec<(String, String)> = row.headers.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    TOLD.into_iter().filter_map(|name| Some((name, stored.iter().find(|(known, _)| known == name)?.1.clone()))).collect()
}

fn job_headers(id: &str, status: Status) -> Vec<(&'static str, String)> {
    vec![("x-bf-async-id", id.to_owned()), ("x-bf-async-status", status.told().to_owned())]
}

async fn pieces<O: Outside>(outside: &O, id: &str, part: &str) -> Result<String, Failure> {
    Ok(outside.texts(&store::body(id, part)).await.map_err(|error| failed(outside, &error))?.concat())
}

fn failed<O: Outside>(outside: &O, error: &StoreError) -> Failure {
    outside.warn(&format!("jobs: {}", error.0));
    Failure::NoJobs { hint: "the database cannot be reached just now; are its migrations applied (docs/async.md)?" }
}
