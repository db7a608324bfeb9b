//! The neutral form between dialects: what a request, a reply and a stream of it mean, without a wire format.
//!
//! Content is an ordered list of parts, never columns of text, tool calls and reasoning: order is data. Whatever a dialect
//! cannot say is a named [`Loss`]; what would change the meaning is a [`Refused`].

mod collect;
mod dialect;
mod event;
mod loss;
mod message;
mod part;
mod reply;
mod request;
mod stop;
mod tool;
mod usage;

pub use collect::Collector;
pub use dialect::{Context, Dialect, EmbeddingDialect};
pub use event::{Event, StreamFault};
pub use loss::{Loss, Losses, Refused};
pub use message::{Message, Role};
pub use part::{CacheControl, Citation, Document, Issuer, Media, MediaSource, Opaque, Part, Placement, Reasoning, Text};
pub use reply::{Choice, Reply};
pub use request::{Effort, OutputFormat, Request, Sampling, Thinking};
pub use stop::{Stop, StopReason};
pub use tool::{Arguments, Called, NameMap, Tool, ToolCall, ToolChoice, ToolResult};
pub use usage::Usage;
