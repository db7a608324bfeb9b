//! The words of the dialect: finish reasons and usage.

use serde_json::{Value, json};

use crate::ir::{Stop, StopReason, Usage};

pub(super) fn decode_finish(word: &str, has_tool_calls: bool) -> Stop {
    let reason = match word {
        "length" => StopReason::Length,
        "tool_calls" | "function_call" => StopReason::ToolUse,
        "content_filter" => StopReason::Refusal,
        // Several servers say `stop` beside tool calls; a caller would then never run them.
        _ if has_tool_calls => StopReason::ToolUse,
        _ => StopReason::End,
    };
    Stop::new(reason, word)
}

pub(super) fn encode_finish(reason: StopReason) -> &'static str {
    match reason {
        StopReason::End | StopReason::Sequence | StopReason::Pause => "stop",
        StopReason::Length | StopReason::ContextFull => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::Refusal => "content_filter",
    }
}

/// `prompt_tokens` includes what was read from and written into caches, `completion_tokens` includes reasoning.
pub fn decode_usage(usage: &Value) -> Option<Usage> {
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    usage.get("prompt_tokens").or_else(|| usage.get("completion_tokens"))?;
    let (read, written) = (count("/prompt_tokens_details/cached_tokens"), count("/prompt_tokens_details/cache_write_tokens"));
    Some(Usage {
        input: count("/prompt_tokens").saturating_sub(read).saturating_sub(written),
        cache_read: read,
        cache_write_5m: written,
        cache_write_1h: 0,
        output: count("/completion_tokens"),
        reasoning: count("/completion_tokens_details/reasoning_tokens"),
        audio_input: count("/prompt_tokens_details/audio_tokens"),
        audio_output: count("/completion_tokens_details/audio_tokens"),
    })
}

/// `cache_write_tokens` is OpenRouter's name; OpenAI's own cache writes cost nothing and have none.
pub(super) fn encode_usage(usage: &Usage) -> Value {
    let mut prompt = json!({"cached_tokens": usage.cache_read, "audio_tokens": usage.audio_input});
    if let (Some(map), true) = (prompt.as_object_mut(), usage.cache_write() > 0) {
        map.insert("cache_write_tokens".to_owned(), usage.cache_write().into());
    }
    json!({
        "prompt_tokens": usage.total_input(),
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}
