//! Events → Messages stream.
//!
//! Anthropic's blocks come one after the other: one start, deltas, one stop, nothing after. Other dialects interleave, so
//! parts wait in a queue: the first is open on the wire and streams live, later ones gather until it is complete. A tool call
//! is complete when its decoder says so, when its arguments are whole JSON and another part waits, or at the end.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::encode_reply::message_id;
use super::error::error_body;
use super::words::{encode_opaque, encode_stop, encode_usage};
use crate::base::text::write_json_str;
use crate::dialects::EncodeStream;
use crate::ir::{Context, Event, NameMap, Opaque, Placement, Stop, StopReason, StreamFault, Usage};

/// Writes a stream of message events.
#[derive(Debug)]
pub struct Encoder {
    context: Context,
    names: NameMap,
    started: bool,
    /// The wire's index of the part in front.
    block: u32,
    front_is_open: bool,
    parts: VecDeque<Part>,
    usage: Usage,
    stop: Option<Stop>,
    called: bool,
    /// Only the first choice is shown: Anthropic gives one answer.
    choice: u32,
}

#[derive(Debug)]
struct Part {
    kind: Kind,
    /// What waits to be written; for tool calls all fragments so far, written or not.
    text: String,
    /// How much of `text` is written.
    written: usize,
    signature: String,
    complete: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Redacted,
    ToolUse { index: u32, id: String, name: String },
}

impl Part {
    fn new(kind: Kind) -> Self {
        Self { kind, text: String::new(), written: 0, signature: String::new(), complete: false }
    }

    fn may_close(&self, others_wait: bool) -> bool {
        self.complete
            || (others_wait
                && match self.kind {
                    Kind::ToolUse { .. } => serde_json::from_str::<serde::de::IgnoredAny>(&self.text).is_ok(),
                    _ => true,
                })
    }
}

impl Encoder {
    /// An encoder for one answer.
    pub fn new(context: Context, names: NameMap) -> Self {
        Self {
            context,
            names,
            started: false,
            block: 0,
            front_is_open: false,
            parts: VecDeque::new(),
            usage: Usage::default(),
            stop: None,
            called: false,
            choice: 0,
        }
    }

    fn start(&mut self, id: Option<&str>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message = json!({
            "id": message_id(id, &self.context),
            "type": "message",
            "role": "assistant",
            "model": self.context.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "stop_details": null,
            "container": null,
            "usage": encode_usage(&self.usage),
        });
        frame("message_start", &json!({"type": "message_start", "message": message}), out);
    }

    /// Appends to the part of that kind at the back, or begins one.
    fn append(&mut self, kind: Kind, text: &str, out: &mut Vec<u8>) {
        // The hot path: the only part is of this kind and open, so its delta goes out as it came.
        if let [part] = self.parts.make_contiguous()
            && self.front_is_open
            && part.kind == kind
            && !part.complete
        {
            return match kind {
                Kind::Text => delta(self.block, "text_delta", "text", text, out),
                _ => delta(self.block, "thinking_delta", "thinking", text, out),
            };
        }
        match self.parts.back_mut().filter(|part| part.kind == kind && !part.complete) {
            Some(part) => part.text.push_str(text),
            None => {
                let mut part = Part::new(kind);
                part.text.push_str(text);
                self.parts.push_back(part);
            }
        }
        self.advance(out);
    }

    fn opaque(&mut self, opaque: Opaque, out: &mut Vec<u8>) {
        // A signature of text comes after the text, where Messages has no place for it: agents take a last thinking block for
        // an answer without text. Google does not ask for it back.
        if opaque.placement == Placement::Text {
            return;
        }
        let signs_thinking = opaque.placement == Placement::Signature;
        let redacted = opaque.placement == Placement::Redacted;
        let text = encode_opaque(opaque);
        match self.parts.back_mut() {
            Some(part) if signs_thinking && part.kind == Kind::Thinking && !part.complete => {
                part.signature = text;
                part.complete = true;
            }
            _ => {
                let mut part = Part::new(if redacted { Kind::Redacted } else { Kind::Thinking });
                part.signature = text;
                part.complete = true;
                self.parts.push_back(part);
            }
        }
        self.advance(out);
    }

    fn tool(&mut self, wanted: u32) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| matches!(part.kind, Kind::ToolUse { index, .. } if index == wanted))
    }

    /// Writes what may be written: the front part's deltas, its stop once it may close, then the next.
    fn advance(&mut self, out: &mut Vec<u8>) {
        while let Some(part) = self.parts.front_mut() {
            if !self.front_is_open {
                self.front_is_open = true;
                open(self.block, part, out);
            }
            let fresh = part.text.get(part.written..).unwrap_or_default();
            if !fresh.is_empty() {
                match part.kind {
                    Kind::Text => delta(self.block, "text_delta", "text", fresh, out),
                    Kind::Thinking | Kind::Redacted => delta(self.block, "thinking_delta", "thinking", fresh, out),
                    Kind::ToolUse { .. } => delta(self.block, "input_json_delta", "partial_json", fresh, out),
                }
                part.written = part.text.len();
            }
            let others_wait = self.parts.len() > 1;
            let Some(part) = self.parts.front().filter(|part| part.may_close(others_wait)) else { return };
            if part.kind == Kind::Thinking && !part.signature.is_empty() {
                delta(self.block, "signature_delta", "signature", &part.signature, out);
            }
            frame("content_block_stop", &json!({"type": "content_block_stop", "index": self.block}), out);
            self.parts.pop_front();
            self.front_is_open = false;
            self.block += 1;
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        self.parts.iter_mut().for_each(|part| part.complete = true);
        self.advance(out);
    }
}

impl EncodeStream for Encoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => self.start(id, out),
            Event::Choice(index) => self.choice = index,
            Event::Usage(usage) => self.usage = usage,
            // The driver ends the stream with it.
            Event::Fault(_) => {}
            _ if self.choice != 0 => {}
            Event::Text(text) | Event::Refusal(text) => self.append(Kind::Text, text, out),
            Event::Reasoning(text) => self.append(Kind::Thinking, text, out),
            Event::Opaque(opaque) => self.opaque(opaque, out),
            Event::PartEnd => {
                if let Some(part) = self.parts.back_mut().filter(|part| matches!(part.kind, Kind::Text | Kind::Thinking)) {
                    part.complete = true;
                    self.advance(out);
                }
            }
            Event::ToolCall { index, id, name, signature } => {
                if let Some(signature) = signature {
                    self.opaque(signature, out);
                }
                let id = id.map_or_else(|| self.context.seed.nth(index as usize).id("toolu_"), str::to_owned);
                let name = self.names.original(name.to_owned());
                self.called = true;
                self.parts.push_back(Part::new(Kind::ToolUse { index, id, name }));
                self.advance(out);
            }
            Event::ToolArguments { index, fragment } => {
                if let Some(part) = self.tool(index) {
                    part.text.push_str(fragment);
                    self.advance(out);
                }
            }
            Event::ToolInput { index, arguments } => {
                if let Some(part) = self.tool(index) {
                    part.text.push_str(&arguments.to_text());
                    part.complete = true;
                    self.advance(out);
                }
            }
            Event::ToolEnd { index } => {
                if let Some(part) = self.tool(index) {
                    part.complete = true;
                    self.advance(out);
                }
            }
            // Anthropic's citations need what other providers do not give; it does not tell likelihoods.
            Event::Citation(_) | Event::Logprobs(_) => {}
            Event::Finish(stop) => {
                self.stop.get_or_insert(stop);
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(None, out);
        self.flush(out);
        let stop = self.stop.take().unwrap_or_else(|| Stop {
            // A provider that ends without a word has still called its tools.
            reason: if self.called { StopReason::ToolUse } else { StopReason::End },
            ..Stop::default()
        });
        let delta = json!({"stop_reason": encode_stop(&stop), "stop_sequence": stop.sequence, "stop_details": null, "container": null});
        frame("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": encode_usage(&self.usage)}), out);
        frame("message_stop", &json!({"type": "message_stop"}), out);
    }

    fn fault(&mut self, fault: &StreamFault, out: &mut Vec<u8>) {
        frame("error", &error_body(fault.status, &fault.message, None), out);
    }
}

fn frame(name: &str, data: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(data.to_string().as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// A `content_block_delta` without building a tree: nearly every event of a stream is one.
fn delta(block: u32, kind: &str, member: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    out.extend_from_slice(block.to_string().as_bytes());
    out.extend_from_slice(b",\"delta\":{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"");
    out.extend_from_slice(member.as_bytes());
    out.extend_from_slice(b"\":");
    write_json_str(out, text);
    out.extend_from_slice(b"}}\n\n");
}

fn open(block: u32, part: &Part, out: &mut Vec<u8>) {
    let content = match &part.kind {
        Kind::Text => json!({"type": "text", "text": "", "citations": null}),
        Kind::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Kind::Redacted => json!({"type": "redacted_thinking", "data": part.signature}),
        Kind::ToolUse { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name, "input": {}, "caller": {"type": "direct"}}),
    };
    frame("content_block_start", &json!({"type": "content_block_start", "index": block, "content_block": content}), out);
}
