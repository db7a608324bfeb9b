//! What OpenAI asks of a JSON schema, in both of its dialects.

use serde_json::{Map, Value};

use crate::ir::Losses;

/// `strict` as OpenAI can keep it.
pub(super) fn kept_strict(strict: Option<bool>, schema: &Value, path: &str, losses: &mut Losses) -> Option<bool> {
    match strict {
        Some(true) if !fits_strict(schema) => {
            losses.add(path, "OpenAI follows a schema exactly only if every member is required and no others are allowed");
            Some(false)
        }
        strict => strict,
    }
}

/// Whether OpenAI takes the schema as strict: <https://platform.openai.com/docs/guides/structured-outputs#supported-schemas>.
fn fits_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let required = map.get("required").and_then(Value::as_array);
            let all_required =
                |properties: &Map<String, Value>| properties.keys().all(|key| required.is_some_and(|list| list.iter().any(|item| item == key)));
            let closed = map.get("type").is_none_or(|kind| kind != "object") || map.get("additionalProperties") == Some(&Value::Bool(false));
            closed && map.get("properties").and_then(Value::as_object).is_none_or(all_required) && map.values().all(fits_strict)
        }
        Value::Array(items) => items.iter().all(fits_strict),
        _ => true,
    }
}
