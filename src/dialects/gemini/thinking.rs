//! How much to think: a level from Gemini 3 on, a budget in tokens before.

use serde_json::{Value, json};

use super::models::version;
use crate::ir::{Effort, Losses, Thinking};

/// The `thinkingConfig` for the wish, if the model can think.
pub(super) fn encode_thinking(thinking: Option<Thinking>, path: &str, model: &str, losses: &mut Losses) -> Option<Value> {
    let thinking = thinking?;
    let version = version(model).filter(|version| *version >= (2, 5));
    let Some(version) = version else {
        if thinking != Thinking::Off {
            losses.add(path, "this model cannot think");
        }
        return None;
    };
    if version.0 >= 3 { Some(level(thinking, path, model, losses)) } else { Some(budget(thinking, path, model, losses)) }
}

fn level(thinking: Thinking, path: &str, model: &str, losses: &mut Losses) -> Value {
    let flash = model.contains("flash");
    let effort = match thinking {
        Thinking::Off => {
            losses.add(path, "this model always thinks; it was told to think as little as it can");
            return json!({"thinkingLevel": if flash { "minimal" } else { "low" }});
        }
        Thinking::Effort(effort) | Thinking::Adaptive(Some(effort)) => effort,
        Thinking::Budget(budget) => Effort::of_budget(budget),
        Thinking::Adaptive(None) => return json!({"includeThoughts": true}),
    };
    let level = match effort {
        Effort::Minimal if flash => "minimal",
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium if flash => "medium",
        _ => "high",
    };
    json!({"includeThoughts": true, "thinkingLevel": level})
}

/// Each model has a range; outside it the request is refused.
fn budget(thinking: Thinking, path: &str, model: &str, losses: &mut Losses) -> Value {
    let (least, most) = match () {
        () if model.contains("flash-lite") => (512, 24_576),
        () if model.contains("flash") => (0, 24_576),
        () => (128, 32_768),
    };
    let tokens = match thinking {
        Thinking::Off if least <= 512 && model.contains("flash") => return json!({"thinkingBudget": 0}),
        Thinking::Off => {
            losses.add(path, "this model always thinks; it was told to think as little as it can");
            return json!({"thinkingBudget": least});
        }
        Thinking::Effort(effort) | Thinking::Adaptive(Some(effort)) => effort.budget(),
        Thinking::Budget(budget) => budget,
        Thinking::Adaptive(None) => return json!({"includeThoughts": true, "thinkingBudget": -1}),
    };
    json!({"includeThoughts": true, "thinkingBudget": tokens.clamp(least, most)})
}
