//! Vectors of texts: asked as OpenAI documents it (<https://platform.openai.com/docs/api-reference/embeddings>), answered
//! by Gemini (<https://ai.google.dev/api/embeddings>) and Vertex
//! (<https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>).

mod google;
mod openai;

pub use google::{decode_vectors, encode_bodies};
pub use openai::{decode_request, encode_reply};

use serde_json::Number;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The texts, in order.
    pub texts: Vec<String>,
    /// The length of each vector, if not the model's own.
    pub dimensions: Option<u64>,
    /// Whether vectors are to be written in base64 instead of numbers.
    pub base64: bool,
}

/// Some of the vectors, in the order of their texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vectors {
    /// The vectors, their numbers as they came.
    pub values: Vec<Vec<Number>>,
    /// Tokens read, if the provider said so.
    pub tokens: Option<u64>,
}
