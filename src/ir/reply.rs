use serde_json::Value;

use super::{Part, Stop, Usage};

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// The provider's identifier of it.
    pub id: Option<String>,
    /// The model that served it, as the provider names it.
    pub model: Option<String>,
    /// Seconds since 1970, if the provider said when.
    pub created: Option<u64>,
    /// The answers; one unless the caller asked for more.
    pub choices: Vec<Choice>,
    /// What it took, if the provider said so.
    pub usage: Option<Usage>,
}

/// One answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub stop: Stop,
    /// The likelihoods of its tokens, in chat completions' shape.
    pub logprobs: Option<Value>,
}
