//! OpenAI chat completions, as OpenAI documents it and as compatible servers speak it.
//!
//! Request and reply: <https://platform.openai.com/docs/api-reference/chat>, stream:
//! <https://platform.openai.com/docs/api-reference/chat-streaming>. Reasoning, which OpenAI's own chat hides, travels as
//! `reasoning_content` and in OpenRouter's `reasoning_details[]`
//! (<https://openrouter.ai/docs/use-cases/reasoning-tokens>); Gemini's thought signature of a tool call in Google's
//! `tool_calls[].extra_content.google.thought_signature` (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
//! The field table and the known losses are in `docs/openai-chat.md`.

mod decode_reply;
mod decode_request;
mod decode_stream;
mod encode_reply;
mod encode_request;
mod encode_stream;
mod error;
mod reasoning;
mod words;

pub use decode_reply::decode_reply;
pub use decode_request::decode_request;
pub use decode_stream::Decoder;
pub use encode_reply::encode_reply;
pub use encode_request::encode_request;
pub use encode_stream::Encoder;
pub use error::{decode_error, encode_error};
pub use words::decode_usage;
