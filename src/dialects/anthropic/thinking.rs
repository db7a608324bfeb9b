//! Thinking and its constraints: <https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking>.

use serde_json::{Map, Value, json};

use super::models::Facts;
use crate::ir::{Effort, Losses, Thinking};

/// The smallest budget the API takes.
const BUDGET_MIN: u64 = 1024;

/// What else in the request decides whether the model may think.
pub(super) struct Circumstances {
    /// The member that asked for it, for losses.
    pub(super) path: &'static str,
    pub(super) max_tokens: u64,
    /// A tool must be called: only `auto` and `none` go with thinking, and the choice means more than the thinking.
    pub(super) forced_tool: bool,
    /// A tool loop is open whose assistant turn has no thinking in front: the API refuses to go on thinking there.
    pub(super) loop_without_thinking: bool,
}

/// Writes `thinking` and `output_config.effort`; says whether the model will think.
pub(super) fn encode_thinking(
    thinking: Option<Thinking>,
    facts: Facts,
    circumstances: &Circumstances,
    body: &mut Map<String, Value>,
    losses: &mut Losses,
) -> bool {
    let mut lose = |reason: &'static str| {
        losses.add(circumstances.path, reason);
        false
    };
    let (effort, budget) = match thinking {
        None => return false,
        Some(Thinking::Off) => {
            if facts.thinks {
                body.insert("thinking".into(), json!({"type": "disabled"}));
            }
            return false;
        }
        Some(Thinking::Effort(effort)) => (Some(effort), effort.budget()),
        Some(Thinking::Budget(budget)) => (Some(Effort::of_budget(budget)), budget),
        Some(Thinking::Adaptive(effort)) => (effort, effort.unwrap_or(Effort::High).budget()),
    };
    if !facts.thinks {
        return lose("this model cannot think");
    }
    if circumstances.forced_tool {
        return lose("a forced tool choice excludes thinking");
    }
    if facts.adaptive {
        body.insert("thinking".into(), json!({"type": "adaptive"}));
        if let Some(effort) = effort {
            // Anthropic has no word below low.
            let effort = effort.max(Effort::Low);
            body.insert("output_config".into(), json!({"effort": effort.name()}));
        }
        return true;
    }
    if circumstances.loop_without_thinking {
        return lose("the open tool loop began without thinking");
    }
    let budget = budget.max(BUDGET_MIN).min(circumstances.max_tokens.saturating_sub(1));
    if budget < BUDGET_MIN {
        return lose("max_tokens leaves no room for the smallest thinking budget of 1024 tokens");
    }
    body.insert("thinking".into(), json!({"type": "enabled", "budget_tokens": budget}));
    true
}
