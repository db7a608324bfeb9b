use serde_json::Value;

use super::{Arguments, Citation, Opaque, Stop, Usage};

/// A step of a streamed answer. Borrowed text lives only while it is handed on.
///
/// The grammar: `Start` first; then any number of the others; `Finish` once for each choice; `Usage` any number of times,
/// each replacing the one before. The end of the stream is not an event: the driver tells the encoder how it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The answer begins.
    Start {
        /// The provider's identifier of it.
        id: Option<&'a str>,
        /// The model that serves it, as the provider names it.
        model: Option<&'a str>,
    },
    /// What follows belongs to this choice; the first is chosen from the beginning.
    Choice(u32),
    /// More text.
    Text(&'a str),
    /// More of a refusal.
    Refusal(&'a str),
    /// More thinking.
    Reasoning(&'a str),
    /// What belongs to the thinking before it or, by its placement, to the part after it.
    Opaque(Opaque),
    /// A part ended; the next text or thinking begins another.
    PartEnd,
    /// A tool call begins. `index` counts the calls of this choice from 0.
    ToolCall {
        /// Which call.
        index: u32,
        /// Its identifier, if the provider gave one.
        id: Option<&'a str>,
        /// The tool's name, as sent.
        name: &'a str,
        /// Gemini's thought signature of it.
        signature: Option<Opaque>,
    },
    /// More of a call's arguments.
    ToolArguments {
        /// Which call.
        index: u32,
        /// The next piece of JSON text.
        fragment: &'a str,
    },
    /// A call's arguments, all at once.
    ToolInput {
        /// Which call.
        index: u32,
        /// The arguments.
        arguments: Arguments,
    },
    /// A call is complete.
    ToolEnd {
        /// Which call.
        index: u32,
    },
    /// A source of the text before it.
    Citation(Citation),
    /// Likelihoods of tokens, in chat completions' shape.
    Logprobs(Value),
    /// The tokens so far; replaces what was said before.
    Usage(Usage),
    /// The choice ended.
    Finish(Stop),
    /// The provider reported an error in mid-stream; nothing follows.
    Fault(StreamFault),
}

/// How a stream failed after its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFault {
    /// The HTTP status that the failure would have had.
    pub status: u16,
    /// The provider's own word for it, if any.
    pub code: Option<String>,
    /// What to tell the caller.
    pub message: String,
}

impl StreamFault {
    /// The upstream broke off before its terminal event.
    pub fn cut() -> Self {
        Self { status: 502, code: None, message: "the provider's stream broke off before its end".to_owned() }
    }

    /// The upstream was silent for too long.
    pub fn idle(milliseconds: u32) -> Self {
        Self { status: 504, code: None, message: format!("the provider's stream was silent for {milliseconds} ms") }
    }
}
