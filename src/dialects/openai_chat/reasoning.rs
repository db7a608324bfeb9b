//! Reasoning in chat completions: `reasoning_content` for people, `reasoning_details[]` for the way back.

use serde_json::{Value, json};

use crate::ir::{Issuer, Opaque, Placement, Reasoning};

/// Reads `reasoning_details[]`. Entries of an unknown type say nothing that could be given back, and are skipped.
pub(super) fn decode_details(details: &[Value], path: &str) -> Vec<Reasoning> {
    let mut out: Vec<Reasoning> = Vec::with_capacity(details.len());
    for (i, detail) in details.iter().enumerate() {
        let Some(reasoning) = decode_detail(detail, format!("{path}[{i}]")) else { continue };
        match (out.last_mut(), &reasoning.opaque) {
            // OpenAI's encrypted reasoning stands beside its summary.
            (Some(summary), Some(Opaque { issuer: Issuer::OpenAi, .. })) if summary.opaque.is_none() => summary.opaque = reasoning.opaque,
            _ => out.push(reasoning),
        }
    }
    out
}

fn decode_detail(detail: &Value, path: String) -> Option<Reasoning> {
    let text = |key: &str| detail.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let issuer = Issuer::of_format(text("format").unwrap_or("unknown"));
    let opaque = |data: &str, placement| {
        let id = text("id").filter(|_| issuer == Issuer::OpenAi).map(str::to_owned);
        Some(Opaque { id, ..Opaque::new(issuer.clone(), placement, data) })
    };
    Some(match detail.get("type").and_then(Value::as_str)? {
        "reasoning.text" => Reasoning {
            text: text("text").unwrap_or_default().to_owned(),
            opaque: text("signature").and_then(|data| opaque(data, Placement::Signature)),
            path,
        },
        "reasoning.summary" => Reasoning { text: text("summary").unwrap_or_default().to_owned(), opaque: None, path },
        "reasoning.encrypted" => {
            let placement = match issuer {
                // Gemini does not encrypt its thoughts: what comes under this type is the signature of text beside it.
                Issuer::Gemini => Placement::Text,
                Issuer::OpenAi => Placement::Signature,
                _ => Placement::Redacted,
            };
            Reasoning { text: String::new(), opaque: opaque(text("data")?, placement), path }
        }
        _ => return None,
    })
}

/// The entries for a piece of thinking with what belongs to it; none when nothing of it must come back.
pub(super) fn encode_details(text: &str, opaque: Option<&Opaque>, index: usize) -> Vec<Value> {
    let Some(opaque) = opaque else { return Vec::new() };
    let (data, format) = (&opaque.data, opaque.issuer.format());
    match (&opaque.issuer, opaque.placement) {
        (Issuer::OpenAi, _) => {
            let summary = json!({"type": "reasoning.summary", "summary": text, "format": format, "index": index});
            let encrypted = json!({"type": "reasoning.encrypted", "data": data, "id": opaque.id, "format": format, "index": index});
            if text.is_empty() { vec![encrypted] } else { vec![summary, encrypted] }
        }
        (_, Placement::Signature) => {
            vec![json!({"type": "reasoning.text", "text": text, "signature": data, "format": format, "index": index})]
        }
        _ => vec![json!({"type": "reasoning.encrypted", "data": data, "format": format, "index": index})],
    }
}

/// Google's place for the thought signature of a tool call.
pub(super) fn encode_signature(signature: &Opaque) -> Value {
    json!({"google": {"thought_signature": signature.data}})
}

/// Reads what [`encode_signature`] wrote.
pub(super) fn decode_signature(extra_content: &Value) -> Option<Opaque> {
    let data = extra_content.pointer("/google/thought_signature")?.as_str()?;
    Some(Opaque::new(Issuer::Gemini, Placement::ToolCall, data))
}
