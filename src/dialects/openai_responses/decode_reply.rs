//! Responses reply → neutral form.

use serde_json::{Map, Value, json};

use super::decode_items::decode_output_item;
use super::words::{decode_stop, decode_usage};
use crate::base::fields::{Fields, Invalid};
use crate::ir::{Choice, Citation, Losses, Part, Reply, Text};

/// Reads a response object. Items of OpenAI's own tools are skipped and named; their neighbours stay.
///
/// # Errors
/// [`Invalid`] when the body is no response, or tells that it failed.
pub fn decode_reply(body: Value) -> Result<(Reply, Losses), Invalid> {
    let mut losses = Losses::default();
    let mut fields = Fields::new(body, "")?;
    if let Some(error) = fields.take("error") {
        let message = error.get("message").and_then(Value::as_str).unwrap_or("the response failed");
        return Err(Invalid::new("error", message));
    }
    let items = fields.list("output")?.ok_or_else(|| Invalid::new("output", "'output' is missing"))?;
    let (mut parts, mut likelihoods) = (Vec::new(), Vec::new());
    for (path, item) in items {
        if item.get("type").is_some_and(|kind| kind == "message") {
            decode_message(Fields::new(item, path)?, &mut parts, &mut likelihoods, &mut losses)?;
        } else {
            parts.extend(decode_output_item(item, path, &mut losses)?);
        }
    }
    let called = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let reason = fields.take("incomplete_details").and_then(|details| details.get("reason")?.as_str().map(str::to_owned));
    let status = fields.string("status")?.unwrap_or_default();
    let logprobs = (!likelihoods.is_empty()).then(|| json!({"content": likelihoods, "refusal": null}));
    let reply = Reply {
        id: fields.string("id")?.filter(|id| !id.is_empty()),
        model: fields.string("model")?,
        created: fields.number("created_at")?.and_then(|n| n.as_f64()).map(|seconds| seconds as u64),
        choices: vec![Choice { parts, stop: decode_stop(&status, reason.as_deref(), called), logprobs }],
        usage: fields.take("usage").as_ref().and_then(decode_usage),
    };
    // The rest repeats the request.
    Ok((reply, losses))
}

fn decode_message(mut item: Fields, parts: &mut Vec<Part>, likelihoods: &mut Vec<Value>, losses: &mut Losses) -> Result<(), Invalid> {
    for (path, part) in item.list("content")?.unwrap_or_default() {
        let mut part = Fields::new(part, path.clone())?;
        match part.required("type")?.as_str() {
            "output_text" => {
                let citations = part.list("annotations")?.unwrap_or_default();
                let citations = citations.into_iter().filter_map(|(path, value)| decode_citation(&value, path, losses)).collect();
                likelihoods.extend(part.list("logprobs")?.unwrap_or_default().into_iter().map(|(_, value)| value));
                parts.push(Part::Text(Text { text: part.required("text")?, cache: None, citations, path }));
            }
            "refusal" => parts.push(Part::Refusal(part.required("refusal")?)),
            other => losses.add(path, format!("content of type '{other}' is OpenAI's own")),
        }
    }
    Ok(())
}

fn decode_citation(value: &Value, path: String, losses: &mut Losses) -> Option<Citation> {
    let citation = citation(value);
    if citation.is_none() {
        losses.add(path, "only addresses can be cited");
    }
    citation
}

/// A `url_citation`; `None` for citations of what only OpenAI keeps.
pub(super) fn citation(value: &Value) -> Option<Citation> {
    let cited: &Map<String, Value> = value.as_object().filter(|cited| cited.get("type").is_some_and(|kind| kind == "url_citation"))?;
    let text = |key: &str| cited.get(key).and_then(Value::as_str).map(str::to_owned);
    let number = |key: &str| cited.get(key).and_then(Value::as_u64);
    Some(Citation { url: text("url"), title: text("title"), span: number("start_index").zip(number("end_index")) })
}
