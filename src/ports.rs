//! What the outside must supply. The use cases know these traits only; the worker implements them over Cloudflare's APIs.

#![allow(async_fn_in_trait)] // One thread, and nobody implements these outside this package.

use crate::http::Headers;
use crate::lanes::stream::Translator;

/// The time.
pub trait Clock {
    /// Seconds since 1970.
    fn now(&self) -> u64;
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
}

/// The network.
pub trait Upstream {
    /// A body that is not read: bytes that need no change are never touched.
    type Body;
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

    /// The body that `translator` makes of `body`, chunk by chunk as they come. When the reader of it goes away, `body` is
    /// cancelled. Silence longer than `idle_ms` ends it.
    fn translate(&self, body: Self::Body, translator: Translator, idle_ms: u32) -> Self::Body;
}

/// A request to a provider.
#[derive(Debug)]
pub struct UpstreamRequest<B> {
    /// `GET` or `POST`.
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
