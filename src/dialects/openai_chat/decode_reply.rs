//! Chat completions reply → neutral form.

use serde_json::Value;

use super::reasoning::{decode_details, decode_signature};
use super::words::{decode_finish, decode_usage};
use crate::base::fields::{Fields, Invalid};
use crate::ir::{Arguments, Choice, Citation, Context, Losses, Part, Reasoning, Reply, Text, ToolCall};

/// Reads a reply body. What is unknown is skipped and named; its neighbours stay.
///
/// # Errors
/// [`Invalid`] when the body is no chat completion.
pub fn decode_reply(body: Value, context: &Context) -> Result<(Reply, Losses), Invalid> {
    let mut losses = Losses::default();
    let mut fields = Fields::new(body, "")?;
    let mut choices = Vec::new();
    for (path, choice) in fields.list("choices")?.ok_or_else(|| Invalid::new("choices", "'choices' is missing"))? {
        choices.push(decode_choice(Fields::new(choice, path)?, context, &mut losses)?);
    }
    if choices.is_empty() {
        return Err(Invalid::new("choices", "an answer without choices"));
    }
    let reply = Reply {
        id: fields.string("id")?.filter(|id| !id.is_empty()),
        model: fields.string("model")?,
        created: fields.number("created")?.and_then(|n| n.as_u64()),
        choices,
        usage: fields.take("usage").as_ref().and_then(decode_usage),
    };
    for said_otherwise in ["object", "system_fingerprint", "service_tier"] {
        fields.take(said_otherwise);
    }
    losses.rest(fields);
    Ok((reply, losses))
}

fn decode_choice(mut choice: Fields, context: &Context, losses: &mut Losses) -> Result<Choice, Invalid> {
    let finish = choice.string("finish_reason")?.unwrap_or_default();
    let logprobs = choice.take("logprobs");
    let mut parts = Vec::new();
    if let Some(mut message) = choice.object("message")? {
        decode_reasoning(&mut message, &mut parts)?;
        decode_content(&mut message, &mut parts, losses);
        if let Some(refusal) = message.string("refusal")?.filter(|text| !text.is_empty()) {
            parts.push(Part::Refusal(refusal));
        }
        for (path, call) in message.list("tool_calls")?.unwrap_or_default() {
            let mut call = Fields::new(call, path.clone())?;
            match call.object("function")? {
                Some(function) => parts.push(Part::ToolCall(decode_call(call, function, parts.len(), context)?)),
                None => losses.add(path, "only function calls can be carried"),
            }
        }
        if let Some(function) = message.object("function_call")? {
            let none = Fields::new(Value::Object(serde_json::Map::new()), "")?;
            parts.push(Part::ToolCall(decode_call(none, function, 0, context)?));
        }
        message.take("role");
        losses.rest(message);
    }
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let mut stop = decode_finish(&finish, has_calls);
    if let Some(native) = choice.string("native_finish_reason")? {
        stop.native = Some(native);
    }
    choice.take("index");
    losses.rest(choice);
    Ok(Choice { parts, stop, logprobs })
}

fn decode_reasoning(message: &mut Fields, parts: &mut Vec<Part>) -> Result<(), Invalid> {
    let path = message.at("reasoning_details");
    let details = message.take("reasoning_details");
    let mut reasoning = details.as_ref().and_then(Value::as_array).map(|list| decode_details(list, &path)).unwrap_or_default();
    let text = [message.string("reasoning_content")?, message.string("reasoning")?].into_iter().flatten().find(|text| !text.is_empty());
    if let Some(text) = text.filter(|_| reasoning.iter().all(|part| part.text.is_empty())) {
        reasoning.insert(0, Reasoning { text, opaque: None, path: message.at("reasoning") });
    }
    parts.extend(reasoning.into_iter().map(Part::Reasoning));
    Ok(())
}

fn decode_content(message: &mut Fields, parts: &mut Vec<Part>, losses: &mut Losses) {
    let citations = decode_annotations(message, losses);
    let path = message.at("content");
    match message.take("content") {
        Some(Value::String(text)) if !text.is_empty() => parts.push(Part::Text(Text { text, cache: None, citations, path })),
        // Mistral answers with a list of text and thinking.
        Some(Value::Array(items)) => {
            for (i, item) in items.into_iter().enumerate() {
                let text = |value: &Value| value.get("text").and_then(Value::as_str).map(str::to_owned);
                match item.get("type").and_then(Value::as_str) {
                    Some("text") => parts.extend(text(&item).map(|text| Part::Text(Text::new(text)))),
                    Some("thinking") => {
                        let pieces = item.get("thinking").and_then(Value::as_array).cloned().unwrap_or_default();
                        let text: String = pieces.iter().filter_map(text).collect();
                        parts.push(Part::Reasoning(Reasoning { text, opaque: None, path: format!("{path}[{i}]") }));
                    }
                    _ => losses.add(format!("{path}[{i}]"), "not known here"),
                }
            }
        }
        _ => {}
    }
}

fn decode_annotations(message: &mut Fields, losses: &mut Losses) -> Vec<Citation> {
    let path = message.at("annotations");
    let Some(Value::Array(items)) = message.take("annotations") else { return Vec::new() };
    let mut citations = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let Some(cited) = item.get("url_citation") else {
            losses.add(format!("{path}[{i}]"), "not known here");
            continue;
        };
        let text = |key: &str| cited.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| cited.get(key).and_then(Value::as_u64);
        let span = number("start_index").zip(number("end_index"));
        citations.push(Citation { url: text("url"), title: text("title"), span });
    }
    citations
}

fn decode_call(mut call: Fields, mut function: Fields, nth: usize, context: &Context) -> Result<ToolCall, Invalid> {
    Ok(ToolCall {
        id: call.string("id")?.filter(|id| !id.is_empty()).unwrap_or_else(|| context.seed.nth(nth).id("call_")),
        name: function.string("name")?.unwrap_or_default(),
        arguments: match function.take("arguments") {
            Some(Value::Object(map)) => Arguments::Object(map),
            Some(Value::String(text)) => Arguments::of_text(&text),
            _ => Arguments::of_text(""),
        },
        signature: call.take("extra_content").as_ref().and_then(decode_signature),
        cache: None,
        path: call.path().to_owned(),
    })
}
