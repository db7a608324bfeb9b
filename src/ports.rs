//! What the outside must supply. The use cases know these traits only; the worker implements them over Cloudflare's APIs.

#![allow(async_fn_in_trait)] // One thread, and nobody implements these outside this package.

use std::pin::Pin;

use crate::base::sql::Statement;
use crate::governance::message::{Message, Reply};
use crate::http::Headers;
use crate::lanes::stream::Machine;
use crate::lanes::tally::Tally;

/// The time.
pub trait Clock {
    /// Seconds since 1970.
    fn now(&self) -> u64 {
        self.now_ms() / 1000
    }

    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Waits.
    async fn sleep(&self, milliseconds: u64);
}

/// Randomness.
pub trait Entropy {
    /// Bytes that nobody can guess.
    fn bytes(&self) -> [u8; 16];
}

/// Signing with a private key.
pub trait Signer {
    /// RSASSA-PKCS1-v1_5 with SHA-256 over `data`, with a key in PKCS #8 DER.
    ///
    /// # Errors
    /// When the key is none.
    async fn sign_rs256(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, BadKey>;
}

/// The key cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

/// Where lines for the operator go.
pub trait LogSink {
    /// One line.
    fn warn(&self, line: &str);

    /// Keeps the record of a request that is over. Returns at once; it is sent on afterwards, together with others.
    fn log(&self, entry: LogEntry);
}

/// The record of a request, as it goes to each place. All are JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// For the console: one line, and nothing that was said.
    pub line: String,
    /// For the table of logs, where that is another.
    pub stored: Option<String>,
    /// For the collector of traces.
    pub span: Option<Span>,
}

/// A span for a collector of traces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// Where to, and with which headers.
    pub endpoint: String,
    /// Headers of the collector.
    pub headers: Vec<(String, String)>,
    /// OTLP's JSON of the span.
    pub json: String,
}

/// The owner's key-value store.
pub trait KeyStore {
    /// The value of that name. A store that is not there holds nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn value(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Names and values of all whose name begins so, as they are now.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn values(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError>;

    /// Puts a value there.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError>;

    /// Takes it away.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remove(&self, name: &str) -> Result<(), StoreError>;
}

/// The nodes that count what virtual keys, teams and customers spend.
pub trait Budgets {
    /// Tells a node something, and hears its answer.
    ///
    /// # Errors
    /// [`StoreError`]; whether the node heard it is not known then.
    async fn tell(&self, node: &str, message: &Message) -> Result<Reply, StoreError>;
}

/// The owner's database.
pub trait Database {
    /// Carries a statement out: the first column of every row that it gives, as text.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn texts(&self, statement: &Statement) -> Result<Vec<String>, StoreError>;

    /// Carries all of them out or none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn together(&self, statements: &[Statement]) -> Result<(), StoreError>;
}

/// The queue of jobs.
pub trait JobQueue {
    /// Whether there is one.
    fn has_queue(&self) -> bool;

    /// Sends messages, to be delivered after some seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn enqueue(&self, messages: &[String], delay_s: u64) -> Result<(), StoreError>;
}

/// Where responses are kept that callers may come back to.
pub trait ResponseStore {
    /// Whether there is such a place.
    fn has_store(&self) -> bool;

    /// Keeps a response.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn keep(&self, response: StoredResponse) -> Result<(), StoreError>;

    /// The owner's response of that identifier after those that led to it, oldest first; empty when it is unknown or expired
    /// at `now`. Where one is missing, the list begins after it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn chain(&self, owner: &str, id: &str, now: u64) -> Result<Vec<StoredResponse>, StoreError>;

    /// The owner's response of that identifier, unless it is unknown or expired at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find(&self, owner: &str, id: &str, now: u64) -> Result<Option<StoredResponse>, StoreError>;

    /// Forgets a response.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn forget(&self, owner: &str, id: &str) -> Result<(), StoreError>;
}

/// A response with what it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// Its identifier.
    pub id: String,
    /// Whose it is: the hash of a virtual key, or empty.
    pub owner: String,
    /// The response that it continues.
    pub previous: Option<String>,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970.
    pub expires_at: u64,
    /// The items that it answers, a JSON list.
    pub input: String,
    /// The response object, in JSON.
    pub body: String,
}

/// Why the store failed, for the owner's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(pub String);

/// Whose identifiers are, where several providers could have given them out.
pub trait IssuedIds {
    /// Notes who gave these out, until `expires_at` (seconds since 1970).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn note_issuer(&self, provider: &'static str, ids: &[String], now: u64, expires_at: u64) -> Result<(), StoreError>;

    /// Those of the identifiers that are known, with the provider that gave each out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn issuers(&self, ids: &[String]) -> Result<Vec<(String, String)>, StoreError>;
}

/// Work that the answer does not wait for.
pub trait Background {
    /// Keeps a request alive as long as this lives.
    type Stay: 'static;

    /// Does it, even when the answer is out.
    fn spawn(&self, task: Task);

    /// Keeps the request going while its caller may leave: the runtime drops what nobody waits for.
    fn stay(&self) -> Self::Stay;
}

/// Work that is done in its own time.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The network.
pub trait Upstream {
    /// A body that is not read: bytes that need no change are never touched. Its copy is another handle.
    type Body: Clone;
    /// Headers of an answer.
    type Headers: Headers;

    /// Sends a request; ready when the answer's head is there. Redirects are not followed.
    ///
    /// # Errors
    /// [`SendError`].
    async fn send(&self, request: UpstreamRequest<Self::Body>) -> Result<UpstreamReply<Self::Body, Self::Headers>, SendError>;

    /// Reads a body whole, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn read(&self, body: Self::Body, limit: usize, timeout_ms: u32) -> Result<Vec<u8>, ReadError>;

    /// Reads a caller's body until `enough` says so of the bytes so far, its end, or at least `limit` bytes; gives back what was read and
    /// the rest.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn peek(
        &self,
        body: Self::Body,
        limit: usize,
        timeout_ms: u32,
        enough: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(Vec<u8>, Self::Body), ReadError>;

    /// Looks at a provider's answer until `enough` says so of the bytes so far, its end, or at least `limit` bytes; gives back what
    /// was seen, and the answer, whole. One that will be translated need not be copied for that.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn glance(
        &self,
        body: Self::Body,
        goes_on: GoesOn,
        limit: usize,
        timeout_ms: u32,
        enough: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(Vec<u8>, Self::Body), ReadError>;

    /// Lets go of a body that nobody will read.
    fn discard(&self, body: Self::Body);

    /// A body of these bytes.
    fn body_of(&self, bytes: Vec<u8>) -> Self::Body;

    /// Reads an answer whole, if it has at most `limit` bytes, and gives it back to be sent on. A longer one comes back unread.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn whole(&self, body: Self::Body, limit: usize, timeout_ms: u32) -> Result<(Option<Vec<u8>>, Self::Body), ReadError>;

    /// The same body, a copy of which is read when it has gone through. When its reader goes away, `body` is cancelled.
    fn meter(&self, body: Self::Body, metering: Metering) -> Self::Body;

    /// The body that `machine` makes of `body`, chunk by chunk as they come. When the reader of it goes away, `body` is
    /// cancelled. Silence longer than `idle_ms` ends it.
    fn translate(&self, body: Self::Body, machine: Box<dyn Machine>, idle_ms: u32, ends: Ends) -> Self::Body;
}

/// What becomes of an answer that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// It goes through as it came.
    Untouched,
    /// It is translated, or read.
    Translated,
}

/// Who is told of the end of a translated stream.
#[derive(Default)]
pub struct Ends {
    /// Given the whole answer, where the translator has it, before the last bytes go out.
    pub before: Option<AtEnd>,
    /// Told what was told, and how it ended.
    pub after: Option<Box<dyn FnOnce(Tally, Ended)>>,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It reached its reader whole.
    Whole,
    /// Its reader went away.
    Left,
    /// The provider broke off.
    Broken,
}

/// How an answer is read that goes through untouched.
pub struct Metering {
    /// The longest that is kept, in bytes; of a longer one its beginning and its end are. 0: nothing is.
    pub limit: usize,
    /// Its length in bytes, where its head says so.
    pub length: Option<u64>,
    /// Whether it is a stream of events, which comes in many pieces.
    pub stream: bool,
    /// Told what was kept of it, its size in bytes, and how it ended.
    pub at_end: Told,
}

/// Who is told of an answer's end.
pub type Told = Box<dyn FnOnce(Option<Vec<u8>>, u64, Ended)>;

/// What is done with a streamed answer before its end is told.
pub type AtEnd = Box<dyn FnOnce(serde_json::Value) -> Pin<Box<dyn Future<Output = ()>>>>;

/// A request to a provider.
#[derive(Debug)]
pub struct UpstreamRequest<B> {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// The address.
    pub url: String,
    /// The headers, credentials included.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Outgoing<B>,
    /// How long the answer's head may take.
    pub timeout_ms: u32,
}

/// What is sent.
#[derive(Debug)]
pub enum Outgoing<B> {
    /// Nothing.
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The caller's own body, as it came.
    Untouched(B),
    /// These bytes, then the rest of the caller's body as it comes.
    Continued {
        /// What comes first.
        head: Vec<u8>,
        /// What follows.
        rest: B,
        /// The length of both, if it is known.
        length: Option<u64>,
    },
}

/// A provider's answer.
#[derive(Debug)]
pub struct UpstreamReply<B, H> {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: H,
    /// Its body; `None` where there can be none.
    pub body: B,
}

impl<B, H: Headers> UpstreamReply<B, H> {
    /// Whether it is a stream of events.
    pub fn is_event_stream(&self) -> bool {
        self.headers.get("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/event-stream"))
    }
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// Nobody answered there.
    Unreachable,
    /// The head did not come in time.
    TimedOut,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// It is larger than it may be.
    TooLarge,
    /// The connection failed.
    Broken,
    /// Its end did not come in time.
    TimedOut,
}
