use serde_json::{Map, Value};

use super::{CacheControl, Opaque, Part};
use crate::base::ids::short_hash;

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments, as it came.
    pub parameters: Option<Value>,
    /// Whether arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// Whether the caller gives and gets its input as plain text (OpenAI's custom tools); the schema then is of an object with
    /// that text under [`Tool::INPUT`].
    pub free_form: bool,
    /// The namespace that it stands in, if any; `name` then begins with it: see [`Tool::joined`].
    pub namespace: Option<String>,
    /// A cache breakpoint after it.
    pub cache: Option<CacheControl>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

impl Tool {
    /// The argument that holds a free-form tool's text.
    pub const INPUT: &'static str = "input";

    /// The name of a tool in a namespace, for those who know no namespaces.
    pub fn joined(namespace: &str, name: &str) -> String {
        format!("{namespace}__{name}")
    }
}

/// How the caller knows a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its name, in its namespace.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Whether it takes free text.
    pub free_form: bool,
}

/// Which tool the model may or must call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Tool(String),
    /// One of these, or (`required: false`) none.
    Allowed {
        /// Their names.
        names: Vec<String>,
        /// Whether one must be called.
        required: bool,
    },
}

/// The model calls a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The call's identifier.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments.
    pub arguments: Arguments,
    /// Gemini's thought signature of the call.
    pub signature: Option<Opaque>,
    /// A cache breakpoint after it.
    pub cache: Option<CacheControl>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

/// A tool call's arguments, as the model wrote them: usually the text of a JSON object, but a model may break off in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Arguments {
    /// An object.
    Object(Map<String, Value>),
    /// Text that is no JSON object.
    Broken(String),
}

impl Arguments {
    /// Reads the text of a chat completion's `arguments`; nothing at all means no arguments.
    pub fn of_text(text: &str) -> Self {
        if text.trim().is_empty() {
            return Self::Object(Map::new());
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Self::Object(map),
            Ok(Value::Null) => Self::Object(Map::new()),
            _ => Self::Broken(text.to_owned()),
        }
    }

    /// As text, for dialects that carry a string.
    pub fn to_text(&self) -> String {
        match self {
            Self::Object(map) => serde_json::to_string(map).unwrap_or_default(),
            Self::Broken(text) => text.clone(),
        }
    }

    /// As an object, for dialects that carry one. Broken text is kept whole under `_raw`, so that nothing is lost.
    pub fn into_object(self) -> Map<String, Value> {
        match self {
            Self::Object(map) => map,
            Self::Broken(text) => Map::from_iter([("_raw".to_owned(), Value::String(text))]),
        }
    }
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The identifier of the call.
    pub call_id: String,
    /// What it answered.
    pub parts: Vec<Part>,
    /// Whether it failed.
    pub is_error: bool,
    /// A cache breakpoint after it.
    pub cache: Option<CacheControl>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

/// What the reply needs to speak of tools as the caller does: the names that the target refused, under those that it took,
/// which tools take free text, and which stand in a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameMap {
    renamed: Vec<(String, String)>,
    free_form: Vec<String>,
    /// Joined names, with their namespaces.
    namespaced: Vec<(String, String)>,
}

impl NameMap {
    /// The name to send for `name`: itself, if it is of letters, digits, `_` and `-` and at most `max` long.
    pub fn sent(&mut self, name: &str, max: usize) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.is_empty() && name.len() <= max && name.chars().all(fits) {
            return name.to_owned();
        }
        if let Some((sent, _)) = self.renamed.iter().find(|(_, original)| original == name) {
            return sent.clone();
        }
        // The hash keeps two names apart that differ only in what is replaced or cut.
        let mut sent: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(max.saturating_sub(9)).collect();
        sent.push('_');
        sent.push_str(&short_hash(name));
        self.renamed.push((sent.clone(), name.to_owned()));
        sent
    }

    /// What only the caller's dialect says of the tools.
    pub fn of_caller(tools: &[Tool]) -> Self {
        Self {
            renamed: Vec::new(),
            free_form: tools.iter().filter(|tool| tool.free_form).map(|tool| tool.name.clone()).collect(),
            namespaced: tools.iter().filter_map(|tool| Some((tool.name.clone(), tool.namespace.clone()?))).collect(),
        }
    }

    /// The same with the names that the target takes.
    pub fn with_renamed(self, other: Self) -> Self {
        Self { renamed: other.renamed, ..self }
    }

    /// How the caller knows the tool that the reply calls `sent`.
    pub fn called(&self, sent: String) -> Called {
        let joined = self.original(sent);
        let free_form = self.free_form.contains(&joined);
        let namespace = self.namespaced.iter().find(|(name, _)| *name == joined).map(|(_, namespace)| namespace.clone());
        let inner = namespace.as_deref().and_then(|namespace| joined.strip_prefix(namespace)?.strip_prefix("__"));
        Called { name: inner.unwrap_or(&joined).to_owned(), namespace, free_form }
    }

    /// The caller's own name for a name in the reply.
    pub fn original(&self, sent: String) -> String {
        self.renamed.iter().find(|(name, _)| *name == sent).map_or(sent, |(_, original)| original.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_target_refuses_is_mapped_and_mapped_back() {
        let mut names = NameMap::default();
        assert_eq!(names.sent("get_weather", 64), "get_weather");
        let long = "mcp__server.tools/".repeat(8);
        let (a, b) = (names.sent(&long, 64), names.sent(&format!("{long}x"), 64));
        assert!(a.len() <= 64 && a != b);
        assert_eq!(names.sent(&long, 64), a);
        assert_eq!(names.original(a), long);
    }

    #[test]
    fn arguments_keep_key_order_and_the_digits_of_numbers() {
        let text = r#"{"z":1.10,"a":12345678901234567890123,"m":1e-7}"#;
        assert_eq!(Arguments::of_text(text).to_text(), text);
        assert_eq!(Arguments::of_text(" ").to_text(), "{}");
        assert_eq!(Arguments::of_text("{\"a\":").into_object()["_raw"], "{\"a\":");
    }
}
