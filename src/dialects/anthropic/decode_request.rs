//! Messages request → neutral form.

use serde_json::{Map, Value};

use super::words::decode_opaque;
use crate::base::fields::{Fields, Invalid};
use crate::dialects::{Unreadable, decode_content, media_type_of_name};
use crate::ir::{
    Arguments, CacheControl, Document, Effort, Losses, Media, MediaSource, Message, Opaque, OutputFormat, Part, Placement, Reasoning, Refused,
    Request, Role, Sampling, Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};

/// Reads a request body.
///
/// # Errors
/// [`Unreadable::Invalid`] for a member that is missing or of the wrong type, [`Unreadable::Refused`] for a tool choice that
/// cannot be carried.
pub fn decode_request(body: Value) -> Result<(Request, Losses), Unreadable> {
    let mut losses = Losses::default();
    let mut fields = Fields::new(body, "")?;
    let model = fields.required("model")?;
    let mut messages = Vec::new();
    if fields.has("system") {
        let parts = decode_content(&mut fields, "system", &mut losses, decode_block)?;
        messages.push(Message { role: Role::System, parts, name: None, path: "system".into() });
    }
    let turns = fields.list("messages")?.ok_or_else(|| Invalid::new("messages", "'messages' is required"))?;
    if turns.is_empty() {
        return Err(Invalid::new("messages", "at least one message is required").into());
    }
    for (path, value) in turns {
        messages.push(decode_message(value, path, &mut losses)?);
    }
    let mut tools = Vec::new();
    for (path, value) in fields.list("tools")?.unwrap_or_default() {
        tools.extend(decode_tool(value, path, &mut losses)?);
    }
    let (tool_choice, parallel_tool_calls) = decode_tool_choice(&mut fields, &tools, &mut losses)?;
    let max_tokens = fields.count("max_tokens")?.ok_or_else(|| Invalid::new("max_tokens", "'max_tokens' is required"))?;
    let mut output = fields.object("output_config")?;
    let effort = match &mut output {
        Some(config) => config.string("effort")?,
        None => None,
    };
    let effort = match effort.as_deref() {
        Some(word) => Some(Effort::of_name(word).ok_or_else(|| Invalid::new("output_config.effort", format!("unknown effort '{word}'")))?),
        None => None,
    };
    let mut format = match &mut output {
        Some(config) => config.object("format")?,
        None => None,
    };
    if format.is_none() {
        format = fields.object("output_format")?;
    }
    if let Some(config) = output {
        losses.rest(config);
    }
    let user = match fields.object("metadata")? {
        Some(mut metadata) => {
            let user = metadata.string("user_id")?;
            losses.rest(metadata);
            user
        }
        None => None,
    };
    let shown = fields.has("thinking");
    let request = Request {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        output: format.map(decode_output).transpose()?,
        sampling: Sampling {
            max_tokens: Some(max_tokens),
            max_tokens_path: "max_tokens",
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            top_k: fields.number("top_k")?,
            stop: decode_stop_sequences(&mut fields)?,
            ..Sampling::default()
        },
        thinking_path: if shown { "thinking" } else { "output_config.effort" },
        show_thinking: shown,
        thinking: decode_thinking(&mut fields, effort, &mut losses)?,
        user,
        user_path: "metadata.user_id",
        service_tier: fields.string("service_tier")?.filter(|tier| tier != "auto"),
        cache: fields.take("cache_control").map(CacheControl),
        stream: fields.boolean("stream")?.unwrap_or(false),
        include_usage: true,
    };
    losses.rest(fields);
    Ok((request, losses))
}

fn decode_message(value: Value, path: String, losses: &mut Losses) -> Result<Message, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    let role = match fields.required("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => return Err(Invalid::new(fields.at("role"), format!("unknown role '{other}'; expected user, assistant or system")).into()),
    };
    let parts = decode_content(&mut fields, "content", losses, decode_block)?;
    losses.rest(fields);
    Ok(Message { role, parts: join_signatures(parts), name: None, path })
}

/// An artefact that signs a tool call travels in a thinking block of its own before the call.
fn join_signatures(parts: Vec<Part>) -> Vec<Part> {
    let mut pending: Option<Opaque> = None;
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Reasoning(Reasoning { opaque: Some(opaque), .. }) if opaque.placement == Placement::ToolCall => pending = Some(opaque),
            Part::ToolCall(mut call) => {
                call.signature = pending.take();
                out.push(Part::ToolCall(call));
            }
            other => out.push(other),
        }
    }
    out
}

fn decode_block(value: Value, path: String, losses: &mut Losses) -> Result<Option<Part>, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    let kind = fields.required("type")?;
    let cache = fields.take("cache_control").map(CacheControl);
    let part = match kind.as_str() {
        "text" => Part::Text(Text { text: fields.required("text")?, cache, citations: Vec::new(), path }),
        "image" => Part::Image(Media { source: decode_source(&mut fields, losses)?, detail: None, cache, path }),
        "document" => {
            let citations = match fields.object("citations")? {
                Some(mut citations) => citations.boolean("enabled")?.unwrap_or(false),
                None => false,
            };
            let (name, context) = (fields.string("title")?, fields.string("context")?);
            Part::Document(Document { source: decode_source(&mut fields, losses)?, name, context, citations, cache, path })
        }
        "search_result" => {
            let texts = decode_content(&mut fields, "content", losses, decode_block)?;
            let text: Vec<String> = texts.into_iter().filter_map(|part| if let Part::Text(text) = part { Some(text.text) } else { None }).collect();
            let (name, context) = (fields.string("title")?, fields.string("source")?);
            Part::Document(Document { source: MediaSource::Text(text.join("\n")), name, context, citations: false, cache, path })
        }
        "thinking" => {
            let text = fields.string("thinking")?.unwrap_or_default();
            let opaque = fields.string("signature")?.and_then(|text| decode_opaque(text, Placement::Signature));
            Part::Reasoning(Reasoning { text, opaque, path })
        }
        "redacted_thinking" => {
            let opaque = decode_opaque(fields.required("data")?, Placement::Redacted);
            Part::Reasoning(Reasoning { text: String::new(), opaque, path })
        }
        "tool_use" => {
            fields.take("caller");
            Part::ToolCall(ToolCall {
                id: fields.required("id")?,
                name: fields.required("name")?,
                arguments: match fields.take("input") {
                    None => Arguments::Object(Map::new()),
                    Some(Value::Object(map)) => Arguments::Object(map),
                    Some(_) => return Err(Invalid::new(fields.at("input"), "expected an object").into()),
                },
                signature: None,
                cache,
                path,
            })
        }
        "tool_result" => Part::ToolResult(ToolResult {
            call_id: fields.required("tool_use_id")?,
            parts: decode_content(&mut fields, "content", losses, decode_block)?,
            is_error: fields.boolean("is_error")?.unwrap_or(false),
            cache,
            path,
        }),
        other => {
            losses.add(path, format!("content of type '{other}' is Anthropic's own"));
            return Ok(None);
        }
    };
    losses.rest(fields);
    Ok(Some(part))
}

fn decode_source(fields: &mut Fields, losses: &mut Losses) -> Result<MediaSource, Unreadable> {
    let at = fields.at("source");
    let mut source = fields.object("source")?.ok_or_else(|| Invalid::new(at.clone(), format!("'{at}' is required")))?;
    let found = match source.required("type")?.as_str() {
        "base64" => MediaSource::Base64 { media_type: source.required("media_type")?, data: source.required("data")? },
        "url" => {
            let url = source.required("url")?;
            let media_type = media_type_of_name(&url).map(str::to_owned);
            MediaSource::Url { url, media_type }
        }
        "file" => MediaSource::File { id: source.required("file_id")?, media_type: None },
        "text" => {
            source.take_if("media_type", "text/plain");
            MediaSource::Text(source.required("data")?)
        }
        "content" => {
            let text = match source.take("content") {
                Some(Value::String(text)) => text,
                Some(Value::Array(items)) => {
                    let mut texts = Vec::with_capacity(items.len());
                    for (i, item) in items.iter().enumerate() {
                        match item.get("text").and_then(Value::as_str) {
                            Some(text) => texts.push(text),
                            None => losses.add(format!("{at}.content[{i}]"), "a document's content holds text only here"),
                        }
                    }
                    texts.join("\n")
                }
                _ => String::new(),
            };
            MediaSource::Text(text)
        }
        other => return Err(Invalid::new(source.at("type"), format!("unknown source '{other}'")).into()),
    };
    losses.rest(source);
    Ok(found)
}

fn decode_tool(value: Value, path: String, losses: &mut Losses) -> Result<Option<Tool>, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    if let Some(kind) = fields.string("type")?.filter(|kind| kind != "custom") {
        losses.add(path, format!("the tool '{kind}' is Anthropic's own"));
        return Ok(None);
    }
    let tool = Tool {
        name: fields.required("name")?,
        description: fields.string("description")?,
        parameters: fields.take("input_schema"),
        strict: fields.boolean("strict")?,
        free_form: false,
        namespace: None,
        cache: fields.take("cache_control").map(CacheControl),
        path,
    };
    losses.rest(fields);
    Ok(Some(tool))
}

fn decode_tool_choice(fields: &mut Fields, tools: &[Tool], losses: &mut Losses) -> Result<(Option<ToolChoice>, Option<bool>), Unreadable> {
    let Some(mut choice) = fields.object("tool_choice")? else { return Ok((None, None)) };
    let parallel = choice.boolean("disable_parallel_tool_use")?.map(|disable| !disable);
    let kind = choice.required("type")?;
    let choice_of_tool = match kind.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => {
            let name = choice.required("name")?;
            if !tools.iter().any(|tool| tool.name == name) {
                let message = format!("the forced tool '{name}' is not among the tools that this model can be given");
                return Err(Refused::new("tool_choice.name", message).into());
            }
            ToolChoice::Tool(name)
        }
        other => return Err(Invalid::new("tool_choice.type", format!("unknown tool_choice '{other}'; expected auto, any, tool or none")).into()),
    };
    losses.rest(choice);
    Ok((Some(choice_of_tool), parallel))
}

fn decode_output(mut format: Fields) -> Result<OutputFormat, Unreadable> {
    let at = format.at("type");
    match format.required("type")?.as_str() {
        "json_schema" => {
            let schema = format.take("schema").ok_or_else(|| Invalid::new(format.at("schema"), "a schema is required"))?;
            // Anthropic always follows the schema exactly.
            Ok(OutputFormat::JsonSchema { name: None, description: None, schema, strict: Some(true), path: "output_config.format" })
        }
        other => Err(Refused::new(at, format!("output format '{other}' cannot be kept for this model")).into()),
    }
}

fn decode_stop_sequences(fields: &mut Fields) -> Result<Vec<String>, Unreadable> {
    let mut out = Vec::new();
    for (path, item) in fields.list("stop_sequences")?.unwrap_or_default() {
        match item {
            Value::String(text) => out.push(text),
            _ => return Err(Invalid::new(path, "expected a string").into()),
        }
    }
    Ok(out)
}

fn decode_thinking(fields: &mut Fields, effort: Option<Effort>, losses: &mut Losses) -> Result<Option<Thinking>, Unreadable> {
    let Some(mut thinking) = fields.object("thinking")? else { return Ok(effort.map(Thinking::Effort)) };
    let decoded = match thinking.required("type")?.as_str() {
        "enabled" => match (effort, thinking.count("budget_tokens")?) {
            (Some(effort), _) => Some(Thinking::Effort(effort)),
            (None, Some(budget)) => Some(Thinking::Budget(budget)),
            (None, None) => return Err(Invalid::new("thinking.budget_tokens", "'thinking.budget_tokens' is required").into()),
        },
        "disabled" => Some(Thinking::Off),
        // `adaptive`, `between_tools` and whatever follows leave the amount to the model.
        _ => Some(Thinking::Adaptive(effort)),
    };
    losses.rest(thinking);
    Ok(decoded)
}
