use serde_json::{Map, Value};

use crate::base::ids::Seed;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// Google generateContent.
    Gemini,
}

impl Dialect {
    /// Its name, in records and for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

/// A wire format for embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddingDialect {
    /// OpenAI's.
    OpenAi,
    /// Gemini's `batchEmbedContents`, a hundred texts a request.
    BatchEmbedContents,
    /// Google's `embedContent`, one text a request.
    EmbedContent,
    /// Vertex's `predict`.
    Predict {
        /// How many texts a request: 1 for the Gemini embedding models, more for the older ones.
        at_once: usize,
    },
}

/// What an encoder needs besides the content, so that it needs neither clock nor randomness.
#[derive(Debug, Clone)]
pub struct Context {
    /// Source of the identifiers that the provider did not give.
    pub seed: Seed,
    /// Seconds since 1970, for `created`.
    pub now: u64,
    /// The model as the caller asked for it.
    pub model: String,
    /// What the reply repeats of the request (Responses only).
    pub echo: Map<String, Value>,
}
