//! Reasoning in chat completions: `reasoning_content` for people, `reasoning_details[]` for the way back.

use serde_json::{Map, Value, json};

use crate::ir::{Issuer, Opaque, Placement, Reasoning};

/// Reads `reasoning_details[]`. Entries of an unknown type say nothing that could be given back, and are skipped.
pub(super) fn decode_details(details: &[Value], path: &str) -> Vec<Reasoning> {
    details.iter().enumerate().filter_map(|(i, detail)| decode_detail(detail, format!("{path}[{i}]"))).collect()
}

fn decode_detail(detail: &Value, path: String) -> Option<Reasoning> {
    let text = |key: &str| detail.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let issuer = Issuer::of_format(text("format").unwrap_or("unknown"));
    let opaque = |data: &str, placement| Some(Opaque { issuer: issuer.clone(), placement, data: data.to_owned() });
    Some(match detail.get("type").and_then(Value::as_str)? {
        "reasoning.text" => Reasoning {
            text: text("text").unwrap_or_default().to_owned(),
            opaque: text("signature").and_then(|data| opaque(data, Placement::Signature)),
            path,
        },
        "reasoning.summary" => Reasoning { text: text("summary").unwrap_or_default().to_owned(), opaque: None, path },
        "reasoning.encrypted" => {
            // Gemini does not encrypt its thoughts: what comes under this type is the signature of text beside it.
            let placement = if issuer == Issuer::Gemini { Placement::Text } else { Placement::Redacted };
            Reasoning { text: String::new(), opaque: opaque(text("data")?, placement), path }
        }
        _ => return None,
    })
}

/// One entry for a piece of thinking with what belongs to it; `None` when nothing of it must come back.
pub(super) fn encode_detail(text: &str, opaque: Option<&Opaque>, index: usize) -> Option<Value> {
    let opaque = opaque?;
    let mut entry = Map::new();
    let format = json!(opaque.issuer.format());
    match opaque.placement {
        Placement::Signature => {
            entry.insert("type".into(), json!("reasoning.text"));
            entry.insert("text".into(), json!(text));
            entry.insert("signature".into(), json!(opaque.data));
        }
        Placement::Redacted | Placement::Text | Placement::ToolCall => {
            entry.insert("type".into(), json!("reasoning.encrypted"));
            entry.insert("data".into(), json!(opaque.data));
        }
    }
    entry.insert("format".into(), format);
    entry.insert("index".into(), json!(index));
    Some(Value::Object(entry))
}

/// Google's place for the thought signature of a tool call.
pub(super) fn encode_signature(signature: &Opaque) -> Value {
    json!({"google": {"thought_signature": signature.data}})
}

/// Reads what [`encode_signature`] wrote.
pub(super) fn decode_signature(extra_content: &Value) -> Option<Opaque> {
    let data = extra_content.pointer("/google/thought_signature")?.as_str()?;
    Some(Opaque { issuer: Issuer::Gemini, placement: Placement::ToolCall, data: data.to_owned() })
}
