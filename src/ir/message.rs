use super::Part;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The operator.
    System,
    /// The operator, by OpenAI's newer name.
    Developer,
    /// The person, and the results of tools.
    User,
    /// The model.
    Assistant,
}

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The speaker's name (chat completions only).
    pub name: Option<String>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

impl Message {
    /// For each message, whether a tool result comes after it before the model speaks again: what stands there must not part
    /// a call from its results.
    pub fn before_results(messages: &[Message]) -> Vec<bool> {
        let mut before = vec![false; messages.len()];
        let mut follows = false;
        for (slot, message) in before.iter_mut().zip(messages).rev() {
            *slot = follows;
            let has_result = message.parts.iter().any(|part| matches!(part, Part::ToolResult(_)));
            follows = message.role != Role::Assistant && (follows || has_result);
        }
        before
    }

    /// Whether it instructs the model.
    pub fn is_system(&self) -> bool {
        matches!(self.role, Role::System | Role::Developer)
    }
}
