//! Responses stream → events.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::decode_reply::citation;
use super::words::{decode_opaque, decode_stop, decode_usage};
use crate::base::sse;
use crate::base::text::Str;
use crate::dialects::DecodeStream;
use crate::ir::{Event, StreamFault};

/// Reads a stream of response events.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    finished: bool,
    calls: Vec<Call>,
}

/// A call by its place in the output.
#[derive(Debug)]
struct Call {
    output_index: u64,
    /// Whether any of its arguments were told.
    has_arguments: bool,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(default)]
    summary_index: Option<u64>,
    #[serde(borrow, default)]
    arguments: Option<Str<'a>>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    logprobs: Option<&'a RawValue>,
}

impl DecodeStream for Decoder {
    fn event(&mut self, event: sse::Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        if self.finished || event.data.trim_ascii() == b"[DONE]" {
            return;
        }
        let frame: Frame<'_> = match serde_json::from_slice(event.data) {
            Ok(frame) => frame,
            Err(error) => {
                let message = format!("the provider sent an event that is no response event: {error}");
                return sink(Event::Fault(StreamFault { status: 502, code: None, message }));
            }
        };
        let at = frame.output_index.unwrap_or(0);
        match &*frame.kind {
            "response.created" | "response.in_progress" | "response.queued" => self.start(&json_of(frame.response), sink),
            "response.output_text.delta" => {
                text(frame.delta, |text| sink(Event::Text(text)));
                let likelihoods = frame.logprobs.map(RawValue::get).filter(|raw| *raw != "[]" && *raw != "null");
                if let Some(list) = likelihoods.and_then(|raw| serde_json::from_str::<Value>(raw).ok()) {
                    sink(Event::Logprobs(json!({"content": list, "refusal": null})));
                }
            }
            "response.refusal.delta" => text(frame.delta, |text| sink(Event::Refusal(text))),
            "response.output_text.annotation.added" => {
                citation(&json_of(frame.annotation)).map(|citation| sink(Event::Citation(citation)));
            }
            "response.content_part.done" => sink(Event::PartEnd),
            "response.reasoning_summary_part.added" if frame.summary_index.is_some_and(|index| index > 0) => sink(Event::Reasoning("\n\n")),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => text(frame.delta, |text| sink(Event::Reasoning(text))),
            "response.output_item.added" => self.item_added(at, &json_of(frame.item), sink),
            "response.function_call_arguments.delta" => {
                if let Some((index, call)) = self.call(at) {
                    call.has_arguments = true;
                    text(frame.delta, |fragment| sink(Event::ToolArguments { index, fragment }));
                }
            }
            "response.function_call_arguments.done" => frame.arguments.iter().for_each(|arguments| self.whole_arguments(at, arguments, sink)),
            "response.output_item.done" => self.item_done(at, &json_of(frame.item), sink),
            "response.completed" | "response.incomplete" => self.end(&json_of(frame.response), sink),
            "response.failed" => sink(Event::Fault(fault(json_of(frame.response).get("error").unwrap_or(&Value::Null)))),
            "error" => {
                let body: Value = serde_json::from_slice(event.data).unwrap_or_default();
                sink(Event::Fault(fault(body.get("error").filter(|error| error.is_object()).unwrap_or(&body))));
            }
            // Done events repeat what the deltas told; the rest is about OpenAI's own tools.
            _ => {}
        }
    }

    fn is_complete(&self, _at_end: bool) -> bool {
        self.finished
    }
}

impl Decoder {
    fn start(&mut self, response: &Value, sink: &mut dyn FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.started, true) {
            let text = |key: &str| response.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            sink(Event::Start { id: text("id"), model: text("model") });
        }
    }

    fn call(&mut self, output_index: u64) -> Option<(u32, &mut Call)> {
        let found = self.calls.iter_mut().enumerate().find(|(_, call)| call.output_index == output_index)?;
        Some((found.0 as u32, found.1))
    }

    fn item_added(&mut self, at: u64, item: &Value, sink: &mut dyn FnMut(Event<'_>)) {
        if item.get("type").is_some_and(|kind| kind == "function_call") && self.call(at).is_none() {
            let text = |key: &str| item.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            let index = self.calls.len() as u32;
            self.calls.push(Call { output_index: at, has_arguments: false });
            sink(Event::ToolCall { index, id: text("call_id"), name: text("name").unwrap_or_default(), signature: None });
        }
    }

    fn whole_arguments(&mut self, at: u64, arguments: &str, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some((index, call)) = self.call(at)
            && !std::mem::replace(&mut call.has_arguments, true)
        {
            sink(Event::ToolArguments { index, fragment: arguments });
        }
    }

    fn item_done(&mut self, at: u64, item: &Value, sink: &mut dyn FnMut(Event<'_>)) {
        let text = |key: &str| item.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        match text("type") {
            Some("reasoning") => {
                if let Some(data) = text("encrypted_content") {
                    sink(Event::Opaque(decode_opaque(data, text("id").map(str::to_owned))));
                }
                sink(Event::PartEnd);
            }
            Some("function_call") => {
                // Some servers tell a call only when it is whole.
                self.item_added(at, item, sink);
                self.whole_arguments(at, text("arguments").unwrap_or_default(), sink);
                if let Some((index, _)) = self.call(at) {
                    sink(Event::ToolEnd { index });
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, response: &Value, sink: &mut dyn FnMut(Event<'_>)) {
        self.start(response, sink);
        if let Some(usage) = response.get("usage").and_then(decode_usage) {
            sink(Event::Usage(usage));
        }
        let status = response.get("status").and_then(Value::as_str).unwrap_or("completed");
        let reason = response.pointer("/incomplete_details/reason").and_then(Value::as_str);
        sink(Event::Finish(decode_stop(status, reason, !self.calls.is_empty())));
        self.finished = true;
    }
}

fn text(raw: Option<&RawValue>, tell: impl FnOnce(&str)) {
    if let Some(Ok(text)) = raw.map(|raw| serde_json::from_str::<Str<'_>>(raw.get()))
        && !text.is_empty()
    {
        tell(&text);
    }
}

fn json_of(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

fn fault(error: &Value) -> StreamFault {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let code = text("code").or_else(|| text("type").filter(|kind| kind != "error"));
    let status = match code.as_deref() {
        Some("rate_limit_exceeded") => 429,
        Some(word) if word.starts_with("invalid_") => 400,
        _ => 502,
    };
    StreamFault { status, code, message: text("message").unwrap_or_else(|| "the provider reported an error".to_owned()) }
}
