//! A failure in the caller's dialect. The one place that says how errors read.

use super::{Failure, LimitReached};
use crate::dialects::{anthropic, gemini, openai_chat};
use crate::governance::Dimension;
use crate::ir::Dialect;

/// An answer ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides the content type.
    pub headers: Vec<(String, String)>,
    /// The JSON body.
    pub body: String,
}

/// The HTTP status that a caller of that dialect gets.
pub fn status_for(failure: &Failure, dialect: Dialect) -> u16 {
    match (failure.status(), dialect) {
        // OpenAI's API has no 529; its SDKs know 503 as "overloaded, try again".
        (529, Dialect::OpenAiChat | Dialect::OpenAiResponses) => 503,
        (status, _) => status,
    }
}

/// Renders the failure for a caller of that dialect.
pub fn render(failure: &Failure, dialect: Dialect, request_id: &str) -> Rendered {
    let status = status_for(failure, dialect);
    let message = failure.message();
    let mut headers = Vec::new();
    let mut id = request_id.to_owned();
    match failure {
        Failure::MethodNotAllowed { allow, .. } => headers.push(("allow".to_owned(), allow.clone())),
        Failure::Upstream(upstream) => {
            // The provider's own id is what its support asks for.
            if let Some((_, own)) = upstream.headers.iter().find(|(name, _)| name == "request-id" || name == "x-request-id") {
                id.clone_from(own);
            }
            headers.extend(upstream.headers.iter().filter(|(name, _)| name != "x-request-id").cloned());
        }
        Failure::LimitReached(reached) => headers.extend(of_limit(reached)),
        // Trying again with the same request cannot help.
        _ if status < 500 => headers.push(("x-should-retry".to_owned(), "false".to_owned())),
        _ => {}
    }
    if let Some(kind) = failure.kind() {
        headers.push(("x-bf-error-type".to_owned(), kind.to_owned()));
    }
    let body = match dialect {
        Dialect::Anthropic => anthropic::encode_error(status, &message, Some(&id)),
        Dialect::Gemini => gemini::encode_error(status, &message),
        _ => openai_chat::encode_error(status, &message, failure.param(), failure.code()),
    };
    headers.push(("x-request-id".to_owned(), id));
    Rendered { status, headers, body: body.to_string() }
}

/// When to come back, and the limit in the words of OpenAI's API: https://platform.openai.com/docs/guides/rate-limits
fn of_limit(reached: &LimitReached) -> Vec<(String, String)> {
    if reached.reading.dimension == Dimension::Cost {
        return vec![("x-should-retry".to_owned(), "false".to_owned())];
    }
    let again = if reached.is_reserved { 1 } else { reached.resets_in(&reached.reading).max(1) };
    let mut headers = vec![("retry-after".to_owned(), again.to_string())];
    for reading in &reached.stands {
        let word = match reading.dimension {
            Dimension::Requests => "requests",
            Dimension::Tokens => "tokens",
            Dimension::Cost => continue,
        };
        let reset = format!("{}s", reached.resets_in(reading).max(1));
        for (name, value) in [("limit", reading.max.to_string()), ("remaining", reading.remaining().to_string()), ("reset", reset)] {
            headers.push((format!("x-ratelimit-{name}-{word}"), value));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::UpstreamError;
    use crate::http::UpstreamFailure;
    use serde_json::{Value, json};

    fn upstream(status: u16) -> Failure {
        let error = UpstreamError { message: Some("said".into()), kind: Some("overloaded_error".into()), ..UpstreamError::default() };
        let headers = vec![("retry-after".into(), "7".into()), ("request-id".into(), "req_1".into())];
        Failure::Upstream(Box::new(UpstreamFailure { provider: "anthropic", status, error, with_callers_key: false, headers }))
    }

    #[test]
    fn a_refused_gateway_key_is_not_the_callers_401() {
        for status in [401, 403] {
            let rendered = render(&upstream(status), Dialect::OpenAiChat, "r");
            assert_eq!(rendered.status, 502);
            assert!(!rendered.body.contains("said"));
        }
    }

    #[test]
    fn an_error_has_the_shape_and_the_words_of_the_callers_dialect() {
        let rendered = render(&upstream(529), Dialect::Anthropic, "r");
        let body: Value = serde_json::from_str(&rendered.body).unwrap();
        assert_eq!(
            (rendered.status, body),
            (529, json!({"type": "error", "error": {"type": "overloaded_error", "message": "said"}, "request_id": "req_1"}))
        );
        let rendered = render(&upstream(529), Dialect::OpenAiChat, "r");
        let body: Value = serde_json::from_str(&rendered.body).unwrap();
        assert_eq!(rendered.status, 503);
        assert_eq!(body["error"]["type"], "service_unavailable_error");
        assert!(rendered.headers.contains(&("retry-after".into(), "7".into())));
    }
}
