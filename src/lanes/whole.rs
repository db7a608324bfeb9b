//! A stream put together to the whole answer that it is, in its own dialect: for who has to ask for a stream and wants none, since a silent
//! connection is cut after about a hundred seconds. What is not known is kept: the last word of each member counts.

use serde_json::{Map, Value, json};

use crate::base::sse;
use crate::ir::{Dialect, StreamFault};
use crate::lanes::hub;

/// Puts a stream together.
///
/// # Errors
/// What the stream says went wrong, or that it broke off.
pub fn whole(dialect: Dialect, stream: &[u8]) -> Result<Value, StreamFault> {
    let mut fault = None;
    let mut decoder = hub::decoder(dialect);
    sse::each(stream, |event| {
        decoder.event(event, &mut |event| {
            if let crate::ir::Event::Fault(found) = event {
                fault.get_or_insert(found);
            }
        });
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    let events = Events(stream);
    let whole = match dialect {
        Dialect::OpenAiChat => chat(events),
        Dialect::OpenAiResponses => responses(events),
        Dialect::Anthropic => messages(events),
        Dialect::Gemini => gemini(events),
    };
    whole.map(Value::Object).ok_or_else(StreamFault::cut)
}

/// The events of a stream, one after another: all of them together would be many times as large as the stream.
struct Events<'a>(&'a [u8]);

impl Iterator for Events<'_> {
    type Item = Map<String, Value>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            let (event, rest) = self.0.split_at(sse::end_of_event(self.0).unwrap_or(self.0.len()));
            self.0 = rest;
            let mut found = None;
            sse::each(event, |event| found = serde_json::from_slice(event.data).ok());
            if let Some(Value::Object(json)) = found {
                return Some(json);
            }
        }
        None
    }
}

/// A response's last event holds all of it.
fn responses(events: Events<'_>) -> Option<Map<String, Value>> {
    let is_last = |event: &Map<String, Value>| {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        matches!(kind, "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled")
    };
    match events.filter(is_last).last()?.into_iter().find(|(key, _)| key == "response")?.1 {
        Value::Object(response) => Some(response),
        _ => None,
    }
}

fn chat(events: Events<'_>) -> Option<Map<String, Value>> {
    let mut whole = Map::new();
    let mut choices: Vec<Map<String, Value>> = Vec::new();
    for event in events {
        for (key, value) in event {
            let Value::Array(list) = value else {
                if !value.is_null() || !whole.contains_key(&key) {
                    whole.insert(key, value);
                }
                continue;
            };
            if key != "choices" {
                whole.insert(key, Value::Array(list));
                continue;
            }
            for choice in list {
                let Value::Object(choice) = choice else { continue };
                let index = choice.get("index").cloned().unwrap_or_default();
                let place = match choices.iter().position(|known| known.get("index") == Some(&index)) {
                    Some(place) => place,
                    None => {
                        choices.push(Map::from_iter([
                            ("index".to_owned(), index),
                            ("message".to_owned(), json!({"role": "assistant", "content": null})),
                        ]));
                        choices.len() - 1
                    }
                };
                let Some(known) = choices.get_mut(place) else { continue };
                for (key, value) in choice {
                    match key.as_str() {
                        "index" => {}
                        "delta" => {
                            if let Some(message) = known.get_mut("message") {
                                grow(message, value);
                            }
                        }
                        "logprobs" => grow(known.entry("logprobs").or_insert(Value::Null), value),
                        _ if value.is_null() && known.contains_key(&key) => {}
                        _ => drop(known.insert(key, value)),
                    }
                }
            }
        }
    }
    if choices.is_empty() || choices.iter().any(|choice| choice.get("finish_reason").is_none_or(Value::is_null)) {
        return None;
    }
    for choice in &mut choices {
        // Indices are of the stream.
        let calls = choice.get_mut("message").and_then(|message| message.get_mut("tool_calls")).and_then(Value::as_array_mut);
        for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
            call.shift_remove("index");
        }
    }
    whole.insert("object".to_owned(), "chat.completion".into());
    whole.insert("choices".to_owned(), choices.into_iter().map(Value::Object).collect());
    Some(whole)
}

/// Members of a delta that name something: they are said once, or again and again, and never in pieces.
const NAMES: [&str; 6] = ["role", "id", "type", "index", "name", "format"];

/// Adds a delta: text grows, lists with an index grow in their place, other lists grow longer, and the rest is replaced.
fn grow(whole: &mut Value, delta: Value) {
    match (whole, delta) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => text.push_str(&more),
        (Value::Object(whole), Value::Object(delta)) => {
            for (key, value) in delta {
                match whole.get_mut(&key) {
                    Some(known) if !NAMES.contains(&key.as_str()) => grow(known, value),
                    Some(_) if value.as_str() == Some("") || value.is_null() => {}
                    _ => drop(whole.insert(key, value)),
                }
            }
        }
        (Value::Array(whole), Value::Array(delta)) => {
            for item in delta {
                let index = item.get("index").cloned();
                match whole.iter_mut().find(|known| index.is_some() && known.get("index") == index.as_ref()) {
                    Some(known) => grow(known, item),
                    None => whole.push(item),
                }
            }
        }
        (whole, delta) => *whole = delta,
    }
}

fn messages(events: Events<'_>) -> Option<Map<String, Value>> {
    let mut message: Option<Map<String, Value>> = None;
    // Each block, and the JSON of its input as far as it has come.
    let mut blocks: Vec<(Value, Value, String)> = Vec::new();
    let mut is_complete = false;
    for mut event in events {
        let index = event.get("index").cloned().unwrap_or_default();
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "message_start" => {
                if let Some(Value::Object(start)) = event.shift_remove("message") {
                    message = Some(start);
                }
            }
            "content_block_start" => blocks.push((index, event.shift_remove("content_block").unwrap_or_default(), String::new())),
            "content_block_delta" => {
                let Some((_, block, input)) = blocks.iter_mut().find(|(known, ..)| *known == index) else { continue };
                let (Some(Value::Object(delta)), Some(block)) = (event.shift_remove("delta"), block.as_object_mut()) else { continue };
                for (key, value) in delta {
                    match key.as_str() {
                        "type" => {}
                        "partial_json" => input.push_str(value.as_str().unwrap_or_default()),
                        "citation" => match block.get_mut("citations").and_then(Value::as_array_mut) {
                            Some(citations) => citations.push(value),
                            None => drop(block.insert("citations".to_owned(), json!([value]))),
                        },
                        _ => grow(block.entry(key).or_insert(Value::Null), value),
                    }
                }
            }
            "message_delta" => {
                let Some(message) = &mut message else { continue };
                for (key, value) in event {
                    match (key.as_str(), value) {
                        ("type", _) => {}
                        ("delta", Value::Object(delta)) => message.extend(delta),
                        ("usage", Value::Object(usage)) => match message.get_mut("usage").and_then(Value::as_object_mut) {
                            // What the last word leaves out was said at the beginning.
                            Some(known) => known.extend(usage.into_iter().filter(|(_, value)| !value.is_null())),
                            None => drop(message.insert("usage".to_owned(), Value::Object(usage))),
                        },
                        (_, value) => drop(message.insert(key, value)),
                    }
                }
            }
            "message_stop" => is_complete = true,
            _ => {}
        }
    }
    let mut message = message.filter(|_| is_complete)?;
    let content = blocks.into_iter().map(|(_, mut block, input)| {
        if let (Some(block), false) = (block.as_object_mut(), input.is_empty()) {
            block.insert("input".to_owned(), serde_json::from_str(&input).unwrap_or(Value::String(input)));
        }
        block
    });
    message.insert("content".to_owned(), content.collect());
    Some(message)
}

fn gemini(events: Events<'_>) -> Option<Map<String, Value>> {
    let mut whole = Map::new();
    let mut candidates: Vec<Map<String, Value>> = Vec::new();
    for event in events {
        for (key, value) in event {
            let (true, Value::Array(list)) = (key == "candidates", &value) else {
                whole.insert(key, value);
                continue;
            };
            for candidate in list.iter().filter_map(Value::as_object) {
                let index = candidate.get("index").cloned().unwrap_or(json!(0));
                let place = candidates.iter().position(|known| known.get("index").cloned().unwrap_or(json!(0)) == index).unwrap_or_else(|| {
                    candidates.push(Map::new());
                    candidates.len() - 1
                });
                let Some(known) = candidates.get_mut(place) else { continue };
                for (key, value) in candidate {
                    match key.as_str() {
                        "content" => add_parts(known.entry("content").or_insert_with(|| json!({"role": "model", "parts": []})), value),
                        _ => drop(known.insert(key.clone(), value.clone())),
                    }
                }
            }
        }
    }
    let is_complete = |candidate: &Map<String, Value>| candidate.contains_key("finishReason");
    // A prompt that was blocked has no candidates.
    if candidates.iter().all(is_complete) && (!candidates.is_empty() || whole.contains_key("promptFeedback")) {
        whole.insert("candidates".to_owned(), candidates.into_iter().map(Value::Object).collect());
        return Some(whole);
    }
    None
}

/// Parts that follow upon one another; a text that goes on is one part.
fn add_parts(content: &mut Value, more: &Value) {
    let Some(parts) = content.get_mut("parts").and_then(Value::as_array_mut) else { return };
    for part in more.get("parts").and_then(Value::as_array).into_iter().flatten() {
        let is_text = |part: &Value| {
            let plain = part.as_object().is_some_and(|part| part.keys().all(|key| matches!(key.as_str(), "text" | "thought")));
            plain && part.get("text").is_some_and(Value::is_string)
        };
        match parts.last_mut() {
            Some(last) if is_text(last) && is_text(part) && last.get("thought") == part.get("thought") => {
                if let (Some(Value::String(text)), Some(more)) = (last.get_mut("text"), part.get("text").and_then(Value::as_str)) {
                    text.push_str(more);
                }
            }
            _ => parts.push(part.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dialect: Dialect, events: &[Value]) -> Result<Value, StreamFault> {
        let text: String = events
            .iter()
            .map(|event| format!("event: {}\ndata: {event}\n\n", event.get("type").and_then(Value::as_str).unwrap_or("message")))
            .collect();
        whole(dialect, text.as_bytes())
    }

    #[test]
    fn a_chat_stream_with_tools_is_put_together() {
        let chunk = |delta: Value, finish: Value| json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "system_fingerprint": "fp", "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]});
        let mut events = vec![
            chunk(json!({"role": "assistant", "content": ""}), Value::Null),
            chunk(json!({"content": "Hä"}), Value::Null),
            chunk(json!({"content": "llo"}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}]}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 1, "id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}), Value::Null),
            chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}), Value::Null),
        ];
        assert_eq!(of(Dialect::OpenAiChat, &events).unwrap_err(), StreamFault::cut());
        events.push(chunk(json!({}), json!("tool_calls")));
        events.push(json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}));
        let whole = of(Dialect::OpenAiChat, &events).unwrap();
        let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        assert_eq!(
            whole,
            json!({"id": "c", "object": "chat.completion", "model": "m", "system_fingerprint": "fp",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hällo", "tool_calls": [call("t1", "f", "{\"a\":1}"), call("t2", "g", "{}")]}, "logprobs": null, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}})
        );
    }

    #[test]
    fn a_message_is_put_together_and_an_error_in_it_is_told() {
        let events = [
            json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": null, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "SIG"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ":1}"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 4}}),
            json!({"type": "message_stop"}),
        ];
        assert_eq!(
            of(Dialect::Anthropic, &events).unwrap(),
            json!({"id": "m", "type": "message", "role": "assistant", "model": "c",
                "content": [{"type": "thinking", "thinking": "hm", "signature": "SIG"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
                "stop_reason": "tool_use", "usage": {"input_tokens": 9, "output_tokens": 4}, "stop_sequence": null})
        );
        let fault = of(Dialect::Anthropic, &[events[0].clone(), json!({"type": "error", "error": {"type": "overloaded_error", "message": "later"}})]);
        assert_eq!(fault.unwrap_err().status, 529);
    }

    #[test]
    fn the_last_event_of_a_response_is_the_response_and_geminis_parts_follow_upon_one_another() {
        let response = json!({"id": "resp_1", "object": "response", "status": "completed", "output": []});
        let events = [json!({"type": "response.created", "response": {"id": "resp_1"}}), json!({"type": "response.completed", "response": response})];
        assert_eq!(of(Dialect::OpenAiResponses, &events).unwrap(), response);
        let chunk = |parts: Value, more: Value| {
            let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
            candidate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"candidates": [candidate], "modelVersion": "g", "usageMetadata": {"promptTokenCount": 9}})
        };
        let events = [
            chunk(json!([{"text": "a", "thought": true}]), json!({})),
            chunk(json!([{"text": "b"}]), json!({})),
            chunk(json!([{"text": "c"}, {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "S"}]), json!({"finishReason": "STOP"})),
        ];
        let whole = of(Dialect::Gemini, &events).unwrap();
        assert_eq!(
            whole["candidates"][0]["content"]["parts"],
            json!([{"text": "a", "thought": true}, {"text": "bc"}, {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "S"}])
        );
        assert_eq!(whole["candidates"][0]["finishReason"], "STOP");
    }
}
