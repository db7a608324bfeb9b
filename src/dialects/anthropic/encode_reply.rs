//! Neutral form → Messages reply.

use serde_json::{Value, json};

use super::words::{encode_opaque, encode_stop, encode_usage};
use crate::ir::{Arguments, Context, Losses, NameMap, Part, Placement, Reply};

/// Writes a reply body. Anthropic gives one answer: further choices are named as lost.
pub fn encode_reply(reply: Reply, names: &NameMap, context: &Context) -> (Value, Losses) {
    let mut losses = Losses::default();
    let mut choices = reply.choices.into_iter();
    let choice = choices.next().unwrap_or_default();
    for (i, _) in choices.enumerate() {
        losses.add(format!("choices[{}]", i + 1), "Anthropic gives one answer");
    }
    losses.if_some(choice.logprobs, "choices[0].logprobs", "Anthropic does not tell likelihoods");
    let mut content = Vec::with_capacity(choice.parts.len());
    let mut calls = 0;
    for part in choice.parts {
        match part {
            Part::Text(text) => {
                for _ in &text.citations {
                    losses.add("citations", "Anthropic's citations need what other providers do not give");
                }
                if !text.text.is_empty() {
                    content.push(json!({"type": "text", "text": text.text, "citations": null}));
                }
            }
            Part::Refusal(text) => content.push(json!({"type": "text", "text": text, "citations": null})),
            // As in a stream, where it comes after the text and has no place; Google does not ask for it back.
            Part::Reasoning(reasoning) if reasoning.opaque.as_ref().is_some_and(|opaque| opaque.placement == Placement::Text) => {
                losses.add("thoughtSignature", "Messages has no place for the signature of a text");
            }
            Part::Reasoning(reasoning) => {
                let redacted = reasoning.opaque.as_ref().is_some_and(|opaque| opaque.placement == Placement::Redacted);
                let opaque = reasoning.opaque.map(encode_opaque).unwrap_or_default();
                content.push(if redacted && reasoning.text.is_empty() {
                    json!({"type": "redacted_thinking", "data": opaque})
                } else {
                    json!({"type": "thinking", "thinking": reasoning.text, "signature": opaque})
                });
            }
            Part::ToolCall(call) => {
                if let Some(signature) = call.signature {
                    content.push(json!({"type": "thinking", "thinking": "", "signature": encode_opaque(signature)}));
                }
                let id = if call.id.is_empty() { context.seed.nth(calls).id("toolu_") } else { call.id };
                calls += 1;
                if matches!(call.arguments, Arguments::Broken(_)) {
                    losses.add(call.path, "the arguments are no JSON object; they stand whole under _raw");
                }
                let (name, input) = (names.original(call.name), call.arguments.into_object());
                content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input, "caller": {"type": "direct"}}));
            }
            Part::Image(media) | Part::Audio(media) => losses.add(media.path, "Anthropic's answers hold no media"),
            Part::Document(document) => losses.add(document.path, "Anthropic's answers hold no documents"),
            Part::ToolResult(result) => losses.add(result.path, "Anthropic's answers hold no tool results"),
        }
    }
    let body = json!({
        "id": message_id(reply.id.as_deref(), context),
        "type": "message",
        "role": "assistant",
        "model": context.model,
        "content": content,
        "stop_reason": encode_stop(&choice.stop),
        "stop_sequence": choice.stop.sequence,
        "stop_details": null,
        "container": null,
        "usage": encode_usage(&reply.usage.unwrap_or_default()),
    });
    (body, losses)
}

pub(super) fn message_id(id: Option<&str>, context: &Context) -> String {
    match id {
        Some(id) if id.starts_with("msg_") => id.to_owned(),
        _ => context.seed.id("msg_"),
    }
}
