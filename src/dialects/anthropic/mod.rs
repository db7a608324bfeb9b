//! Anthropic Messages.
//!
//! Request and reply: <https://docs.anthropic.com/en/api/messages>, stream:
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>, thinking:
//! <https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking>. Artefacts of other providers travel in
//! `thinking.signature`, tagged with their issuer. The field table and the known losses are in `docs/anthropic.md`.

mod decode_reply;
mod decode_request;
mod decode_stream;
mod encode_reply;
mod encode_request;
mod encode_stream;
mod error;
mod models;
mod thinking;
mod words;

pub use decode_reply::decode_reply;
pub use decode_request::decode_request;
pub use decode_stream::Decoder;
pub use encode_reply::encode_reply;
pub use encode_request::encode_request;
pub use encode_stream::Encoder;
pub use error::{decode_error, encode_error};
pub use words::update_usage;
