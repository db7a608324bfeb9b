//! Errors in Google's shape: <https://cloud.google.com/apis/design/errors>.

use serde_json::{Value, json};

use crate::dialects::UpstreamError;

/// Reads an error body; it may be a list of one, and every member may be missing.
pub fn decode_error(body: &Value) -> UpstreamError {
    let body = body.get(0).unwrap_or(body);
    let error = body.get("error").unwrap_or(body);
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    let reason = details.filter_map(|detail| detail.get("reason")?.as_str()).next().map(str::to_owned);
    UpstreamError { message: text("message").or_else(|| error.as_str().map(str::to_owned)), kind: text("status"), code: reason, param: None }
}

/// Writes an error body.
pub fn encode_error(status: u16, message: &str) -> Value {
    let word = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 => "UNIMPLEMENTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        _ if (400..500).contains(&status) => "FAILED_PRECONDITION",
        502 | 503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": message, "status": word}})
}
