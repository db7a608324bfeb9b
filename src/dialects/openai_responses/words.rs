//! The words of the dialect: how an answer ended, usage, artefacts.

use serde_json::{Value, json};

use crate::ir::{Issuer, Opaque, Placement, Stop, StopReason, Usage};

/// How the answer ended, from `status` and `incomplete_details.reason`.
pub(super) fn decode_stop(status: &str, reason: Option<&str>, called: bool) -> Stop {
    let found = match (status, reason) {
        (_, Some("content_filter")) => StopReason::Refusal,
        ("incomplete", _) => StopReason::Length,
        _ if called => StopReason::ToolUse,
        _ => StopReason::End,
    };
    Stop::new(found, reason.unwrap_or(status))
}

/// `status`, and why the answer is incomplete where it is.
pub(super) fn encode_stop(reason: StopReason) -> (&'static str, Option<&'static str>) {
    match reason {
        StopReason::End | StopReason::Sequence | StopReason::ToolUse | StopReason::Pause => ("completed", None),
        StopReason::Length | StopReason::ContextFull => ("incomplete", Some("max_output_tokens")),
        StopReason::Refusal => ("incomplete", Some("content_filter")),
    }
}

/// `input_tokens` includes what was read from and written into caches, `output_tokens` includes reasoning.
pub fn decode_usage(usage: &Value) -> Option<Usage> {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    usage.get("input_tokens")?;
    let (read, written) = (count("/input_tokens_details/cached_tokens"), count("/input_tokens_details/cache_write_tokens"));
    Some(Usage {
        input: count("/input_tokens").saturating_sub(read).saturating_sub(written),
        cache_read: read,
        cache_write_5m: written,
        output: count("/output_tokens"),
        reasoning: count("/output_tokens_details/reasoning_tokens"),
        ..Usage::default()
    })
}

pub(super) fn encode_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.total_input(),
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write()},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    })
}

/// The text that stands in `encrypted_content` for an artefact: OpenAI's own as it is, others tagged.
pub(super) fn encode_opaque(opaque: &Opaque) -> String {
    if opaque.issuer == Issuer::OpenAi { opaque.data.clone() } else { opaque.tagged() }
}

/// The artefact in such a text.
pub(super) fn decode_opaque(text: &str, id: Option<String>) -> Opaque {
    Opaque::of_tagged(text).unwrap_or_else(|| Opaque { id, ..Opaque::new(Issuer::OpenAi, Placement::Signature, text) })
}
