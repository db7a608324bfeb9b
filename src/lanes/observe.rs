//! What an answer says of itself that nobody translated: read after the fact, from a copy.

use memchr::memmem;
use serde_json::Value;

use crate::base::scan::TopLevel;
use crate::base::sse;
use crate::dialects::{anthropic, gemini, openai_chat, openai_responses};
use crate::ir::Usage;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The model that answered.
    pub model: Option<String>,
    /// The tokens.
    pub usage: Option<Usage>,
}

/// Reads a whole answer, or as much of one as there is: JSON, or (`stream`) server-sent events.
pub fn observe(body: &[u8], stream: bool) -> Observed {
    let mut observed = Observed::default();
    if !stream {
        if let Ok(top) = TopLevel::scan(body) {
            // No tree of what may be a megabyte of vectors.
            let told = ["model", "modelVersion", "usage", "usageMetadata"].into_iter().filter_map(|key| {
                let value: Value = serde_json::from_str(top.raw(key)?).ok()?;
                Some((key.to_owned(), value))
            });
            observed.take(&Value::Object(told.collect()));
        } else if let Ok(Value::Array(chunks)) = serde_json::from_slice(body) {
            // Google's lists of chunks, where no events were asked for.
            chunks.iter().for_each(|chunk| observed.take(chunk));
        }
        return observed.counted();
    }
    let mut parser = sse::Parser::default();
    let mut take = |event: sse::Event<'_>| {
        // Most events say nothing of it; the first names the model.
        let says = |word: &[u8]| memmem::find(event.data, word).is_some();
        let tells = says(b"\"usageMetadata\"") || (says(b"\"usage\"") && !says(b"\"usage\":null") && !says(b"\"usage\": null"));
        if (tells || observed.model.is_none())
            && let Ok(json) = serde_json::from_slice::<Value>(event.data)
        {
            observed.take(&json);
        }
    };
    parser.push(body, &mut take);
    parser.finish(&mut take);
    observed.counted()
}

impl Observed {
    /// Usage without any count is none.
    fn counted(self) -> Self {
        Self { usage: self.usage.filter(|usage| usage.total() > 0), ..self }
    }

    fn take(&mut self, json: &Value) {
        // Responses and Messages wrap what an event is about.
        for inner in [Some(json), json.get("response"), json.get("message")].into_iter().flatten().filter(|inner| inner.is_object()) {
            let text = |key: &str| inner.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
            if let Some(model) = text("model").or_else(|| text("modelVersion")) {
                self.model = Some(model);
            }
            if let Some(usage) = inner.get("usageMetadata").filter(|usage| usage.is_object()) {
                self.usage = Some(gemini::decode_usage(usage));
            }
            if let Some(usage) = inner.get("usage").filter(|usage| usage.is_object()) {
                self.usage = openai_chat::decode_usage(usage).or_else(|| self.by_input_tokens(usage)).or(self.usage);
            }
        }
    }

    /// Responses and Messages both say `input_tokens`, of which Messages leaves the caches out; in its streams later numbers
    /// replace earlier ones.
    fn by_input_tokens(&self, usage: &Value) -> Option<Usage> {
        if usage.get("total_tokens").is_some() {
            return openai_responses::decode_usage(usage);
        }
        let mut merged = self.usage.unwrap_or_default();
        anthropic::update_usage(&mut merged, usage);
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, cache_read: u64, output: u64) -> Option<Usage> {
        Some(Usage { input, cache_read, output, ..Usage::default() })
    }

    #[test]
    fn every_dialect_tells_its_tokens_and_its_model_whole_and_streamed() {
        for (body, stream, model, expected) in [
            (
                r#"{"model":"m","usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}"#,
                false,
                "m",
                usage(7, 2, 4),
            ),
            (
                r#"{"model":"m","object":"response","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":2},"output_tokens":4,"total_tokens":13}}"#,
                false,
                "m",
                usage(7, 2, 4),
            ),
            (
                r#"{"model":"m","type":"message","usage":{"input_tokens":9,"cache_read_input_tokens":2,"output_tokens":4}}"#,
                false,
                "m",
                usage(9, 2, 4),
            ),
            (r#"{"modelVersion":"m","usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4}}"#, false, "m", usage(9, 0, 4)),
            (r#"{"object":"list","model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#, false, "m", usage(5, 0, 0)),
            (
                "data: {\"model\":\"m\",\"choices\":[{}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n",
                true,
                "m",
                usage(9, 0, 4),
            ),
            (
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":2,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n\n",
                true,
                "m",
                usage(9, 2, 4),
            ),
            (
                "data: {\"type\":\"response.created\",\"response\":{\"model\":\"m\",\"usage\":null}}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"m\",\"usage\":{\"input_tokens\":9,\"output_tokens\":4,\"total_tokens\":13}}}\n\n",
                true,
                "m",
                usage(9, 0, 4),
            ),
            (
                "data: {\"modelVersion\":\"m\",\"usageMetadata\":{\"promptTokenCount\":9}}\r\n\r\ndata: {\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":4}}\r\n\r\n",
                true,
                "m",
                usage(9, 0, 4),
            ),
        ] {
            assert_eq!(observe(body.as_bytes(), stream), Observed { model: Some(model.to_owned()), usage: expected }, "{body}");
        }
        assert_eq!(observe(b"\x1f\x8b", false), Observed::default());
    }
}
