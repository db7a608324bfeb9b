use serde_json::{Number, Value};

use super::{CacheControl, Message, Tool, ToolChoice};

/// What a caller asks a model for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The model, without the provider's prefix.
    pub model: String,
    /// The conversation, instructions included, each where it stood.
    pub messages: Vec<Message>,
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// Which of them to call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub output: Option<OutputFormat>,
    /// How to pick tokens.
    pub sampling: Sampling,
    /// How much to think.
    pub thinking: Option<Thinking>,
    /// The member that said so, for losses.
    pub thinking_path: &'static str,
    /// Whether the caller wants to read the thinking, or at least a summary of it.
    pub show_thinking: bool,
    /// The end user, as the caller names them.
    pub user: Option<String>,
    /// The member that said so, for losses.
    pub user_path: &'static str,
    /// Which processing tier to use, in the words of the source dialect.
    pub service_tier: Option<String>,
    /// A cache breakpoint at the end of the request (Anthropic).
    pub cache: Option<CacheControl>,
    /// Whether to answer as a stream.
    pub stream: bool,
    /// Whether the stream shall end with usage (chat completions; the other dialects always do).
    pub include_usage: bool,
}

/// How to pick tokens. Numbers are kept as they were written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    /// The most tokens to write, thinking included.
    pub max_tokens: Option<u64>,
    /// The member that said so, for losses.
    pub max_tokens_path: &'static str,
    /// 0 to 2 (Anthropic: 0 to 1).
    pub temperature: Option<Number>,
    /// 0 to 1.
    pub top_p: Option<Number>,
    /// The most candidates for each token.
    pub top_k: Option<Number>,
    /// -2 to 2.
    pub frequency_penalty: Option<Number>,
    /// -2 to 2.
    pub presence_penalty: Option<Number>,
    /// For repeatable answers.
    pub seed: Option<Number>,
    /// Texts at which to stop.
    pub stop: Vec<String>,
    /// How many answers.
    pub n: Option<u64>,
    /// Whether to say how likely each token was.
    pub logprobs: bool,
    /// How many alternatives to say it for.
    pub top_logprobs: Option<u64>,
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputFormat {
    /// Any JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// The schema's name.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema, as it came.
        schema: Value,
        /// Whether to follow it exactly.
        strict: Option<bool>,
        /// The member that holds it, for losses.
        path: &'static str,
    },
}

/// How much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// Not at all.
    Off,
    /// By a word.
    Effort(Effort),
    /// By a number of tokens.
    Budget(u64),
    /// As the model likes.
    Adaptive(Option<Effort>),
}

/// How hard to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// The usual.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// As much as possible.
    Max,
}

impl Effort {
    /// The effort of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The thinking budget in tokens that stands for it where only numbers are understood.
    pub fn budget(self) -> u64 {
        match self {
            Self::Minimal | Self::Low => 1024,
            Self::Medium => 8192,
            Self::High => 16_384,
            Self::XHigh | Self::Max => 32_768,
        }
    }

    /// The effort that stands for a budget where only words are understood.
    pub fn of_budget(budget: u64) -> Self {
        match budget {
            0..=2048 => Self::Low,
            2049..=10_240 => Self::Medium,
            _ => Self::High,
        }
    }
}
