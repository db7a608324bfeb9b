//! Neutral form → Responses reply.

use serde_json::Value;

use super::response::{
    State, call as call_item, call_prefix, item_id, logprobs, message, output_text, reasoning, refusal, response, response_id, url_citation,
};
use super::words::encode_stop;
use crate::ir::{Choice, Context, Losses, NameMap, Opaque, Part, Placement, Reasoning, Reply, Text};

/// Writes a response object. Its identifier is the gateway's own, by which the answer can be continued.
pub fn encode_reply(reply: Reply, names: &NameMap, context: &Context) -> (Value, Losses) {
    let mut losses = Losses::default();
    let id = response_id(context);
    let mut choices = reply.choices.into_iter();
    let choice = choices.next().unwrap_or_default();
    if choices.next().is_some() {
        losses.add("choices", "a response holds one answer");
    }
    let (status, incomplete) = encode_stop(choice.stop.reason);
    let usage = reply.usage.unwrap_or_default();
    let state = State {
        id: &id,
        status,
        created: reply.created.unwrap_or(context.now),
        completed: incomplete.is_none(),
        output: encode_items(choice, &id, names, context, &mut losses),
        usage: Some(&usage),
        incomplete,
        error: None,
    };
    (response(state, context), losses)
}

fn encode_items(choice: Choice, response: &str, names: &NameMap, context: &Context, losses: &mut Losses) -> Vec<Value> {
    let mut output: Vec<Value> = Vec::new();
    let mut content: Vec<Value> = Vec::new();
    // Signatures of text, told after its message.
    let mut waiting: Vec<Opaque> = Vec::new();
    let mut calls = 0;
    let mut likelihoods = choice.logprobs.map(logprobs).unwrap_or_default();
    for part in choice.parts {
        match part {
            Part::Text(_) | Part::Refusal(_) if !content.is_empty() => {}
            Part::Reasoning(Reasoning { opaque: Some(opaque), .. }) if opaque.placement == Placement::Text => {
                waiting.push(opaque);
                continue;
            }
            _ => close_message(&mut content, &mut waiting, response, &mut output),
        }
        let at = output.len();
        match part {
            Part::Text(text) => content.push(encode_text(text, std::mem::take(&mut likelihoods))),
            Part::Refusal(text) => content.push(refusal(&text)),
            Part::Reasoning(Reasoning { text, opaque, .. }) => output.push(reasoning(&item_id("rs", response, at), &text, opaque.as_ref())),
            Part::ToolCall(call) => {
                // It has no place beside a call, so it goes before it.
                if let Some(signature) = &call.signature {
                    output.push(reasoning(&item_id("rs", response, at), "", Some(signature)));
                }
                let at = output.len();
                let call_id = if call.id.is_empty() { context.seed.nth(calls).id("call_") } else { call.id };
                calls += 1;
                let tool = names.called(call.name);
                output.push(call_item(&item_id(call_prefix(&tool), response, at), &call_id, &tool, &call.arguments.to_text(), "completed"));
            }
            Part::Image(media) | Part::Audio(media) => losses.add(media.path, "an answer holds no media here"),
            Part::Document(document) => losses.add(document.path, "an answer holds no documents here"),
            Part::ToolResult(result) => losses.add(result.path, "an answer holds no tool results here"),
        }
    }
    close_message(&mut content, &mut waiting, response, &mut output);
    output
}

fn close_message(content: &mut Vec<Value>, waiting: &mut Vec<Opaque>, response: &str, output: &mut Vec<Value>) {
    if !content.is_empty() {
        let id = item_id("msg", response, output.len());
        output.push(message(&id, "completed", std::mem::take(content)));
    }
    for opaque in waiting.drain(..) {
        let id = item_id("rs", response, output.len());
        output.push(reasoning(&id, "", Some(&opaque)));
    }
}

fn encode_text(text: Text, likelihoods: Vec<Value>) -> Value {
    let length = text.text.chars().count() as u64;
    let citations = text.citations.into_iter().map(|citation| {
        let (from, to) = citation.span.unwrap_or((0, length));
        url_citation(citation.url, citation.title, from, to)
    });
    output_text(&text.text, citations.collect(), likelihoods)
}
