//! What a caller hears before the answer is there, in a shape that its SDK parses.

use serde_json::{Value, json};

use super::{Kind, Status};

/// The answer of a job that is not done. `created` is in seconds since 1970.
pub fn skeleton(kind: Kind, id: &str, model: &str, created: u64, status: Status) -> Value {
    match kind {
        Kind::Chat => json!({"id": id, "object": "chat.completion", "created": created, "model": model, "choices": [], "usage": null}),
        Kind::Messages => json!({
            "id": id, "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
        }),
        Kind::Responses => json!({
            "id": id, "object": "response", "created_at": created, "status": if status == Status::Queued { "queued" } else { "in_progress" },
            "background": true, "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null, "metadata": {}, "model": model,
            "output": [], "parallel_tool_calls": true, "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "store": true,
            "temperature": null, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": null, "truncation": "disabled", "usage": null, "user": null,
        }),
        Kind::Embeddings => json!({"id": id, "object": "list", "data": [], "model": model, "usage": {"prompt_tokens": 0, "total_tokens": 0}}),
    }
}
