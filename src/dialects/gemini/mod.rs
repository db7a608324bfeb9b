//! Google generateContent, as the Gemini API and Vertex AI speak it.
//!
//! Request and reply: <https://ai.google.dev/api/generate-content>, thought signatures:
//! <https://ai.google.dev/gemini-api/docs/thought-signatures>, thinking: <https://ai.google.dev/gemini-api/docs/thinking>.
//! Spoken upstream only. The field table and the known losses are in `docs/gemini.md`.

mod decode_stream;
mod encode_request;
mod error;
mod models;
mod thinking;
mod words;

pub use decode_stream::{Decoder, decode_reply};
pub use encode_request::encode_request;
pub use error::{decode_error, encode_error};
pub use words::decode_usage;
