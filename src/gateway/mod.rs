//! The use cases, over [`crate::ports`]: what happens when a request comes in.

mod accounts;
mod attempts;
mod caller_headers;
mod candidates;
mod choice;
pub mod config;
mod count_tokens;
mod embeddings;
mod entry;
mod google_token;
mod health;
mod holders;
mod infer;
mod issued;
pub mod job_runs;
mod jobs;
mod keyring;
mod limits;
mod models;
mod native;
mod owner;
mod passthrough;
pub mod pools;
mod stored_responses;
mod target;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::base::ids::Seed;
use crate::governance::need::Need;
use crate::http::{Failure, Headers, Operation, Route, Surface, caller, cors};
use crate::ir::Losses;
use crate::ports::{Background, Budgets, Clock, Database, Entropy, IssuedIds, JobQueue, KeyStore, LogSink, ResponseStore, Signer, Upstream};
use crate::routing::circuit::Circuit;

pub use config::{Config, Settings};

/// Everything the outside supplies.
pub trait Outside:
    Background + Budgets + Clock + Entropy + IssuedIds + JobQueue + KeyStore + LogSink + Database + ResponseStore + Signer + Upstream + Clone + 'static
{
}

impl<T> Outside for T where
    T: Background
        + Budgets
        + Clock
        + Entropy
        + IssuedIds
        + JobQueue
        + KeyStore
        + LogSink
        + Database
        + ResponseStore
        + Signer
        + Upstream
        + Clone
        + 'static
{
}

/// The gateway: its settings, and what it remembers between requests.
#[derive(Debug)]
pub struct Gateway {
    /// The settings.
    pub config: Config,
    tokens: RefCell<google_token::Tokens>,
    models: RefCell<Option<models::Listing>>,
    /// By provider and key; only those that something speaks against.
    circuits: RefCell<HashMap<(&'static str, String), Circuit>>,
    prices: accounts::KnownPrices,
    holders: RefCell<holders::Holders>,
    purses: Rc<RefCell<limits::Purses>>,
}

/// What a caller asks, without the body.
pub struct Call<'a> {
    /// What is asked for.
    pub route: Route,
    /// The caller's headers.
    pub headers: &'a dyn Headers,
    /// The identifier to answer with.
    pub id: String,
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The path as it came.
    pub path: &'a str,
    /// The query as it came.
    pub query: &'a str,
    /// What the answer tells besides, whatever it is.
    pub notes: &'a RefCell<Notes>,
    /// The job that it is a part of.
    pub job: Option<&'a Job>,
}

/// A job that is being done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Its identifier.
    pub id: String,
    /// The hash of its caller's virtual key; empty without one.
    pub owner: String,
}

/// A caller's request, with its body.
struct Request<'a, B> {
    route: &'a Route,
    headers: &'a dyn Headers,
    method: &'static str,
    path: &'a str,
    query: &'a str,
    /// The job that it is a part of; the provider is asked for a stream then, and the caller gets it whole.
    job: Option<&'a Job>,
    /// Whether the provider does not stream this, so that a job is to do without.
    unstreamed: Cell<bool>,
    /// The body as it came.
    body: B,
    /// Its bytes, where the operation reads them.
    bytes: &'a [u8],
    notes: &'a RefCell<Notes>,
    /// Whose virtual key it shows.
    holder: Option<Rc<holders::Holder>>,
    /// What it may take at most, where that matters.
    need: Cell<Option<Need>>,
    /// What becomes of it, for its record.
    entry: Rc<entry::Entry>,
}

/// Headers that any answer gets, failures included.
pub type Notes = Vec<(&'static str, String)>;

impl<B> Request<'_, B> {
    /// Whether the provider is asked for a stream whose caller wants none.
    fn gathers(&self) -> bool {
        self.job.is_some() && !self.unstreamed.get()
    }

    /// Under which name the caller's things are kept.
    fn owner(&self) -> String {
        self.job.map_or_else(|| caller::owner(self.headers), |job| job.owner.clone())
    }

    /// Has the answer tell this; what was told before under that name is replaced.
    fn note(&self, name: &'static str, value: String) {
        let mut notes = self.notes.borrow_mut();
        notes.retain(|(known, _)| *known != name);
        notes.push((name, value));
    }

    /// The value of a member of the query, as it came.
    fn query(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    }
}

/// An answer.
#[derive(Debug)]
pub enum Answer<B, H> {
    /// JSON that the gateway wrote.
    Json {
        /// The HTTP status.
        status: u16,
        /// Headers besides the content type.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// Text that the gateway wrote.
    Text {
        /// Headers, the content type among them.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// A stream that the gateway translates.
    Stream {
        /// Headers besides the content type.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: B,
    },
    /// The provider's own answer, untouched.
    Untouched {
        /// The HTTP status.
        status: u16,
        /// Its headers.
        upstream: H,
        /// Those of them that stay here.
        without: &'static [&'static str],
        /// Headers to add.
        headers: Vec<(&'static str, String)>,
        /// Its body.
        body: B,
    },
}

impl Gateway {
    /// A gateway with these settings.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            tokens: RefCell::default(),
            models: RefCell::default(),
            circuits: RefCell::default(),
            prices: Rc::default(),
            holders: RefCell::default(),
            purses: Rc::default(),
        }
    }

    /// Serves a request, whose body comes of `read`, with its bytes where the operation reads them.
    ///
    /// # Errors
    /// A [`Failure`], to be rendered in the caller's dialect.
    pub async fn serve<O: Outside>(
        &self,
        outside: &O,
        call: Call<'_>,
        read: impl Future<Output = Result<(O::Body, Vec<u8>), Failure>>,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let entry = self.open(outside, &call);
        let _staying = Self::stay(outside, &entry);
        let Call { route, headers, method, path, query, notes, job, .. } = call;
        let (mut sent, surface) = (None, route.surface);
        let answer = async {
            let holder = match job {
                Some(Job { owner, .. }) if owner.is_empty() => None,
                // Its key was shown when it was submitted.
                Some(Job { owner, .. }) => Some(self.holder_of(outside, owner).await?),
                None if is_governed(&route.operation) => self.holder(outside, headers).await?,
                None => None,
            };
            if let Some(holder) = &holder {
                entry.held_by(holder);
            }
            if let Some(polled) = self.polled(outside, &route, headers, &entry).await? {
                return Ok(polled);
            }
            let (body, bytes) = read.await?;
            entry.came_with(&bytes, headers, self.config.settings.log_content);
            sent = Some(body.clone()).filter(|_| !bytes.is_empty());
            let (need, unstreamed) = (Cell::default(), Cell::default());
            let request = Request {
                route: &route,
                headers,
                method,
                path,
                query,
                job,
                unstreamed,
                body,
                bytes: &bytes,
                notes,
                holder,
                need,
                entry: Rc::clone(&entry),
            };
            self.operate(outside, request).await
        };
        let result = answer.await;
        self.close(outside, entry, surface, sent, result).await
    }

    async fn operate<O: Outside>(&self, outside: &O, request: Request<'_, O::Body>) -> Result<Answer<O::Body, O::Headers>, Failure> {
        // Of a job they were there when it was submitted.
        if is_governed(&request.route.operation) && request.job.is_none() {
            self.require_headers(request.headers)?;
        }
        if self.is_submitted(&request)? {
            let operation = request.route.operation.clone();
            return self.submit(outside, &request, &operation, false).await;
        }
        match request.route.operation.clone() {
            Operation::Submit(operation) => self.submit(outside, &request, &operation, true).await,
            Operation::Job(id) => self.show_job(outside, &request, &id).await,
            Operation::CancelJob(id) => self.cancel_job(outside, &request, &id).await.map(json),
            Operation::Generate(generation) => self.infer(outside, request, generation).await,
            Operation::CountTokens => self.count_tokens(outside, request).await,
            Operation::InputTokens => self.count_input_tokens(outside, request).await,
            Operation::Embed { deployment } => self.embed(outside, request, deployment).await,
            Operation::Stored { id, action } => self.stored(outside, request, &id, action).await,
            Operation::Pass(pass) => self.pass(outside, request, pass).await,
            Operation::Native(native) => self.native(outside, request, native).await,
            Operation::WebSocket => Err(Failure::NoWebSocket),
            Operation::Models => Ok(json(self.list_models(outside, &request).await)),
            Operation::Model(name) => self.find_model(outside, &request, &name).await.map(json),
            Operation::Quota => self.quota(outside, &request).await.map(json),
            Operation::Health => self.health(outside, &request).map(json),
            Operation::About => Ok(json(about())),
            Operation::Owner(asked) => self.owner(outside, &request, asked).await,
        }
    }

    fn require_headers(&self, headers: &dyn Headers) -> Result<(), Failure> {
        let required = self.config.settings.required_headers.iter();
        let names: Vec<String> = required.filter(|name| headers.get(name).is_none_or(|value| value.is_empty())).cloned().collect();
        if names.is_empty() { Ok(()) } else { Err(Failure::MissingHeaders { names }) }
    }

    /// Whether the operation reads its body, as JSON. What is not read goes through as it comes.
    pub fn reads_body(&self, operation: &Operation, headers: &dyn Headers) -> bool {
        let is_json = || headers.get("content-type").is_some_and(|kind| is_json(&kind));
        match operation {
            Operation::Native(_) => is_json(),
            // Whoever may not use everything has to say what.
            Operation::Pass(pass) => {
                let keeps_it = || {
                    self.config.settings.log_content
                        && length(headers).is_some_and(|length| length <= NOTED_MAX.min(self.config.settings.max_body_bytes as u64))
                };
                is_json() && (passthrough::asks_in_body(pass, headers) || caller::virtual_key(headers).is_some() || keeps_it())
            }
            other => other.takes_json(),
        }
    }

    /// Headers for a browser's page.
    pub fn cors(&self, origin: Option<&str>) -> Vec<(&'static str, String)> {
        cors::answer(origin, &self.config.settings.allowed_origins)
    }
}

/// The longest native body, in bytes, that is read for nothing but its place in the record.
const NOTED_MAX: u64 = 1 << 20;

/// How long a body is, if its head says so.
fn length(headers: &dyn Headers) -> Option<u64> {
    headers.get("content-length")?.parse().ok()
}

/// Whether a virtual key says who may do it.
fn is_governed(operation: &Operation) -> bool {
    !matches!(operation, Operation::Health | Operation::About | Operation::Owner(_))
}

/// Whether a content type is JSON's.
pub fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// The surface whose shape an unreadable path's error takes.
pub fn surface_of(route: &Result<Route, (Surface, Failure)>) -> Surface {
    match route {
        Ok(route) => route.surface,
        Err((surface, _)) => *surface,
    }
}

fn json<B, H>(body: String) -> Answer<B, H> {
    Answer::Json { status: 200, headers: Vec::new(), body }
}

fn about() -> String {
    serde_json::json!({
        "name": "FinOps Gateway",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Point an OpenAI SDK at {this address}/openai, an Anthropic SDK at {this address}/anthropic, and name models as provider/model.",
        "providers": crate::providers::ALL.map(|provider| provider.id()),
    })
    .to_string()
}

/// The request's identifiers derive from fresh entropy.
fn seed<O: Outside>(outside: &O) -> Seed {
    Seed(outside.bytes())
}

/// `x-bf-dropped-params`: the paths that were lost, each once, as far as a header carries them.
fn dropped(losses: &Losses) -> Option<(&'static str, String)> {
    const MAX: usize = 2000;
    let mut paths: Vec<&str> = Vec::new();
    let mut length = 0;
    for loss in losses.iter() {
        // Paths come from the caller's own member names, which may hold what a header cannot.
        let fits = loss.path.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b',');
        if paths.contains(&loss.path.as_str()) || !fits {
            continue;
        }
        length += loss.path.len() + 1;
        if length > MAX {
            paths.push("...");
            break;
        }
        paths.push(&loss.path);
    }
    (!losses.is_empty()).then(|| ("x-bf-dropped-params", if paths.is_empty() { "...".to_owned() } else { paths.join(",") }))
}
