//! The identity lane: the body goes to the provider as it came but for a few members at its top.

use memchr::memmem;
use serde_json::Value;

use crate::base::scan::{Patch, TopLevel};
use crate::ir::{Dialect, Losses, Opaque};

/// Body members that mean something to the gateway only.
pub const GATEWAY_FIELDS: [&str; 4] = ["fallbacks", "models", "provider", "extra_params"];

/// The changes that every provider needs: the model's own name, and no member that is the gateway's.
pub fn patch(top: &TopLevel<'_>, model: &str) -> Patch {
    let mut patch = Patch::default();
    if top.string("model").is_some_and(|asked| asked != model) {
        patch.set("model", Value::from(model).to_string());
    }
    for key in top.keys().filter(|key| GATEWAY_FIELDS.contains(key)) {
        patch.remove(key);
    }
    patch
}

/// Takes out what another provider's answers left in the conversation and what this one would refuse: artefacts that this
/// gateway tagged with their issuer (Messages), reasoning that OpenAI's own chat does not know (`strip_reasoning`).
/// `None` when there is nothing, which costs one search through the bytes.
pub fn strip_foreign(dialect: Dialect, body: &[u8], strip_reasoning: bool, losses: &mut Losses) -> Option<(&'static str, String)> {
    let suspicious = match dialect {
        Dialect::Anthropic => {
            let tag = format!("\"{}", Opaque::TAG);
            [tag.as_bytes(), b"\"signature\":\"\"", b"\"signature\": \"\""].iter().any(|word| memmem::find(body, word).is_some())
        }
        Dialect::OpenAiChat if strip_reasoning => {
            [&b"\"reasoning_details\""[..], b"\"reasoning_content\"", b"\"extra_content\""].iter().any(|word| memmem::find(body, word).is_some())
        }
        Dialect::OpenAiResponses => {
            [format!("\"{}", Opaque::TAG), "\"rs_fg".to_owned()].iter().any(|word| memmem::find(body, word.as_bytes()).is_some())
        }
        _ => false,
    };
    if !suspicious {
        return None;
    }
    let top: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    let before = losses.iter().count();
    if dialect == Dialect::OpenAiResponses {
        let mut input = top.get("input")?.clone();
        strip_tagged_items(&mut input, losses);
        return (losses.iter().count() > before).then(|| ("input", input.to_string()));
    }
    let mut messages = top.get("messages")?.clone();
    for (i, message) in messages.as_array_mut()?.iter_mut().enumerate() {
        match dialect {
            Dialect::Anthropic => strip_tagged(message, i, losses),
            _ => strip_reasoning_members(message, i, losses),
        }
    }
    if let (Dialect::Anthropic, Some(list)) = (dialect, messages.as_array_mut()) {
        // A message without content is refused, too.
        list.retain(|message| message.get("content").and_then(Value::as_array).is_none_or(|content| !content.is_empty()));
    }
    (losses.iter().count() > before).then(|| ("messages", messages.to_string()))
}

fn strip_tagged(message: &mut Value, i: usize, losses: &mut Losses) {
    let Some(blocks) = message.get_mut("content").and_then(Value::as_array_mut) else { return };
    let mut at = 0;
    blocks.retain(|block| {
        let text = block.get("signature").or_else(|| block.get("data")).and_then(Value::as_str);
        // Thinking that nobody signed comes from a provider that does not sign, and would be refused.
        let foreign = text.is_some_and(|text| text.is_empty() || Opaque::of_tagged(text).is_some());
        if foreign {
            losses.add(format!("messages[{i}].content[{at}]"), "thinking goes back to the provider that signed it only");
        }
        at += 1;
        !foreign
    });
}

/// Takes out reasoning items that another provider signed.
pub fn strip_tagged_items(input: &mut Value, losses: &mut Losses) {
    let Some(items) = input.as_array_mut() else { return };
    let mut at = 0;
    items.retain(|item| {
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        // What another provider thought, signed by it or by nobody.
        let foreign = text("type") == Some("reasoning")
            && (text("encrypted_content").is_some_and(|text| Opaque::of_tagged(text).is_some())
                || text("id").is_some_and(|id| id.starts_with("rs_fg")));
        if foreign {
            losses.add(format!("input[{at}]"), "thinking goes back to the provider that signed it only");
        }
        at += 1;
        !foreign
    });
}

fn strip_reasoning_members(message: &mut Value, i: usize, losses: &mut Losses) {
    let Some(message) = message.as_object_mut() else { return };
    for key in ["reasoning_details", "reasoning_content"] {
        if message.shift_remove(key).is_some_and(|value| !value.is_null()) {
            losses.add(format!("messages[{i}].{key}"), "this provider takes no thinking back here");
        }
    }
    for (j, call) in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        if call.as_object_mut().and_then(|call| call.shift_remove("extra_content")).is_some() {
            losses.add(format!("messages[{i}].tool_calls[{j}].extra_content"), "a signature goes back to its issuer only");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_body_that_needs_no_change_gets_none() {
        let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}"#;
        assert!(patch(&TopLevel::scan(body).unwrap(), "gpt-4o").is_empty());
        assert_eq!(strip_foreign(Dialect::OpenAiChat, body, true, &mut Losses::default()), None);
    }

    #[test]
    fn what_another_provider_signed_stays_away_and_is_named() {
        let mut losses = Losses::default();
        let body = json!({"messages": [{"role": "assistant", "content": [
            {"type": "thinking", "thinking": "", "signature": "finops.google-gemini-v1.tool.abc"},
            {"type": "thinking", "thinking": "x", "signature": "EqQB"},
        ]}]});
        let (_, stripped) = strip_foreign(Dialect::Anthropic, body.to_string().as_bytes(), false, &mut losses).unwrap();
        assert_eq!(stripped, r#"[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"EqQB"}]}]"#);
        assert_eq!(losses.iter().map(|loss| loss.path.as_str()).collect::<Vec<_>>(), ["messages[0].content[0]"]);
    }
}
