//! What OpenAI's own models refuse: <https://platform.openai.com/docs/guides/reasoning>.

use serde_json::{Map, Value};

use crate::ir::Losses;

/// OpenAI refuses an end user's name longer than this.
const USER_MAX: usize = 64;

/// Takes out of a translated body what the model would refuse, and names it.
pub(crate) fn edit_hub(model: &str, body: &mut Map<String, Value>, losses: &mut Losses) {
    if is_reasoning(model) {
        for key in ["temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "stop"] {
            if body.shift_remove(key).is_some_and(|value| value.as_f64() != Some(1.0)) {
                losses.add(key, "reasoning models do not take it");
            }
        }
        // Only from GPT-5.1 on can a model not think.
        if body.get("reasoning_effort").is_some_and(|effort| effort == "none") && !can_rest(model) {
            body.insert("reasoning_effort".into(), if model.contains("gpt-5") { "minimal" } else { "low" }.into());
            losses.add("thinking", "this model always thinks; it was told to think as little as it can");
        }
    } else if let Some(effort) = body.shift_remove("reasoning_effort")
        && effort != "none"
    {
        losses.add("reasoning_effort", "this model cannot think");
    }
    if body.get("user").and_then(Value::as_str).is_some_and(|user| user.len() > USER_MAX) {
        body.shift_remove("user");
        losses.add("user", "OpenAI takes at most 64 characters");
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
    fn what_a_reasoning_model_refuses_is_named() {
        let mut body = json!({"temperature": 0.2, "top_p": 1, "stop": ["x"]}).as_object().cloned().unwrap();
        let mut losses = Losses::default();
        edit_hub("o3", &mut body, &mut losses);
        assert!(body.is_empty());
        assert_eq!(losses.iter().map(|loss| loss.path.as_str()).collect::<Vec<_>>(), ["temperature", "stop"]);
    }
}
