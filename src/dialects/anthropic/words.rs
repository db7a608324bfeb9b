//! The words of the dialect: stop reasons, usage and artefacts.

use serde_json::{Value, json};

use crate::ir::{Issuer, Opaque, Placement, Stop, StopReason, Usage};

pub(super) fn decode_stop(word: &str, sequence: Option<String>) -> Stop {
    let reason = match word {
        "max_tokens" => StopReason::Length,
        "tool_use" => StopReason::ToolUse,
        "stop_sequence" => StopReason::Sequence,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        "model_context_window_exceeded" => StopReason::ContextFull,
        _ => StopReason::End,
    };
    Stop { sequence, ..Stop::new(reason, word) }
}

pub(super) fn encode_stop(stop: &Stop) -> &'static str {
    match stop.reason {
        StopReason::End => "end_turn",
        StopReason::Sequence if stop.sequence.is_some() => "stop_sequence",
        StopReason::Sequence => "end_turn",
        StopReason::Length => "max_tokens",
        StopReason::ToolUse => "tool_use",
        StopReason::Refusal => "refusal",
        StopReason::Pause => "pause_turn",
        StopReason::ContextFull => "model_context_window_exceeded",
    }
}

/// Takes over what `update` says; in a stream each number replaces the one before, and absent ones keep theirs.
pub fn update_usage(usage: &mut Usage, update: &Value) {
    let count = |pointer: &str| update.pointer(pointer).and_then(Value::as_u64);
    let set = |slot: &mut u64, pointer: &str| *slot = count(pointer).unwrap_or(*slot);
    set(&mut usage.input, "/input_tokens");
    set(&mut usage.cache_read, "/cache_read_input_tokens");
    set(&mut usage.output, "/output_tokens");
    set(&mut usage.reasoning, "/output_tokens_details/thinking_tokens");
    if let Some(hour) = count("/cache_creation/ephemeral_1h_input_tokens") {
        usage.cache_write_1h = hour;
    }
    if let Some(written) = count("/cache_creation_input_tokens") {
        usage.cache_write_5m = written.saturating_sub(usage.cache_write_1h);
    }
}

pub(super) fn encode_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write(),
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_5m, "ephemeral_1h_input_tokens": usage.cache_write_1h},
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "inference_geo": null,
        "server_tool_use": null,
        "service_tier": null,
    })
}

/// The text that stands in `thinking.signature` or `redacted_thinking.data` for an artefact.
pub(super) fn encode_opaque(opaque: Opaque) -> String {
    match (&opaque.issuer, opaque.placement) {
        (Issuer::Anthropic, Placement::Signature | Placement::Redacted) => opaque.data,
        _ => opaque.tagged(),
    }
}

/// The artefact in such a text: Anthropic's own unless it is tagged. Empty means none.
pub(super) fn decode_opaque(text: String, placement: Placement) -> Option<Opaque> {
    if text.is_empty() {
        return None;
    }
    Some(Opaque::of_tagged(&text).unwrap_or_else(|| Opaque::new(Issuer::Anthropic, placement, text)))
}
