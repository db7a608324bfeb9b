/// Why an answer ended, with the provider's own word for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stop {
    /// The reason.
    pub reason: StopReason,
    /// The stop text that was met, if the provider says which.
    pub sequence: Option<String>,
    /// The provider's own word.
    pub native: Option<String>,
}

impl Stop {
    /// A reason with the provider's word for it.
    pub fn new(reason: StopReason, native: &str) -> Self {
        Self { reason, sequence: None, native: Some(native.to_owned()) }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StopReason {
    /// The model was done.
    #[default]
    End,
    /// A stop text was met.
    Sequence,
    /// The token limit was met.
    Length,
    /// Tools are to be called.
    ToolUse,
    /// A filter, or the model itself, refused.
    Refusal,
    /// The provider paused a long turn, to be continued.
    Pause,
    /// The context window was full.
    ContextFull,
}
