//! Errors in Anthropic's shape: <https://docs.anthropic.com/en/api/errors>.

use serde_json::{Value, json};

use crate::dialects::UpstreamError;

/// Reads an error body; every member may be missing.
pub fn decode_error(body: &Value) -> UpstreamError {
    let error = body.get("error").unwrap_or(body);
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    UpstreamError { message: text("message").or_else(|| error.as_str().map(str::to_owned)), kind: text("type"), code: None, param: None }
}

/// Writes an error body.
pub fn encode_error(status: u16, message: &str, request_id: Option<&str>) -> Value {
    error_body(status, message, request_id)
}

pub(super) fn error_body(status: u16, message: &str, request_id: Option<&str>) -> Value {
    json!({"type": "error", "error": {"type": kind(status), "message": message}, "request_id": request_id})
}

fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

pub(super) fn status_of_kind(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}
