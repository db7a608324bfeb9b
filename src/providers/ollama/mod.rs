//! Ollama and other servers of one's own, by its OpenAI-compatible endpoint:
//! <https://github.com/ollama/ollama/blob/main/docs/openai.md>.

use serde_json::{Map, Value, json};

use super::Call;
use super::compatible::Compatible;
use crate::base::scan::{Patch, TopLevel};
use crate::ir::{Dialect, Losses};

pub(super) static PROVIDER: Compatible = Compatible {
    id: "ollama",
    url_var: "OLLAMA_BASE_URL",
    default_url: "http://localhost:11434",
    path: "/v1",
    key_var: "OLLAMA_API_KEY",
    key_settings: &[("value", "OLLAMA_API_KEY"), ("url", "OLLAMA_BASE_URL")],
    missing: "set the var OLLAMA_BASE_URL to your server's address (the local one needs ALLOW_LOCAL_UPSTREAM=true)",
    dialects: |_| &[Dialect::OpenAiChat],
    needs_key: false,
    is_openai: false,
    refuses_reasoning: false,
    edit_hub,
    edit_identity,
};

/// Ollama reads `max_tokens` only, knows no `developer`, and calls thinking `reasoning`.
fn edit_hub(_call: &Call<'_>, body: &mut Map<String, Value>, losses: &mut Losses) {
    if let Some(count) = body.shift_remove("max_completion_tokens") {
        body.insert("max_tokens".into(), count);
    }
    if body.shift_remove("user").is_some() {
        losses.add("user", "Ollama takes no end user");
    }
    for message in body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(message) = message.as_object_mut() else { continue };
        if message.get("role") == Some(&json!("developer")) {
            message.insert("role".into(), json!("system"));
        }
        if let Some(text) = message.shift_remove("reasoning_content") {
            message.insert("reasoning".into(), text);
        }
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            if call.as_object_mut().and_then(|call| call.shift_remove("extra_content")).is_some() {
                losses.add("messages.tool_calls", "a signature goes back to its issuer only");
            }
        }
    }
}

/// The limit would be ignored under its newer name, which is a silent loss.
fn edit_identity(top: &TopLevel<'_>, patch: &mut Patch) {
    if top.raw("max_tokens").is_none() {
        patch.rename("max_completion_tokens", "max_tokens");
    }
}
