//! What OpenAI's own models refuse: <https://platform.openai.com/docs/guides/reasoning>.

use serde_json::{Map, Value};

use crate::ir::{Dialect, Losses};
use crate::providers::Call;

/// OpenAI refuses an end user's name longer than this.
const USER_MAX: usize = 64;

/// The dialects that a model is spoken to in, the one that loses least first. Only Responses tells what a reasoning model
/// thought and takes it back.
pub(crate) fn dialects(model: &str) -> &'static [Dialect] {
    match model {
        _ if speaks_responses_only(model) => &[Dialect::OpenAiResponses],
        _ if is_reasoning(model) => &[Dialect::OpenAiResponses, Dialect::OpenAiChat],
        _ => &[Dialect::OpenAiChat, Dialect::OpenAiResponses],
    }
}

/// <https://platform.openai.com/docs/models>: each of these has no chat completions endpoint.
fn speaks_responses_only(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let undated = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    (is_reasoning(name) && (undated.ends_with("-pro") || name.contains("-codex") || name.contains("-deep-research")))
        || name.starts_with("codex-mini")
        || name.starts_with("computer-use")
}

/// Takes out of a translated body what the model would refuse, and names it.
pub(crate) fn edit_hub(call: &Call<'_>, body: &mut Map<String, Value>, losses: &mut Losses) {
    if body.get("user").and_then(Value::as_str).is_some_and(|user| user.len() > USER_MAX) {
        body.shift_remove("user");
        losses.add("user", "OpenAI takes at most 64 characters");
    }
    match call.dialect {
        Dialect::OpenAiResponses => edit_responses(call.model, body, losses),
        _ => edit_chat(call.model, body, losses),
    }
}

fn edit_responses(model: &str, body: &mut Map<String, Value>, losses: &mut Losses) {
    if is_reasoning(model) {
        lose_sampling(&["temperature", "top_p", "top_logprobs"], body, losses);
        if let Some(include) = body.get_mut("include").and_then(Value::as_array_mut) {
            include.retain(|item| item != "message.output_text.logprobs");
        }
        if let Some(effort) = body.get_mut("reasoning").and_then(|reasoning| reasoning.get_mut("effort")) {
            keep_thinking(model, effort, losses);
        }
        return;
    }
    if let Some(include) = body.get_mut("include").and_then(Value::as_array_mut) {
        include.retain(|item| item != "reasoning.encrypted_content");
    }
    if let Some(reasoning) = body.shift_remove("reasoning")
        && reasoning.get("effort").is_some_and(|effort| effort != "none")
    {
        losses.add("reasoning_effort", "this model cannot think");
    }
    let before = losses.iter().count();
    for (i, item) in body.get("input").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if item.get("type").is_some_and(|kind| kind == "reasoning") {
            losses.add(format!("input[{i}]"), "this model cannot think, and takes no thinking back");
        }
    }
    if let Some(input) = body.get_mut("input").and_then(Value::as_array_mut).filter(|_| losses.iter().count() > before) {
        input.retain(|item| item.get("type").is_none_or(|kind| kind != "reasoning"));
    }
}

fn lose_sampling(keys: &[&str], body: &mut Map<String, Value>, losses: &mut Losses) {
    for key in keys {
        if body.shift_remove(*key).is_some_and(|value| value.as_f64() != Some(1.0)) {
            losses.add(*key, "reasoning models do not take it");
        }
    }
}

/// Only from GPT-5.1 on can a model not think.
fn keep_thinking(model: &str, effort: &mut Value, losses: &mut Losses) {
    if *effort == "none" && !can_rest(model) {
        *effort = if model.contains("gpt-5") { "minimal" } else { "low" }.into();
        losses.add("reasoning_effort", "this model always thinks; it was told to think as little as it can");
    }
}

fn edit_chat(model: &str, body: &mut Map<String, Value>, losses: &mut Losses) {
    if is_reasoning(model) {
        lose_sampling(&["temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "stop"], body, losses);
        if let Some(effort) = body.get_mut("reasoning_effort") {
            keep_thinking(model, effort, losses);
        }
    } else if let Some(effort) = body.shift_remove("reasoning_effort")
        && effort != "none"
    {
        losses.add("reasoning_effort", "this model cannot think");
    }
    for (i, message) in body.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        let Some(message) = message.as_object_mut() else { continue };
        for key in ["reasoning_content", "reasoning_details"] {
            if message.shift_remove(key).is_some() {
                losses.add(format!("messages[{i}].{key}"), "OpenAI takes no thinking back here");
            }
        }
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            if call.as_object_mut().and_then(|call| call.shift_remove("extra_content")).is_some() {
                losses.add(format!("messages[{i}].tool_calls"), "a signature goes back to its issuer only");
            }
        }
    }
}

fn can_rest(model: &str) -> bool {
    model
        .rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with("gpt-5.") || ["gpt-6", "gpt-7", "gpt-8", "gpt-9"].iter().any(|prefix| name.starts_with(prefix)))
}

/// Whether the model reasons, by its name: the o series and GPT-5 on, but for its chat variants.
fn is_reasoning(model: &str) -> bool {
    let model = model.rsplit('/').next().unwrap_or(model);
    let after = |prefix: &str| model.strip_prefix(prefix).and_then(|rest| rest.chars().next());
    let o_series = after("o").is_some_and(|c| c.is_ascii_digit());
    let gpt = after("gpt-").is_some_and(|c| ('5'..='9').contains(&c));
    (o_series || gpt) && !model.contains("-chat")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reasoning_model_is_known_by_its_name() {
        for (name, expected) in [("o3-mini", true), ("gpt-5-mini", true), ("gpt-5-chat-latest", false), ("gpt-4o", false), ("omni", false)] {
            assert_eq!(is_reasoning(name), expected, "{name}");
        }
    }

    #[test]
    fn the_dialect_that_loses_least_comes_first() {
        use Dialect::{OpenAiChat as Chat, OpenAiResponses as Responses};
        for (name, expected) in [
            ("gpt-4o", &[Chat, Responses][..]),
            ("gpt-5-mini", &[Responses, Chat]),
            ("gpt-5.2-pro-2025-12-11", &[Responses]),
            ("o1-pro", &[Responses]),
            ("gpt-5.1-codex-max", &[Responses]),
        ] {
            assert_eq!(dialects(name), expected, "{name}");
        }
    }

    #[test]
    fn what_a_reasoning_model_refuses_is_named() {
        let mut body = json!({"temperature": 0.2, "top_p": 1, "stop": ["x"]}).as_object().cloned().unwrap();
        let mut losses = Losses::default();
        let call = Call { dialect: Dialect::OpenAiChat, model: "o3", stream: false, api_version: None, betas: None };
        edit_hub(&call, &mut body, &mut losses);
        assert!(body.is_empty());
        assert_eq!(losses.iter().map(|loss| loss.path.as_str()).collect::<Vec<_>>(), ["temperature", "stop"]);
    }
}
