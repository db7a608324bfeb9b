//! Messages stream → events.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::decode_reply::decode_citation;
use super::words::{decode_opaque, decode_stop, update_usage};
use crate::base::sse;
use crate::base::text::Str;
use crate::dialects::DecodeStream;
use crate::ir::{Arguments, Event, Placement, StreamFault, Usage};

/// Reads a stream of message events.
#[derive(Debug, Default)]
pub struct Decoder {
    done: bool,
    usage: Usage,
    /// The block that is open; Anthropic opens one at a time.
    block: Block,
    calls: u32,
}

#[derive(Debug, Default)]
enum Block {
    #[default]
    Other,
    Text,
    Thinking,
    ToolUse {
        index: u32,
        /// What stood in the block's start; counts only if no fragment follows.
        input: Option<Map<String, Value>>,
    },
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    content_block: Option<Value>,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct DeltaFrame<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow, default)]
    text: Option<Str<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Str<'a>>,
    #[serde(borrow, default)]
    signature: Option<Str<'a>>,
    #[serde(borrow, default)]
    partial_json: Option<Str<'a>>,
    #[serde(default)]
    citation: Option<Value>,
    #[serde(borrow, default)]
    stop_reason: Option<Str<'a>>,
    #[serde(borrow, default)]
    stop_sequence: Option<Str<'a>>,
}

impl DecodeStream for Decoder {
    fn event(&mut self, event: sse::Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        // Nearly every event is a delta, and its name says so before anything is read.
        if event.name == b"content_block_delta"
            && let Ok(DeltaFrame { delta }) = serde_json::from_slice(event.data)
        {
            return self.delta(delta, sink);
        }
        let frame: Frame<'_> = match serde_json::from_slice(event.data) {
            Ok(frame) => frame,
            Err(error) => {
                let message = format!("the provider sent an event that is no message event: {error}");
                return sink(Event::Fault(StreamFault { status: 502, code: None, message }));
            }
        };
        match &*frame.kind {
            "content_block_delta" => {
                if let Some(delta) = frame.delta {
                    self.delta(delta, sink);
                }
            }
            "content_block_start" => self.start(frame.content_block.unwrap_or_default(), sink),
            "content_block_stop" => self.stop(sink),
            "message_start" => {
                let message = frame.message.unwrap_or_default();
                let text = |key: &str| message.get(key).and_then(Value::as_str);
                sink(Event::Start { id: text("id"), model: text("model") });
                self.usage(message.get("usage"), sink);
            }
            "message_delta" => {
                self.usage(frame.usage.as_ref(), sink);
                if let Some(delta) = frame.delta
                    && let Some(word) = delta.stop_reason
                {
                    sink(Event::Finish(decode_stop(&word, delta.stop_sequence.map(|text| text.to_string()))));
                }
            }
            "message_stop" => self.done = true,
            "error" => sink(Event::Fault(decode_fault(&frame.error.unwrap_or_default()))),
            // Pings, and events that later versions add.
            _ => {}
        }
    }

    fn is_complete(&self, _at_end: bool) -> bool {
        self.done
    }
}

impl Decoder {
    fn usage(&mut self, update: Option<&Value>, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(update) = update.filter(|update| update.is_object()) {
            update_usage(&mut self.usage, update);
            sink(Event::Usage(self.usage));
        }
    }

    fn start(&mut self, block: Value, sink: &mut dyn FnMut(Event<'_>)) {
        let text = |key: &str| block.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        self.block = match block.get("type").and_then(Value::as_str) {
            Some("text") => {
                text("text").into_iter().for_each(|text| sink(Event::Text(text)));
                Block::Text
            }
            Some("thinking") => {
                text("thinking").into_iter().for_each(|text| sink(Event::Reasoning(text)));
                text("signature").and_then(|text| decode_opaque(text.to_owned(), Placement::Signature)).map(|opaque| sink(Event::Opaque(opaque)));
                Block::Thinking
            }
            Some("redacted_thinking") => {
                text("data").and_then(|text| decode_opaque(text.to_owned(), Placement::Redacted)).map(|opaque| sink(Event::Opaque(opaque)));
                Block::Other
            }
            Some("tool_use") => {
                let index = self.calls;
                self.calls += 1;
                sink(Event::ToolCall { index, id: text("id"), name: text("name").unwrap_or_default(), signature: None });
                let input = Some(block.get("input").and_then(Value::as_object).cloned().unwrap_or_default());
                Block::ToolUse { index, input }
            }
            _ => Block::Other,
        };
    }

    fn delta(&mut self, delta: Delta<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        let some = |text: Option<Str<'_>>, sink: &mut dyn FnMut(&str)| text.iter().filter(|text| !text.is_empty()).for_each(|text| sink(text));
        match (delta.kind.as_deref(), &mut self.block) {
            (Some("text_delta"), Block::Text) => some(delta.text, &mut |text| sink(Event::Text(text))),
            (Some("thinking_delta"), Block::Thinking) => some(delta.thinking, &mut |text| sink(Event::Reasoning(text))),
            (Some("signature_delta"), Block::Thinking) => {
                let opaque = delta.signature.and_then(|text| decode_opaque(text.0.into_owned(), Placement::Signature));
                opaque.map(|opaque| sink(Event::Opaque(opaque)));
            }
            (Some("input_json_delta"), Block::ToolUse { index, input }) => {
                let index = *index;
                some(delta.partial_json, &mut |fragment| {
                    *input = None;
                    sink(Event::ToolArguments { index, fragment });
                });
            }
            (Some("citations_delta"), Block::Text) => {
                delta.citation.as_ref().and_then(decode_citation).map(|citation| sink(Event::Citation(citation)));
            }
            // Deltas of blocks that only Anthropic knows.
            _ => {}
        }
    }

    fn stop(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        match std::mem::take(&mut self.block) {
            Block::ToolUse { index, input } => {
                // No arguments are an empty object, not an empty text.
                if let Some(input) = input {
                    sink(Event::ToolInput { index, arguments: Arguments::Object(input) });
                }
                sink(Event::ToolEnd { index });
            }
            Block::Text | Block::Thinking => sink(Event::PartEnd),
            Block::Other => {}
        }
    }
}

fn decode_fault(error: &Value) -> StreamFault {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = text("type");
    let status = kind.as_deref().and_then(super::error::status_of_kind).unwrap_or(502);
    StreamFault { status, code: kind, message: text("message").unwrap_or_else(|| "the provider reported an error".to_owned()) }
}
