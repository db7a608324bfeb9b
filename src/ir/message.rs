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
    /// Whether it instructs the model.
    pub fn is_system(&self) -> bool {
        matches!(self.role, Role::System | Role::Developer)
    }
}
