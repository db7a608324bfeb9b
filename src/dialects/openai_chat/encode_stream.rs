//! Events → chat completions stream.
//!
//! Every chunk has the same id, created and model; the first of a choice says its role; usage comes exactly when asked for,
//! in a last chunk without choices; `[DONE]` ends a whole answer and never follows an error.

use serde_json::{Value, json};

use super::encode_reply::url_citation;
use super::error::error_body;
use super::reasoning::{encode_details, encode_signature};
use super::words::{encode_finish, encode_usage};
use crate::base::text::write_json_str;
use crate::dialects::EncodeStream;
use crate::ir::{Context, Event, NameMap, Opaque, Placement, StreamFault, Usage};

/// Writes a stream of chunks.
#[derive(Debug)]
pub struct Encoder {
    context: Context,
    names: NameMap,
    include_usage: bool,
    /// Up to and including `"choices":[{"index":`, the same for every chunk.
    head: Vec<u8>,
    choice: u32,
    choices: Vec<ChoiceState>,
    usage: Option<Usage>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    has_role: bool,
    /// The thinking since the last artefact, which a signature needs beside it.
    thinking: String,
    details: usize,
    characters: u64,
    finished: bool,
}

impl Encoder {
    /// An encoder for a caller who did (or did not) ask for usage.
    pub fn new(context: Context, names: NameMap, include_usage: bool) -> Self {
        Self { context, names, include_usage, head: Vec::new(), choice: 0, choices: Vec::new(), usage: None }
    }

    fn head(&mut self, id: Option<&str>) {
        if !self.head.is_empty() {
            return;
        }
        let id = id.map_or_else(|| self.context.seed.id("chatcmpl-"), str::to_owned);
        self.head.extend_from_slice(b"data: {\"id\":");
        write_json_str(&mut self.head, &id);
        self.head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        self.head.extend_from_slice(self.context.now.to_string().as_bytes());
        self.head.extend_from_slice(b",\"model\":");
        write_json_str(&mut self.head, &self.context.model);
        self.head.extend_from_slice(b",\"choices\":[");
    }

    fn state(&mut self) -> &mut ChoiceState {
        let index = self.choice as usize;
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, ChoiceState::default);
        }
        // The line above made it so.
        #[allow(clippy::indexing_slicing)]
        &mut self.choices[index]
    }

    /// A chunk whose delta is written by `delta`.
    fn chunk(&mut self, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        self.open(out);
        delta(out);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":null}]");
        self.close(out);
    }

    /// The chunk up to its delta's first member.
    fn open(&mut self, out: &mut Vec<u8>) {
        self.role(out);
        self.start(out);
    }

    /// The first chunk of each choice says whose words follow.
    fn role(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.state().has_role, true) {
            self.start(out);
            out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]");
            self.close(out);
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        self.head(None);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"{\"index\":");
        out.extend_from_slice(self.choice.to_string().as_bytes());
        out.extend_from_slice(b",\"delta\":{");
    }

    fn close(&self, out: &mut Vec<u8>) {
        // `usage` is null before the last chunk when it was asked for, and absent when not.
        out.extend_from_slice(if self.include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" });
    }

    fn member(&mut self, key: &str, text: &str, out: &mut Vec<u8>) {
        self.chunk(out, |out| {
            write_json_str(out, key);
            out.push(b':');
            write_json_str(out, text);
        });
    }

    fn value(&mut self, key: &str, value: &Value, out: &mut Vec<u8>) {
        self.chunk(out, |out| {
            write_json_str(out, key);
            out.push(b':');
            out.extend_from_slice(value.to_string().as_bytes());
        });
    }

    fn opaque(&mut self, opaque: &Opaque, out: &mut Vec<u8>) {
        let state = self.state();
        let thinking = std::mem::take(&mut state.thinking);
        let details = encode_details(&thinking, Some(opaque), state.details);
        state.details += 1;
        self.value("reasoning_details", &Value::Array(details), out);
    }

    fn tool_arguments(&mut self, index: u32, fragment: &str, out: &mut Vec<u8>) {
        self.chunk(out, |out| {
            out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
            out.extend_from_slice(index.to_string().as_bytes());
            out.extend_from_slice(b",\"function\":{\"arguments\":");
            write_json_str(out, fragment);
            out.extend_from_slice(b"}}]");
        });
    }
}

impl EncodeStream for Encoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                self.head(id);
                self.role(out);
            }
            Event::Choice(index) => self.choice = index,
            Event::Text(text) => {
                self.state().characters += text.chars().count() as u64;
                self.member("content", text, out);
            }
            Event::Refusal(text) => self.member("refusal", text, out),
            Event::Reasoning(text) => {
                self.state().thinking.push_str(text);
                self.member("reasoning_content", text, out);
            }
            Event::Opaque(opaque) => self.opaque(&opaque, out),
            Event::PartEnd => self.state().thinking.clear(),
            Event::ToolCall { index, id, name, signature } => {
                let id = id.map_or_else(|| self.context.seed.nth((self.choice as usize) << 16 | index as usize).id("call_"), str::to_owned);
                let name = self.names.original(name.to_owned());
                let mut call = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
                let signature = signature.filter(|signature| signature.placement == Placement::ToolCall);
                if let (Some(signature), Some(call)) = (signature, call.as_object_mut()) {
                    call.insert("extra_content".into(), encode_signature(&signature));
                }
                self.value("tool_calls", &json!([call]), out);
            }
            Event::ToolArguments { index, fragment } => self.tool_arguments(index, fragment, out),
            Event::ToolInput { index, arguments } => self.tool_arguments(index, &arguments.to_text(), out),
            Event::ToolEnd { .. } => {}
            Event::Citation(citation) => {
                let characters = self.state().characters;
                let (from, to) = citation.span.unwrap_or((0, characters));
                self.value("annotations", &json!([url_citation(citation.url, citation.title, from, to)]), out);
            }
            Event::Logprobs(logprobs) => {
                self.open(out);
                out.extend_from_slice(b"},\"logprobs\":");
                out.extend_from_slice(logprobs.to_string().as_bytes());
                out.extend_from_slice(b",\"finish_reason\":null}]");
                self.close(out);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(stop) => {
                if std::mem::replace(&mut self.state().finished, true) {
                    return;
                }
                self.open(out);
                out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
                write_json_str(out, encode_finish(stop.reason));
                if let Some(native) = &stop.native {
                    out.extend_from_slice(b",\"native_finish_reason\":");
                    write_json_str(out, native);
                }
                out.extend_from_slice(b"}]");
                self.close(out);
            }
            // The driver ends the stream with it.
            Event::Fault(_) => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.head(None);
        if self.include_usage {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b"],\"usage\":");
            out.extend_from_slice(encode_usage(&self.usage.unwrap_or_default()).to_string().as_bytes());
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fault(&mut self, fault: &StreamFault, out: &mut Vec<u8>) {
        let body = error_body(fault.status, &fault.message, None, fault.code.as_deref());
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(body.to_string().as_bytes());
        out.extend_from_slice(b"\n\n");
    }
}
