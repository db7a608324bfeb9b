//! Asynchronous jobs: submitted, polled, done by the consumer of the queue through the same pipeline as any other request, told of, swept.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::future::{Either, select};
use serde_json::{Map, Value, json};

use super::entry::Entry;
use super::{Answer, Call, Gateway, Job, Notes, Outside, Request};
use crate::base::fields::Invalid;
use crate::base::ids::Seed;
use crate::base::scan::TopLevel;
use crate::base::time::rfc3339;
use crate::dialects::embeddings;
use crate::http::headers::of_job;
use crate::http::{Failure, Generation, Headers, LimitOf, Operation, Route, UpstreamFailure, caller, render, route};
use crate::ir::{Context, Dialect, NameMap};
use crate::jobs::callback::{self, CALLBACK};
use crate::jobs::skeleton::skeleton;
use crate::jobs::store::{self, Row};
use crate::jobs::{ASYNC, ASYNC_ID, ATTEMPTS_MAX, Kind, Status, TTL, delay_s, is_asked, ttl};
use crate::lanes::hub;
use crate::ports::{Outgoing, StoreError, UpstreamRequest};
use crate::routing::retry::{Class, retry_after_ms};

/// When callers should look again, in seconds.
const LOOK_AGAIN_S: u64 = 2;

/// How long somebody who is told of a job may take to answer, in milliseconds.
const CALLBACK_TIMEOUT_MS: u32 = 10_000;

/// How often the end of a job is written, if that fails: what it cost is lost otherwise.
const WRITES: u64 = 4;

/// What becomes of a message of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It is done with.
    Done,
    /// It is to be delivered again after so many seconds.
    Again(u64),
}

/// What a message of the queue says.
pub enum Message {
    /// A job is to be done.
    Do(String),
    /// Somebody is to be told that one is.
    Tell(String),
}

impl Message {
    /// Reads one; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(text).ok()?;
        let id = |key: &str| message.get(key).and_then(Value::as_str).map(str::to_owned);
        id("do").map(Self::Do).or_else(|| id("tell").map(Self::Tell))
    }

    fn text(&self) -> String {
        match self {
            Self::Do(id) => json!({"v": 1, "do": id}).to_string(),
            Self::Tell(id) => json!({"v": 1, "tell": id}).to_string(),
        }
    }
}

/// The headers of a stored call.
struct StoredHeaders(Vec<(String, String)>);

impl Headers for StoredHeaders {
    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        self.0.iter().filter(|(name, _)| name.starts_with(prefix)).cloned().collect()
    }
}

fn kind_of(operation: &Operation) -> Option<(Kind, Dialect)> {
    Some(match operation {
        Operation::Generate(Generation { dialect: Dialect::Anthropic, .. }) => (Kind::Messages, Dialect::Anthropic),
        Operation::Generate(Generation { dialect: Dialect::OpenAiResponses, .. }) => (Kind::Responses, Dialect::OpenAiResponses),
        Operation::Generate(_) => (Kind::Chat, Dialect::OpenAiChat),
        Operation::Embed { .. } => (Kind::Embeddings, Dialect::OpenAiChat),
        _ => return None,
    })
}

fn dialect_of(kind: Kind) -> Dialect {
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
        let Some((kind, dialect)) = kind_of(&route.operation) else { return Ok(None) };
        let Some(id) = headers.get(ASYNC_ID).filter(|id| !id.trim().is_empty()) else { return Ok(None) };
        entry.about_job(&id);
        let (row, status) = self.job(outside, &id, headers).await?;
        let made = Kind::of_word(&row.kind).filter(|made| *made == kind || (*made != Kind::Embeddings && kind != Kind::Embeddings));
        let made = made.ok_or_else(|| Failure::NoSuchJob { id: id.clone() })?;
        let mut told = job_headers(&row.id, status);
        if matches!(status, Status::Queued | Status::Processing) {
            let call: store::Call = serde_json::from_str(&row.call).unwrap_or_default();
            told.push(("retry-after", LOOK_AGAIN_S.to_string()));
            let body = skeleton(kind, &row.id, &call.model, row.created_at / 1000, status).to_string();
            return Ok(Some(Answer::Json { status: 200, headers: told, body }));
        }
        let body = pieces(outside, &row.id, "result").await?;
        told.extend(stored_headers(&row));
        let http_status = row.http_status.unwrap_or(500);
        let call: store::Call = serde_json::from_str(&row.call).unwrap_or_default();
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
        let Some((kind, dialect)) = kind_of(operation) else { return Err(Invalid::new(ASYNC, "this cannot be a job").into()) };
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
        self.check(kind, dialect, request.bytes, candidates.first())?;
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
    fn check(&self, kind: Kind, dialect: Dialect, bytes: &[u8], first: Option<&super::candidates::Candidate>) -> Result<(), Failure> {
        let body: Value = serde_json::from_slice(bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
        if kind == Kind::Embeddings {
            embeddings::decode_request(body)?;
            return Ok(());
        }
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

    /// Does what a message of the queue says.
    pub async fn handle<O: Outside>(&self, outside: &O, message: Message) -> Handled {
        let (id, handled) = match message {
            Message::Do(id) => {
                let handled = self.do_job(outside, &id).await;
                (id, handled)
            }
            Message::Tell(id) => {
                let handled = self.call_back(outside, &id).await;
                (id, handled)
            }
        };
        handled.unwrap_or_else(|StoreError(why)| {
            outside.warn(&format!("the job {id} is tried again later: {why}"));
            Handled::Again(30)
        })
    }

    async fn do_job<O: Outside>(&self, outside: &O, id: &str) -> Result<Handled, StoreError> {
        let (now, timeout_ms) = (outside.now_ms(), u64::from(self.config.settings.job_timeout_ms));
        let claim = Seed(outside.bytes()).id("claim_");
        // An attempt that is cut off from outside is over before anybody else begins.
        let lease_ms = timeout_ms + timeout_ms / 7;
        let claimed = outside.texts(&store::claim(id, &claim, now, now + lease_ms)).await?;
        // Somebody else is at it, or it is done: whoever that is ends it.
        let Some(row) = claimed.first().and_then(|json| store::row(json)) else { return Ok(Handled::Done) };
        let call: store::Call = serde_json::from_str(&row.call).unwrap_or_default();
        let dialect = Kind::of_word(&row.kind).map_or(Dialect::OpenAiChat, dialect_of);
        // Until then nobody else can claim it; then somebody has to.
        let after_lease = |error: StoreError| {
            outside.warn(&format!("the job {id} is claimed anew when its lease ends: {}", error.0));
            Handled::Again(lease_ms / 1000 + 1)
        };
        let asked = store::body(id, "request");
        let body = match stubborn(outside, async || outside.texts(&asked).await).await {
            Ok(pieces) => pieces.concat(),
            Err(error) => return Ok(after_lease(error)),
        };
        let done = match row.attempts > ATTEMPTS_MAX {
            true => Done::failed(&Failure::UpstreamInvalid { provider: "job", reason: format!("{ATTEMPTS_MAX} attempts did not end") }, dialect, id),
            false => {
                let job = Job { id: row.id.clone(), owner: row.owner.clone() };
                let running = std::pin::pin!(self.run(outside, &job, &call, dialect, body));
                // The pipeline's own limit comes before; this is for what hangs in spite of it.
                match select(running, std::pin::pin!(outside.sleep(timeout_ms))).await {
                    Either::Left((done, _)) => done,
                    Either::Right(_) => {
                        let milliseconds = self.config.settings.job_timeout_ms;
                        Done::failed(&Failure::TimedOut { milliseconds }, dialect, id)
                    }
                }
            }
        };
        let now = outside.now_ms();
        if done.may_pass && row.attempts < ATTEMPTS_MAX {
            let wait = delay_s(row.attempts, done.retry_after_s);
            let back = store::put_back(id, &claim, now, now + wait * 1000);
            return Ok(match stubborn(outside, async || outside.texts(&back).await).await {
                Ok(_) => Handled::Again(wait),
                Err(error) => after_lease(error),
            });
        }
        let headers = serde_json::to_string(&done.headers).unwrap_or_default();
        let statements = store::finish(&row, &claim, done.status, &headers, &done.body, now);
        if let Err(error) = stubborn(outside, async || outside.together(&statements).await).await {
            return Ok(after_lease(error));
        }
        if row.callback.is_some()
            && let Err(StoreError(why)) = outside.enqueue(&[Message::Tell(row.id.clone()).text()], 0).await
        {
            outside.warn(&format!("who waits for the job {id} is told later: {why}"));
        }
        Ok(Handled::Done)
    }

    /// The job's request, through the pipeline of any other.
    async fn run<O: Outside>(&self, outside: &O, job: &Job, call: &store::Call, dialect: Dialect, body: String) -> Done {
        let Ok(found) = route("POST", &call.path) else {
            return Done::failed(&Failure::UnknownRoute { method: "POST".to_owned(), path: call.path.clone() }, dialect, &job.id);
        };
        let headers = StoredHeaders(call.headers.clone());
        let notes: RefCell<Notes> = RefCell::default();
        let id = Seed(outside.bytes()).id("req_");
        let bytes = body.into_bytes();
        let request = Call {
            route: found,
            headers: &headers,
            id: id.clone(),
            method: "POST",
            path: &call.path,
            query: &call.query,
            notes: &notes,
            job: Some(job),
        };
        let read = async { Ok((outside.body_of(bytes.clone()), bytes)) };
        let answer = self.serve(outside, request, read).await;
        let mut done = match answer {
            Ok(Answer::Json { status, headers, body }) => Done::answered(status, headers, body),
            Ok(Answer::Untouched { status, upstream, headers, body, .. }) => {
                let limit = self.config.settings.max_body_bytes.max(32 << 20);
                let wait = retry_after_ms(upstream.get("retry-after-ms").as_deref(), upstream.get("retry-after").as_deref());
                match outside.read(body, limit, self.config.settings.request_timeout_ms).await {
                    Ok(bytes) => Done {
                        retry_after_s: wait.map(|ms| ms.div_ceil(1000)),
                        ..Done::answered(status, headers, String::from_utf8_lossy(&bytes).into_owned())
                    },
                    Err(_) => Done::failed(&Failure::UpstreamInvalid { provider: "job", reason: "the answer broke off".to_owned() }, dialect, &id),
                }
            }
            Ok(Answer::Stream { body, .. }) => {
                outside.discard(body);
                Done::failed(&Failure::UpstreamInvalid { provider: "job", reason: "a stream where none was asked for".to_owned() }, dialect, &id)
            }
            Ok(Answer::Text { body, .. }) => Done::answered(200, Vec::new(), body),
            Err(failure) => Done::failed(&failure, dialect, &id),
        };
        done.headers.extend(owned(notes.take()));
        done
    }

    /// Tells somebody that a job is done.
    async fn call_back<O: Outside>(&self, outside: &O, id: &str) -> Result<Handled, StoreError> {
        let Some(secret) = &self.config.settings.webhook_secret else { return Ok(Handled::Done) };
        let now = outside.now_ms();
        // As if this attempt came to nothing: then the next is due.
        let due = |attempts: u64| callback::delay_s(attempts) * 1000;
        let claimed = outside.texts(&store::claim_callback(id, now, now + due(1))).await?;
        let Some(row) = claimed.first().and_then(|json| store::row(json)) else { return Ok(Handled::Done) };
        let body = callback::body(&row);
        let request = UpstreamRequest {
            method: "POST",
            url: row.callback.clone().unwrap_or_default(),
            headers: callback::headers(secret.expose(), id, now / 1000, &body),
            body: Outgoing::Bytes(body.into_bytes()),
            timeout_ms: CALLBACK_TIMEOUT_MS,
        };
        let reply = outside.send(request).await;
        let status = reply.map(|reply| {
            outside.discard(reply.body);
            reply.status
        });
        if status.is_ok_and(|status| (200..300).contains(&status)) {
            outside.texts(&store::called_back(id)).await?;
            return Ok(Handled::Done);
        }
        if row.callback_attempts >= store::CALLBACKS_MAX {
            outside.warn(&format!("nobody could be told that the job {id} is done, in {} attempts", row.callback_attempts));
            outside.texts(&store::called_back(id)).await?;
            return Ok(Handled::Done);
        }
        let wait = due(row.callback_attempts);
        outside.texts(&store::due_callback(id, now + wait)).await?;
        Ok(Handled::Again(wait / 1000))
    }

    /// Sends again what was lost, and deletes what has expired.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep_jobs<O: Outside>(&self, outside: &O) -> Result<(), StoreError> {
        let now = outside.now_ms();
        let lost = outside.texts(&store::lost(now)).await?.into_iter().map(|id| Message::Do(id).text());
        let untold = outside.texts(&store::lost_callbacks(now)).await?.into_iter().map(|id| Message::Tell(id).text());
        let messages: Vec<String> = lost.chain(untold).collect();
        for messages in messages.chunks(100) {
            outside.enqueue(messages, 0).await?;
        }
        while !outside.texts(&store::expire(now)).await?.is_empty() {}
        Ok(())
    }

    /// Ends a job whose message cannot be delivered any more.
    pub async fn give_up_job<O: Outside>(&self, outside: &O, id: &str) {
        let failure = Failure::UpstreamInvalid { provider: "job", reason: "its message could not be delivered".to_owned() };
        let kind = outside.texts(&store::kind(id)).await.unwrap_or_default();
        let dialect = kind.first().and_then(|word| Kind::of_word(word)).map_or(Dialect::OpenAiChat, dialect_of);
        let rendered = render(&failure, dialect, id);
        let given_up = outside.together(&store::give_up(id, outside.now_ms(), rendered.status, &rendered.body)).await;
        if let Err(StoreError(why)) = given_up {
            outside.warn(&format!("the job {id} cannot be given up: {why}"));
        }
    }
}

/// What a job came to.
struct Done {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    retry_after_s: Option<u64>,
    /// Whether another attempt may come to something better.
    may_pass: bool,
}

impl Done {
    fn answered(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Self {
        Self { status, headers: owned(headers), body, retry_after_s: None, may_pass: may_pass(status) }
    }

    fn failed(failure: &Failure, dialect: Dialect, id: &str) -> Self {
        let rendered = render(failure, dialect, id);
        let header = |name: &str| rendered.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let retry_after_s = header("retry-after").and_then(|value| value.parse().ok());
        let may_pass = match failure {
            Failure::Upstream(upstream) => may_pass(upstream.status),
            Failure::LimitReached(reached) => reached.of != LimitOf::Cost,
            Failure::Unreachable { .. } | Failure::TimedOut { .. } | Failure::UpstreamInvalid { .. } => true,
            Failure::LimitsUnavailable | Failure::Store => true,
            _ => false,
        };
        Self { status: rendered.status, retry_after_s, body: rendered.body, headers: rendered.headers, may_pass }
    }
}

/// Whether another attempt, some time later, may come to something better.
fn may_pass(status: u16) -> bool {
    matches!(Class::of_status(status), Class::Passing | Class::Limited) || (matches!(status, 500..=599) && !matches!(status, 501 | 505))
}

/// Does what the database may refuse for a moment, several times if need be.
async fn stubborn<O: Outside, T>(outside: &O, act: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for write in 1..WRITES {
        match act().await {
            Ok(done) => return Ok(done),
            Err(_) => outside.sleep(500 * write * write).await,
        }
    }
    act().await
}

fn owned(headers: Vec<(&'static str, String)>) -> Vec<(String, String)> {
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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
