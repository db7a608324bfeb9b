//! The words of the dialect: finish reasons, usage and likelihoods.

use serde_json::{Value, json};

use crate::ir::{Stop, StopReason, Usage};

pub(super) fn decode_finish(word: &Value, has_calls: bool) -> Stop {
    // Some deployments send the enum's number.
    let native = match word {
        Value::String(word) => word.clone(),
        other => match other.as_u64() {
            Some(1) => "STOP".to_owned(),
            Some(2) => "MAX_TOKENS".to_owned(),
            Some(3) => "SAFETY".to_owned(),
            Some(4) => "RECITATION".to_owned(),
            _ => other.to_string(),
        },
    };
    let reason = match native.as_str() {
        "MAX_TOKENS" => StopReason::Length,
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "MODEL_ARMOR" => StopReason::Refusal,
        word if word.starts_with("IMAGE_") || word == "NO_IMAGE" => StopReason::Refusal,
        // Not `stop`, which would call a broken answer a whole one; SDKs have no word of their own for it.
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" | "MISSING_THOUGHT_SIGNATURE" | "MALFORMED_RESPONSE" => {
            StopReason::Refusal
        }
        _ if has_calls => StopReason::ToolUse,
        _ => StopReason::End,
    };
    Stop::new(reason, &native)
}

/// `promptTokenCount` includes what was read from the cache; thoughts are counted beside the answer.
pub fn decode_usage(usage: &Value) -> Usage {
    let count = |key: &str| usage.get(key).and_then(Value::as_u64).unwrap_or(0);
    let audio = |key: &str| {
        let items = usage.get(key).and_then(Value::as_array).into_iter().flatten();
        let audio = items.filter(|item| item.get("modality").and_then(Value::as_str) == Some("AUDIO"));
        audio.filter_map(|item| item.get("tokenCount").and_then(Value::as_u64)).sum()
    };
    let (cached, thoughts) = (count("cachedContentTokenCount"), count("thoughtsTokenCount"));
    Usage {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")).saturating_sub(cached),
        cache_read: cached,
        output: count("candidatesTokenCount").saturating_add(thoughts),
        reasoning: thoughts,
        audio_input: audio("promptTokensDetails"),
        audio_output: audio("candidatesTokensDetails"),
        ..Usage::default()
    }
}

/// Gemini's `logprobsResult` in chat completions' shape.
pub(super) fn decode_logprobs(result: &Value) -> Option<Value> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let entry = |candidate: &Value| {
        let token = candidate.get("token").and_then(Value::as_str).unwrap_or_default();
        json!({"token": token, "logprob": candidate.get("logProbability"), "bytes": token.as_bytes()})
    };
    let tops = list(result, "topCandidates");
    let content: Vec<Value> = list(result, "chosenCandidates")
        .iter()
        .enumerate()
        .map(|(i, chosen)| {
            let top: Vec<Value> = tops.get(i).map(|top| list(top, "candidates")).unwrap_or_default().iter().map(entry).collect();
            let mut entry = entry(chosen);
            if let Some(map) = entry.as_object_mut() {
                map.insert("top_logprobs".into(), top.into());
            }
            entry
        })
        .collect();
    (!content.is_empty()).then(|| json!({"content": content, "refusal": null}))
}
