//! Chat completions stream → events.
//!
//! Written for OpenAI and for what compatible servers do otherwise: name and arguments in one chunk, content and finish
//! reason in one chunk, usage first or last, several tool calls with one index, Azure's chunks without choices or delta,
//! a whole `message` instead of a delta, an error object in mid-stream, no `[DONE]`.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::reasoning::{decode_details, decode_signature};
use super::words::{decode_finish, decode_usage};
use crate::base::sse;
use crate::base::text::Str;
use crate::dialects::DecodeStream;
use crate::ir::{Citation, Event, StreamFault};

/// Reads a stream of chunks.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    done: bool,
    finished: bool,
    choice: u32,
    choices: Vec<ChoiceState>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    /// Each tool call, in the order they began; the position is our index.
    calls: Vec<CallState>,
    has_call: bool,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default, deserialize_with = "lenient")]
    id: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    model: Option<Str<'a>>,
    #[serde(borrow, default)]
    choices: Option<Vec<ChunkChoice<'a>>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice<'a> {
    #[serde(default, deserialize_with = "lenient")]
    index: Option<u32>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    /// Some servers send a whole message, some both.
    #[serde(borrow, default)]
    message: Option<Delta<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    finish_reason: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    native_finish_reason: Option<Str<'a>>,
    #[serde(default)]
    logprobs: Option<Value>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    refusal: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    reasoning_content: Option<Str<'a>>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    reasoning: Option<Str<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    reasoning_details: Option<Vec<Value>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    function_call: Option<Function<'a>>,
    #[serde(default, deserialize_with = "lenient")]
    annotations: Option<Vec<Value>>,
}

#[derive(Debug)]
struct CallState {
    /// The provider's index of it.
    wire: u64,
    id: Option<String>,
    has_arguments: bool,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default, deserialize_with = "lenient")]
    index: Option<u64>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    id: Option<Str<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(default)]
    extra_content: Option<Value>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default, deserialize_with = "lenient")]
    name: Option<Str<'a>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// A member of a type that nobody expects says nothing; it does not end the stream.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let raw = <&'de RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

impl DecodeStream for Decoder {
    fn event(&mut self, event: sse::Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        if event.data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return;
        }
        let chunk: Chunk<'_> = match serde_json::from_slice(event.data) {
            Ok(chunk) => chunk,
            Err(error) => {
                let message = format!("the provider sent an event that is no chat completion chunk: {error}");
                return sink(Event::Fault(StreamFault { status: 502, code: None, message }));
            }
        };
        // After a finish reason an error takes nothing back: some servers tell the limit that way a second time.
        if let Some(error) = chunk.error.filter(|error| !error.is_null() && !self.finished) {
            return sink(Event::Fault(decode_fault(&error)));
        }
        if !self.started {
            self.started = true;
            let some = |text: &'_ Option<Str<'_>>| text.as_ref().map(|text| text.to_string()).filter(|text| !text.is_empty());
            sink(Event::Start { id: some(&chunk.id).as_deref(), model: some(&chunk.model).as_deref() });
        }
        for choice in chunk.choices.unwrap_or_default() {
            self.choice(choice, sink);
        }
        if let Some(usage) = chunk.usage.as_ref().and_then(decode_usage) {
            sink(Event::Usage(usage));
        }
    }

    fn is_complete(&self, at_end: bool) -> bool {
        (self.done && self.started) || (at_end && self.finished)
    }
}

impl Decoder {
    fn choice(&mut self, choice: ChunkChoice<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        let index = choice.index.unwrap_or(0);
        // Nobody asks for more answers than this; a wild index must not become memory.
        if index > 127 {
            return;
        }
        while self.choices.len() <= index as usize {
            self.choices.push(ChoiceState::default());
        }
        if index != self.choice {
            self.choice = index;
            sink(Event::Choice(index));
        }
        let Some(state) = self.choices.get_mut(index as usize) else { return };
        if let Some(delta) = choice.delta.or(choice.message) {
            state.delta(delta, sink);
        }
        if let Some(logprobs) = choice.logprobs.filter(|value| !value.is_null()) {
            sink(Event::Logprobs(logprobs));
        }
        if let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) {
            let mut stop = decode_finish(&word, state.has_call);
            if let Some(native) = choice.native_finish_reason {
                stop.native = Some(native.to_string());
            }
            self.finished = true;
            sink(Event::Finish(stop));
        }
    }
}

impl ChoiceState {
    fn delta(&mut self, delta: Delta<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        let details = delta.reasoning_details.map(|list| decode_details(&list, "")).unwrap_or_default();
        // The same text stands in both places; the details have more.
        if details.iter().all(|detail| detail.text.is_empty()) {
            let text = [delta.reasoning_content, delta.reasoning].into_iter().flatten().find(|text| !text.is_empty());
            text.iter().for_each(|text| sink(Event::Reasoning(text)));
        }
        for detail in details {
            if !detail.text.is_empty() {
                sink(Event::Reasoning(&detail.text));
            }
            if let Some(opaque) = detail.opaque {
                sink(Event::Opaque(opaque));
            }
        }
        if let Some(content) = delta.content {
            emit_content(content.get(), sink);
        }
        for citation in delta.annotations.iter().flatten().filter_map(|item| item.get("url_citation")) {
            let text = |key: &str| citation.get(key).and_then(Value::as_str).map(str::to_owned);
            sink(Event::Citation(Citation { url: text("url"), title: text("title"), span: None }));
        }
        if let Some(refusal) = delta.refusal.filter(|text| !text.is_empty()) {
            sink(Event::Refusal(&refusal));
        }
        for (position, call) in delta.tool_calls.into_iter().flatten().enumerate() {
            self.call(call, position as u64, sink);
        }
        if let Some(function) = delta.function_call {
            self.call(Call { index: Some(0), id: None, function: Some(function), extra_content: None }, 0, sink);
        }
    }

    fn call(&mut self, call: Call<'_>, position: u64, sink: &mut dyn FnMut(Event<'_>)) {
        let wire = call.index.unwrap_or(position);
        let id = call.id.as_deref().filter(|id| !id.is_empty());
        let Some(function) = call.function else { return };
        let name = function.name.as_deref().filter(|name| !name.is_empty());
        // A new id under an old index is a new call: some servers number every call 0.
        let known = self.calls.iter().rposition(|call| call.wire == wire && (id.is_none() || call.id.as_deref() == id || name.is_none()));
        let index = match known {
            Some(index) => index as u32,
            None => {
                self.has_call = true;
                self.calls.push(CallState { wire, id: id.map(str::to_owned), has_arguments: false });
                let index = (self.calls.len() - 1) as u32;
                let signature = call.extra_content.as_ref().and_then(decode_signature);
                sink(Event::ToolCall { index, id, name: name.unwrap_or_default(), signature });
                index
            }
        };
        let Some(arguments) = function.arguments.map(RawValue::get) else { return };
        let fragment = match serde_json::from_str::<Str<'_>>(arguments) {
            Ok(text) => text.0,
            // Some servers send the object itself.
            Err(_) if arguments.starts_with('{') => Cow::Borrowed(arguments),
            Err(_) => return,
        };
        if fragment.is_empty() {
            return;
        }
        let state = self.calls.get_mut(index as usize);
        let goes_on = state.is_some_and(|state| std::mem::replace(&mut state.has_arguments, true));
        // Groq says `null` for no arguments at all.
        if goes_on || fragment != "null" {
            sink(Event::ToolArguments { index, fragment: &fragment });
        }
    }
}

fn emit_content(raw: &str, sink: &mut dyn FnMut(Event<'_>)) {
    if let Ok(text) = serde_json::from_str::<Str<'_>>(raw) {
        if !text.is_empty() {
            sink(Event::Text(&text));
        }
        return;
    }
    // Mistral streams lists of text and thinking.
    for item in serde_json::from_str::<Vec<Value>>(raw).unwrap_or_default() {
        let text = |value: &Value| value.get("text").and_then(Value::as_str).map(str::to_owned);
        if let Some(pieces) = item.get("thinking").and_then(Value::as_array) {
            pieces.iter().filter_map(text).for_each(|text| sink(Event::Reasoning(&text)));
        } else if let Some(text) = text(&item) {
            sink(Event::Text(&text));
        }
    }
}

fn decode_fault(error: &Value) -> StreamFault {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str| error.get(key).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    let status = number("status_code").or_else(|| number("code")).filter(|status| (400..600).contains(status)).unwrap_or(502);
    StreamFault {
        status,
        code: text("code").or_else(|| text("type")),
        message: text("message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_else(|| error.to_string()),
    }
}
