//! Neutral form → chat completions reply.

use serde_json::{Map, Value, json};

use super::reasoning::{encode_details, encode_signature};
use super::words::{encode_finish, encode_usage};
use crate::ir::{Choice, Context, Losses, NameMap, Part, Placement, Reply};

/// Writes a reply body.
pub fn encode_reply(reply: Reply, names: &NameMap, context: &Context) -> (Value, Losses) {
    let mut losses = Losses::default();
    let choices: Vec<Value> =
        reply.choices.into_iter().enumerate().map(|(i, choice)| encode_choice(choice, i, names, context, &mut losses)).collect();
    let body = json!({
        "id": reply.id.unwrap_or_else(|| context.seed.id("chatcmpl-")),
        "object": "chat.completion",
        "created": reply.created.unwrap_or(context.now),
        "model": context.model,
        "choices": choices,
        "usage": encode_usage(&reply.usage.unwrap_or_default()),
    });
    (body, losses)
}

fn encode_choice(choice: Choice, index: usize, names: &NameMap, context: &Context, losses: &mut Losses) -> Value {
    let (mut content, mut refusal, mut thinking) = (None::<String>, None::<String>, String::new());
    let (mut details, mut calls, mut annotations) = (Vec::new(), Vec::new(), Vec::new());
    for part in choice.parts {
        match part {
            Part::Text(text) => {
                let start = content.as_deref().map_or(0, |content| content.chars().count() as u64);
                let length = text.text.chars().count() as u64;
                content.get_or_insert_default().push_str(&text.text);
                annotations.extend(text.citations.into_iter().map(|citation| {
                    let (from, to) = citation.span.unwrap_or((start, start + length));
                    url_citation(citation.url, citation.title, from, to)
                }));
            }
            Part::Refusal(text) => refusal.get_or_insert_default().push_str(&text),
            Part::Reasoning(reasoning) => {
                thinking.push_str(&reasoning.text);
                details.extend(encode_details(&reasoning.text, reasoning.opaque.as_ref(), details.len()));
            }
            Part::ToolCall(call) => {
                let id = if call.id.is_empty() { context.seed.nth(calls.len()).id("call_") } else { call.id };
                let function = json!({"name": names.original(call.name), "arguments": call.arguments.to_text()});
                let mut entry = json!({"id": id, "type": "function", "function": function});
                if let (Some(signature), Some(entry)) = (call.signature.filter(|s| s.placement == Placement::ToolCall), entry.as_object_mut()) {
                    entry.insert("extra_content".into(), encode_signature(&signature));
                }
                calls.push(entry);
            }
            Part::Image(media) | Part::Audio(media) => losses.add(media.path, "chat completions replies hold no media"),
            Part::Document(document) => losses.add(document.path, "chat completions replies hold no documents"),
            Part::ToolResult(result) => losses.add(result.path, "chat completions replies hold no tool results"),
        }
    }
    let mut message = Map::from_iter([
        ("role".to_owned(), json!("assistant")),
        ("content".to_owned(), content.map_or(Value::Null, Value::String)),
        ("refusal".to_owned(), refusal.map_or(Value::Null, Value::String)),
    ]);
    if !thinking.is_empty() {
        message.insert("reasoning_content".into(), thinking.into());
    }
    for (key, list) in [("reasoning_details", details), ("tool_calls", calls), ("annotations", annotations)] {
        if !list.is_empty() {
            message.insert(key.into(), list.into());
        }
    }
    let mut out = json!({
        "index": index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": encode_finish(choice.stop.reason),
    });
    if let (Some(native), Some(out)) = (choice.stop.native, out.as_object_mut()) {
        out.insert("native_finish_reason".into(), native.into());
    }
    out
}

pub(super) fn url_citation(url: Option<String>, title: Option<String>, from: u64, to: u64) -> Value {
    json!({"type": "url_citation", "url_citation": {
        "url": url.unwrap_or_default(), "title": title.unwrap_or_default(), "start_index": from, "end_index": to,
    }})
}
