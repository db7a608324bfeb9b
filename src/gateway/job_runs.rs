//! The consumer's side of async jobs: doing them through the pipeline of any other request, telling who asked to be told, sweeping.

use std::cell::RefCell;

use futures_util::future::{Either, select};
use serde_json::{Value, json};

use super::jobs::dialect_of;
use super::{Answer, Call, Gateway, Job, Notes, Outside};
use crate::base::ids::Seed;
use crate::governance::Dimension;
use crate::http::{Failure, Headers, render, route};
use crate::ir::Dialect;
use crate::jobs::{ATTEMPTS_MAX, Kind, callback, delay_s, store};
use crate::ports::{Outgoing, StoreError, UpstreamRequest};
use crate::routing::retry::{Class, retry_after_ms};

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

    pub(super) fn text(&self) -> String {
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

impl Gateway {
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
            Failure::LimitReached(reached) => reached.reading.dimension != Dimension::Cost,
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
