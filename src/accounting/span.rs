//! A record as a span, for collectors of traces that speak OTLP, with the GenAI semantic conventions.
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>, <https://opentelemetry.io/docs/specs/otlp/>

use serde_json::{Value, json};

use super::record::{Outcome, Record};

/// The trace that a request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// 32 hex digits.
    pub trace_id: String,
    /// The caller's span, 16 hex digits.
    pub parent: Option<String>,
    /// Whether the caller keeps the trace; of one that it drops, our part would be an orphan.
    pub is_sampled: bool,
}

impl Trace {
    /// Reads a `traceparent` header; `None` for anything that is none. <https://www.w3.org/TR/trace-context/>
    pub fn of_header(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace_id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && text.bytes().any(|byte| byte != b'0')
        };
        let is_known = version.len() == 2 && version != "ff";
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (is_known && is_hex(trace_id, 32) && is_hex(parent, 16)).then(|| Self {
            trace_id: trace_id.to_owned(),
            parent: Some(parent.to_owned()),
            is_sampled,
        })
    }
}

/// The span of a request. `random` names it, and its trace where the caller has none.
pub fn span(record: &Record, trace: Option<&Trace>, random: [u8; 16]) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let asked = record.model_asked.as_deref().unwrap_or_default();
    let operation = match record.object {
        "chat" | "messages" | "responses" => "chat",
        "embeddings" => "embeddings",
        other => other,
    };
    let provider = record.provider.map(|provider| match provider {
        "gemini" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "azure" => "azure.ai.openai",
        other => other,
    });
    let text = |key: &str, value: Option<&str>| Some(json!({"key": key, "value": {"stringValue": value.filter(|value| !value.is_empty())?}}));
    // Whole numbers are strings in OTLP's JSON.
    let int = |key: &str, value: Option<u64>| Some(json!({"key": key, "value": {"intValue": value?.to_string()}}));
    let tokens = record.tokens;
    let mut attributes: Vec<Value> = [
        text("gen_ai.operation.name", Some(operation)),
        text("gen_ai.provider.name", provider),
        text("gen_ai.request.model", Some(asked)),
        text("gen_ai.response.model", record.model.as_deref()),
        int("gen_ai.usage.input_tokens", tokens.map(|t| t.input_tokens + t.cache_read_tokens + t.cache_write_5m_tokens + t.cache_write_1h_tokens)),
        int("gen_ai.usage.output_tokens", tokens.map(|t| t.output_tokens)),
        int("gen_ai.usage.cache_read.input_tokens", tokens.map(|t| t.cache_read_tokens)),
        int("gen_ai.usage.cache_creation.input_tokens", tokens.map(|t| t.cache_write_5m_tokens + t.cache_write_1h_tokens)),
        int("http.response.status_code", Some(record.http_status.into())),
        text("error.type", record.error_type.as_deref()),
        text("finops.request.id", Some(&record.id)),
        text("finops.cost.usd", record.money().map(|cost| cost.to_string()).as_deref()),
        text("finops.key.name", record.key_name.as_deref()),
        text("finops.virtual_key.id", record.virtual_key_id.as_deref()),
        int("finops.attempts", Some(record.attempts.into())),
        int("finops.fallback_index", Some(record.fallback_index.into())),
    ]
    .into_iter()
    .flatten()
    .collect();
    attributes.extend(record.labels.iter().filter_map(|(name, value)| text(&format!("finops.dim.{name}"), Some(value))));
    let nanoseconds = |milliseconds: u64| format!("{milliseconds}000000");
    let (trace_bytes, span_bytes) = (hex(&random), hex(random.get(..8).unwrap_or_default()));
    let trace_id = trace.map_or(trace_bytes.as_str(), |trace| trace.trace_id.as_str());
    let mut span = json!({
        "traceId": trace_id,
        "spanId": span_bytes,
        "name": if asked.is_empty() { operation.to_owned() } else { format!("{operation} {asked}") },
        "kind": 3,
        "startTimeUnixNano": nanoseconds(record.at_ms),
        "endTimeUnixNano": nanoseconds(record.at_ms + record.duration_ms),
        "attributes": attributes,
        "status": if record.status == Outcome::Error { json!({"code": 2}) } else { json!({}) },
    });
    if let (Some(parent), Some(span)) = (trace.and_then(|trace| trace.parent.as_deref()), span.as_object_mut()) {
        span.insert("parentSpanId".to_owned(), parent.into());
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_continued() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = Trace::of_header(good).unwrap();
        assert_eq!((read.parent.as_deref(), read.is_sampled), (Some("00f067aa0ba902b7"), true));
        assert!(!Trace::of_header(&good.replace("-01", "-00")).unwrap().is_sampled);
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Trace::of_header(bad), None, "{bad}");
        }
    }
}
