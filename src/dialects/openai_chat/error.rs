//! Errors in OpenAI's shape: <https://platform.openai.com/docs/guides/error-codes>.

use serde_json::{Value, json};

use crate::dialects::UpstreamError;

/// Reads an error body; every member may be missing.
pub fn decode_error(body: &Value) -> UpstreamError {
    let error = body.get("error").unwrap_or(body);
    let text = |key: &str| match error.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    UpstreamError {
        message: text("message")
            .or_else(|| error.as_str().map(str::to_owned))
            .or_else(|| body.get("detail").and_then(Value::as_str).map(str::to_owned)),
        kind: text("type"),
        code: text("code"),
        param: text("param"),
    }
}

/// Writes an error body.
pub fn encode_error(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Value {
    error_body(status, message, param, code)
}

pub(super) fn error_body(status: u16, message: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind(status), "param": param, "code": code}})
}

fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 | 529 => "service_unavailable_error",
        _ => "server_error",
    }
}
