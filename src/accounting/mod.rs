//! What is known of a request once it is over.

use serde_json::{Value, json};

use crate::ir::Usage;

/// One request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The gateway's identifier of it.
    pub id: String,
    /// When it came, in milliseconds since 1970.
    pub at_ms: u64,
    /// What was asked for: `passthrough`, …
    pub object: &'static str,
    /// Who answered.
    pub provider: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path, without its query.
    pub path: String,
    /// The model: as the answer names it, else as the path does.
    pub model: Option<String>,
    /// The status of the answer.
    pub http_status: u16,
    /// Whether the answer was a stream of events.
    pub stream: bool,
    /// Whether the answer reached the caller to its end.
    pub whole: bool,
    /// The size of the answer in bytes, where it is known.
    pub bytes: Option<u64>,
    /// The tokens, where the answer tells them.
    pub usage: Option<Usage>,
    /// From the request to the end of the answer, in milliseconds.
    pub duration_ms: u64,
}

impl Record {
    /// As one line of JSON for the console. Holds no credential and nothing that was said.
    pub fn line(&self) -> String {
        let usage = self.usage.map(|usage| {
            json!({
                "input": usage.input, "cache_read": usage.cache_read, "cache_write_5m": usage.cache_write_5m, "cache_write_1h": usage.cache_write_1h,
                "output": usage.output, "reasoning": usage.reasoning, "audio_input": usage.audio_input, "audio_output": usage.audio_output,
            })
        });
        let line: Value = json!({
            "id": self.id, "at_ms": self.at_ms, "object": self.object, "provider": self.provider, "model": self.model, "method": self.method,
            "path": self.path, "http_status": self.http_status, "stream": self.stream, "whole": self.whole, "bytes": self.bytes, "usage": usage,
            "duration_ms": self.duration_ms,
        });
        line.to_string()
    }
}
