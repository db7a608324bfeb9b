//! Messages reply → neutral form.

use serde_json::{Map, Value};

use super::words::{decode_opaque, decode_stop, update_usage};
use crate::base::fields::{Fields, Invalid};
use crate::ir::{Arguments, Choice, Citation, Losses, Part, Placement, Reasoning, Reply, Text, ToolCall, Usage};

/// Reads a reply body. Blocks that only Anthropic knows are skipped and named; their neighbours stay.
///
/// # Errors
/// [`Invalid`] when the body is no message.
pub fn decode_reply(body: Value) -> Result<(Reply, Losses), Invalid> {
    let mut losses = Losses::default();
    let mut fields = Fields::new(body, "")?;
    let mut parts = Vec::new();
    for (path, block) in fields.list("content")?.ok_or_else(|| Invalid::new("content", "'content' is missing"))? {
        parts.extend(decode_block(Fields::new(block, path)?, &mut losses)?);
    }
    let sequence = fields.string("stop_sequence")?;
    let stop = decode_stop(&fields.string("stop_reason")?.unwrap_or_default(), sequence);
    let usage = fields.take("usage").map(|update| {
        let mut usage = Usage::default();
        update_usage(&mut usage, &update);
        usage
    });
    let (id, model) = (fields.string("id")?, fields.string("model")?);
    for said_otherwise in ["type", "role", "stop_details"] {
        fields.take(said_otherwise);
    }
    losses.rest(fields);
    Ok((Reply { id, model, created: None, choices: vec![Choice { parts, stop, logprobs: None }], usage }, losses))
}

fn decode_block(mut block: Fields, losses: &mut Losses) -> Result<Option<Part>, Invalid> {
    let path = block.path().to_owned();
    let part = match block.required("type")?.as_str() {
        "text" => {
            let citations = decode_citations(&mut block, losses)?;
            Part::Text(Text { text: block.string("text")?.unwrap_or_default(), cache: None, citations, path })
        }
        "thinking" => {
            let opaque = block.string("signature")?.and_then(|text| decode_opaque(text, Placement::Signature));
            Part::Reasoning(Reasoning { text: block.string("thinking")?.unwrap_or_default(), opaque, path })
        }
        "redacted_thinking" => {
            let opaque = block.string("data")?.and_then(|text| decode_opaque(text, Placement::Redacted));
            Part::Reasoning(Reasoning { text: String::new(), opaque, path })
        }
        "tool_use" => {
            block.take("caller");
            let arguments = match block.take("input") {
                Some(Value::Object(map)) => Arguments::Object(map),
                Some(Value::String(text)) => Arguments::of_text(&text),
                _ => Arguments::Object(Map::new()),
            };
            Part::ToolCall(ToolCall {
                id: block.string("id")?.unwrap_or_default(),
                name: block.required("name")?,
                arguments,
                signature: None,
                cache: None,
                path,
            })
        }
        other => {
            losses.add(path, format!("content of type '{other}' is Anthropic's own"));
            return Ok(None);
        }
    };
    losses.rest(block);
    Ok(Some(part))
}

fn decode_citations(block: &mut Fields, losses: &mut Losses) -> Result<Vec<Citation>, Invalid> {
    let mut citations = Vec::new();
    for (path, item) in block.list("citations")?.unwrap_or_default() {
        match decode_citation(&item) {
            Some(citation) => citations.push(citation),
            None => losses.add(path, "only citations with an address can be carried"),
        }
    }
    Ok(citations)
}

pub(super) fn decode_citation(item: &Value) -> Option<Citation> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    let url = text("url").or_else(|| text("source"))?;
    Some(Citation { url: Some(url), title: text("title"), span: None })
}
