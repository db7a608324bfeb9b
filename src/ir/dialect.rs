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

/// What an encoder needs besides the content, so that it needs neither clock nor randomness.
#[derive(Debug, Clone)]
pub struct Context {
    /// Source of the identifiers that the provider did not give.
    pub seed: Seed,
    /// Seconds since 1970, for `created`.
    pub now: u64,
    /// The model as the caller asked for it.
    pub model: String,
}
