//! OpenAI Responses, spoken by callers and by OpenAI's and Azure's reasoning models.
//!
//! Request and reply: <https://platform.openai.com/docs/api-reference/responses>, stream:
//! <https://platform.openai.com/docs/api-reference/responses-streaming>. Artefacts of other issuers travel in a reasoning
//! item's `encrypted_content`, tagged with whose they are. The field table and the known losses are in
//! `docs/responses.md`.

mod decode_items;
mod decode_reply;
mod decode_request;
mod decode_stream;
mod encode_reply;
mod encode_request;
mod encode_stream;
mod response;
mod stored;
mod words;

pub use decode_reply::decode_reply;
pub use decode_request::decode_request;
pub use decode_stream::Decoder;
pub use encode_reply::encode_reply;
pub use encode_request::encode_request;
pub use encode_stream::Encoder;
pub use response::{echo, response_id};
pub use stored::{input_items, is_own, page, response_of_item};
pub use words::decode_usage;
