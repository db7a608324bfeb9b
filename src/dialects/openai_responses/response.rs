//! The response object and its items, as replies and streams show them.

use serde_json::{Map, Value, json};

use super::words::{encode_opaque, encode_usage};
use crate::ir::{Called, Context, Opaque, Tool, Usage};

/// How the identifiers begin of answers that the gateway keeps; OpenAI's own begin with `resp_` and a digit.
pub(super) const OWN_IDS: &str = "resp_fg";

/// What a response repeats of its request, with OpenAI's defaults where the request is silent.
const ECHOED: [(&str, &str); 22] = [
    ("background", "false"),
    ("conversation", "null"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("moderation", "null"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"},"verbosity":"medium"}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];

/// What belongs to OpenAI's own machinery, as it stands where none of it ran: no cache was asked for, no hosted tool used.
const UNUSED: [(&str, &str); 6] = [
    ("access_programs", "null"),
    ("image", "null"),
    ("input_transformations", "null"),
    ("prompt_cache_diagnostics", r#"{"type":"unavailable"}"#),
    ("prompt_cache_options", r#"{"mode":"explicit","ttl":"30m"}"#),
    (
        "tool_usage",
        r#"{"image_gen":{"input_tokens":0,"input_tokens_details":{"image_tokens":0,"text_tokens":0},"output_tokens":0,"total_tokens":0},"web_search":{"num_requests":0}}"#,
    ),
];

/// The members of a request that its response repeats.
pub fn echo(body: &Map<String, Value>) -> Map<String, Value> {
    let said = |key: &str| body.get(key).filter(|value| !value.is_null()).cloned();
    let mut out = Map::new();
    for (key, default) in ECHOED {
        let mut value = said(key).or_else(|| serde_json::from_str(default).ok()).unwrap_or(Value::Null);
        if let (true, Some(text)) = (key == "text", value.as_object_mut()) {
            text.entry("format").or_insert_with(|| json!({"type": "text"}));
            text.entry("verbosity").or_insert_with(|| "medium".into());
        }
        if let (true, Some(reasoning)) = (key == "reasoning", value.as_object_mut()) {
            for key in ["effort", "summary"] {
                reasoning.entry(key).or_insert(Value::Null);
            }
        }
        out.insert(key.to_owned(), value);
    }
    out.insert("service_tier".into(), json!("default"));
    // Deprecated, and no null in OpenAI's specification.
    said("user").map(|user| out.insert("user".into(), user));
    out.extend(UNUSED.map(|(key, json)| (key.to_owned(), serde_json::from_str(json).unwrap_or(Value::Null))));
    out
}

/// The state of a response.
pub(super) struct State<'a> {
    pub(super) id: &'a str,
    pub(super) status: &'static str,
    pub(super) created: u64,
    pub(super) completed: bool,
    pub(super) output: Vec<Value>,
    pub(super) usage: Option<&'a Usage>,
    pub(super) incomplete: Option<&'static str>,
    pub(super) error: Option<(&'static str, &'a str)>,
}

/// The response object: every member that OpenAI's SDKs declare, `null` where there is nothing to say.
pub(super) fn response(state: State<'_>, context: &Context) -> Value {
    let mut out = Map::from_iter([
        ("id".to_owned(), json!(state.id)),
        ("object".to_owned(), json!("response")),
        ("created_at".to_owned(), json!(state.created)),
        ("status".to_owned(), json!(state.status)),
        ("completed_at".to_owned(), if state.completed { json!(context.now.max(state.created)) } else { Value::Null }),
        ("error".to_owned(), state.error.map_or(Value::Null, |(code, message)| json!({"code": code, "message": message}))),
        ("incomplete_details".to_owned(), state.incomplete.map_or(Value::Null, |reason| json!({"reason": reason}))),
        ("model".to_owned(), json!(context.model)),
        ("output".to_owned(), Value::Array(state.output)),
        ("usage".to_owned(), state.usage.map_or(Value::Null, encode_usage)),
    ]);
    out.extend(context.echo.clone());
    Value::Object(out)
}

/// The response's own identifier.
pub fn response_id(context: &Context) -> String {
    context.seed.id(OWN_IDS)
}

/// The identifier of its item at that place: it says whose it is, so that a reference finds it.
pub(super) fn item_id(prefix: &str, response_id: &str, index: usize) -> String {
    format!("{prefix}_{}_{index}", response_id.strip_prefix("resp_").unwrap_or(response_id))
}

pub(super) fn message(id: &str, status: &str, content: Vec<Value>) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

pub(super) fn output_text(text: &str, annotations: Vec<Value>, logprobs: Vec<Value>) -> Value {
    json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs})
}

pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

pub(super) fn reasoning(id: &str, text: &str, opaque: Option<&Opaque>) -> Value {
    let summary: Vec<Value> = (!text.is_empty()).then(|| summary_text(text)).into_iter().collect();
    json!({"id": id, "type": "reasoning", "summary": summary, "encrypted_content": opaque.map(encode_opaque)})
}

pub(super) fn summary_text(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// A call as the caller knows its tool. No arguments at all are an empty object once the call is complete.
pub(super) fn call(id: &str, call_id: &str, tool: &Called, arguments: &str, status: &str) -> Value {
    let (kind, member, value) = match tool.free_form {
        true => ("custom_tool_call", "input", free_input(arguments)),
        false if status == "completed" => ("function_call", "arguments", or_empty_object(arguments).to_owned()),
        false => ("function_call", "arguments", arguments.to_owned()),
    };
    let mut item = json!({"id": id, "type": kind, "status": status, "call_id": call_id, "name": tool.name, member: value});
    if let (Some(namespace), Some(item)) = (&tool.namespace, item.as_object_mut()) {
        item.insert("namespace".into(), json!(namespace));
    }
    item
}

/// How the identifiers of such items begin.
pub(super) fn call_prefix(tool: &Called) -> &'static str {
    if tool.free_form { "ctc" } else { "fc" }
}

pub(super) fn or_empty_object(arguments: &str) -> &str {
    if arguments.trim().is_empty() { "{}" } else { arguments }
}

/// The text that a model wrote for a free-form tool, out of its arguments.
pub(super) fn free_input(arguments: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(arguments).ok();
    let text = parsed.as_ref().and_then(|value| value.get(Tool::INPUT)).and_then(Value::as_str);
    text.unwrap_or(arguments).to_owned()
}

pub(super) fn url_citation(url: Option<String>, title: Option<String>, from: u64, to: u64) -> Value {
    json!({"type": "url_citation", "url": url.unwrap_or_default(), "title": title.unwrap_or_default(), "start_index": from, "end_index": to})
}

/// The likelihoods in chat completions' shape, as `output_text.logprobs`.
pub(super) fn logprobs(chat: Value) -> Vec<Value> {
    match chat {
        Value::Object(mut map) => match map.shift_remove("content") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
