//! Chat completions request → neutral form.

use serde_json::Value;

use super::reasoning::{decode_details, decode_signature};
use crate::base::fields::{Fields, Invalid};
use crate::dialects::{Unreadable, decode_content, file_of_data, media_of_url, media_type_of_name};
use crate::ir::{
    Arguments, CacheControl, Document, Effort, Losses, Media, MediaSource, Message, OutputFormat, Part, Reasoning, Refused, Request, Role, Sampling,
    Text, Thinking, Tool, ToolCall, ToolChoice, ToolResult,
};

/// Reads a request body.
///
/// # Errors
/// [`Unreadable::Invalid`] for a member of the wrong type, [`Unreadable::Refused`] for what no other dialect could answer
/// (audio output, the retired `functions`).
pub fn decode_request(body: Value) -> Result<(Request, Losses), Unreadable> {
    let mut losses = Losses::default();
    let mut fields = Fields::new(body, "")?;
    refuse_what_only_chat_has(&mut fields)?;
    let model = fields.required("model")?;
    let messages = fields.list("messages")?.unwrap_or_default();
    if messages.is_empty() {
        return Err(Invalid::new("messages", "'messages' is required and must not be empty").into());
    }
    let messages = messages.into_iter().map(|(path, value)| decode_message(value, path, &mut losses)).collect::<Result<_, _>>()?;
    let mut tools = Vec::new();
    for (path, value) in fields.list("tools")?.unwrap_or_default() {
        tools.extend(decode_tool(value, path, &mut losses)?);
    }
    let mut stream_options = fields.object("stream_options")?;
    let include_usage = match &mut stream_options {
        Some(options) => options.boolean("include_usage")?.unwrap_or(false),
        None => false,
    };
    if let Some(mut options) = stream_options {
        // Padding against eavesdroppers, which says nothing.
        options.take("include_obfuscation");
        losses.rest(options);
    }
    let show_thinking = SHOWS_THINKING.iter().any(|key| fields.has(key));
    fields.take("include_reasoning");
    let (thinking, thinking_path) = decode_thinking(&mut fields, &mut losses)?;
    let request = Request {
        model,
        messages,
        tools,
        tool_choice: fields.take("tool_choice").map(decode_tool_choice).transpose()?,
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        output: decode_output(&mut fields, &mut losses)?,
        sampling: decode_sampling(&mut fields)?,
        thinking,
        thinking_path,
        show_thinking,
        user: fields.string("user")?,
        user_path: "user",
        service_tier: fields.string("service_tier")?.filter(|tier| tier != "auto" && tier != "default"),
        cache: fields.take("cache_control").map(CacheControl),
        stream: fields.boolean("stream")?.unwrap_or(false),
        include_usage,
    };
    // What the caller gets anyway when these have their usual value.
    fields.take_if("moderation", "auto");
    if fields.boolean("store")? == Some(true) {
        losses.add("store", "answers are not stored");
    }
    losses.rest(fields);
    Ok((request, losses))
}

/// Members that ask to see the thinking; OpenAI's own chat has none of them.
const SHOWS_THINKING: [&str; 3] = ["reasoning", "include_reasoning", "thinking"];

fn refuse_what_only_chat_has(fields: &mut Fields) -> Result<(), Unreadable> {
    let audio = fields.take("modalities").is_some_and(|list| list.as_array().is_some_and(|list| list.iter().any(|mode| mode == "audio")));
    if audio || fields.has("audio") {
        return Err(Refused::new("modalities", "this model cannot answer with audio; use an openai or azure model").into());
    }
    for key in ["functions", "function_call"] {
        if fields.take(key).is_some() {
            return Err(Refused::new(key, format!("'{key}' is retired; use 'tools' and 'tool_choice'")).into());
        }
    }
    Ok(())
}

fn decode_message(value: Value, path: String, losses: &mut Losses) -> Result<Message, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    let role = fields.required("role")?;
    let name = fields.string("name")?;
    let (role, parts) = match role.as_str() {
        "system" => (Role::System, decode_content(&mut fields, "content", losses, decode_part)?),
        "developer" => (Role::Developer, decode_content(&mut fields, "content", losses, decode_part)?),
        "user" => (Role::User, decode_content(&mut fields, "content", losses, decode_part)?),
        "assistant" => (Role::Assistant, decode_assistant(&mut fields, losses)?),
        "tool" => {
            let result = ToolResult {
                call_id: fields.required("tool_call_id")?,
                parts: decode_content(&mut fields, "content", losses, decode_part)?,
                is_error: false,
                cache: fields.take("cache_control").map(CacheControl),
                path: path.clone(),
            };
            (Role::User, vec![Part::ToolResult(result)])
        }
        "function" => return Err(Refused::new(fields.at("role"), "role 'function' is retired; use role 'tool'").into()),
        other => {
            let message = format!("unknown role '{other}'; expected system, developer, user, assistant or tool");
            return Err(Invalid::new(fields.at("role"), message).into());
        }
    };
    losses.rest(fields);
    Ok(Message { role, parts, name, path })
}

fn decode_assistant(fields: &mut Fields, losses: &mut Losses) -> Result<Vec<Part>, Unreadable> {
    let mut parts = Vec::new();
    let details = fields.take("reasoning_details");
    let texts = [("reasoning_content", fields.string("reasoning_content")?), ("reasoning", fields.string("reasoning")?)];
    let text = texts.into_iter().find_map(|(key, text)| Some((key, text.filter(|text| !text.is_empty())?)));
    let path = fields.at("reasoning_details");
    let mut reasoning = details.as_ref().and_then(Value::as_array).map(|list| decode_details(list, &path)).unwrap_or_default();
    if let Some((key, text)) = text {
        let detailed: String = reasoning.iter().map(|part| part.text.as_str()).collect();
        if detailed.is_empty() {
            reasoning.insert(0, Reasoning { text, opaque: None, path: fields.at(key) });
        } else if detailed != text {
            losses.add(fields.at(key), "the details beside it say more and were taken instead");
        }
    }
    parts.extend(reasoning.into_iter().map(Part::Reasoning));
    parts.extend(decode_content(fields, "content", losses, decode_part)?);
    if let Some(refusal) = fields.string("refusal")? {
        parts.push(Part::Refusal(refusal));
    }
    for (path, value) in fields.list("tool_calls")?.unwrap_or_default() {
        parts.extend(decode_tool_call(value, path, losses)?.map(Part::ToolCall));
    }
    if fields.take("function_call").is_some() {
        return Err(Refused::new(fields.at("function_call"), "'function_call' is retired; use 'tool_calls'").into());
    }
    Ok(parts)
}

fn decode_tool_call(value: Value, path: String, losses: &mut Losses) -> Result<Option<ToolCall>, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    if fields.peek_str("type").is_some_and(|kind| kind != "function") {
        losses.add(path, "only function calls can be carried");
        return Ok(None);
    }
    fields.take("type");
    fields.take("index");
    let id = fields.required("id")?;
    let mut function = fields.object("function")?.ok_or_else(|| Invalid::new(fields.at("function"), "'function' is required"))?;
    let call = ToolCall {
        id,
        name: function.required("name")?,
        arguments: match function.take("arguments") {
            // Some clients send the object itself.
            Some(Value::Object(map)) => Arguments::Object(map),
            Some(Value::String(text)) => Arguments::of_text(&text),
            None => Arguments::of_text(""),
            Some(_) => return Err(Invalid::new(function.at("arguments"), "expected a string with a JSON object").into()),
        },
        signature: fields.take("extra_content").as_ref().and_then(decode_signature),
        cache: fields.take("cache_control").map(CacheControl),
        path,
    };
    losses.rest(function);
    losses.rest(fields);
    Ok(Some(call))
}

fn decode_part(value: Value, path: String, losses: &mut Losses) -> Result<Option<Part>, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    let kind = fields.required("type")?;
    let cache = fields.take("cache_control").map(CacheControl);
    let part = match kind.as_str() {
        "text" => Part::Text(Text { text: fields.required("text")?, cache, citations: Vec::new(), path }),
        "refusal" => Part::Refusal(fields.required("refusal")?),
        "image_url" => {
            // Some clients send the address itself instead of an object.
            let (url, detail) = match fields.take("image_url") {
                Some(Value::String(url)) => (url, None),
                Some(value) => {
                    let mut image = Fields::new(value, fields.at("image_url"))?;
                    let found = (image.required("url")?, image.string("detail")?.filter(|detail| detail != "auto"));
                    losses.rest(image);
                    found
                }
                None => return Err(Invalid::new(fields.at("image_url"), "'image_url' is required").into()),
            };
            Part::Image(Media { source: media_of_url(url, &fields.at("image_url.url"))?, detail, cache, path })
        }
        "input_audio" => {
            let mut audio = fields.object("input_audio")?.ok_or_else(|| Invalid::new(fields.at("input_audio"), "'input_audio' is required"))?;
            let media_type = match audio.required("format")?.as_str() {
                "mp3" => "audio/mpeg".to_owned(),
                format => format!("audio/{format}"),
            };
            let source = MediaSource::Base64 { media_type, data: audio.required("data")? };
            losses.rest(audio);
            Part::Audio(Media { source, detail: None, cache, path })
        }
        "file" => Part::Document(decode_file(&mut fields, cache, path, losses)?),
        other => {
            losses.add(path, format!("content of type '{other}' is not known here"));
            return Ok(None);
        }
    };
    losses.rest(fields);
    Ok(Some(part))
}

fn decode_file(fields: &mut Fields, cache: Option<CacheControl>, path: String, losses: &mut Losses) -> Result<Document, Unreadable> {
    let mut file = fields.object("file")?.ok_or_else(|| Invalid::new(fields.at("file"), "'file' is required"))?;
    let name = file.string("filename")?;
    let data = file.string("file_data")?;
    let source = if let Some(data) = data {
        file_of_data(data, name.as_deref())
    } else if let Some(url) = file.string("file_url")? {
        let media_type = media_type_of_name(&url).map(str::to_owned);
        MediaSource::Url { url, media_type }
    } else {
        MediaSource::File { id: file.required("file_id")?, media_type: None }
    };
    losses.rest(file);
    Ok(Document { source, name, context: None, citations: false, cache, path })
}

fn decode_tool(value: Value, path: String, losses: &mut Losses) -> Result<Option<Tool>, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    if fields.peek_str("type").is_some_and(|kind| kind != "function") {
        losses.add(path, "only function tools can be carried");
        return Ok(None);
    }
    fields.take("type");
    let cache = fields.take("cache_control").map(CacheControl);
    let mut function = fields.object("function")?.ok_or_else(|| Invalid::new(fields.at("function"), "'function' is required"))?;
    let tool = Tool {
        name: function.required("name")?,
        description: function.string("description")?,
        parameters: function.take("parameters"),
        strict: function.boolean("strict")?,
        free_form: false,
        namespace: None,
        cache: cache.or(function.take("cache_control").map(CacheControl)),
        path,
    };
    losses.rest(function);
    losses.rest(fields);
    Ok(Some(tool))
}

fn decode_tool_choice(value: Value) -> Result<ToolChoice, Unreadable> {
    if let Some(word) = value.as_str() {
        return Ok(match word {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Required,
            other => return Err(Invalid::new("tool_choice", format!("unknown tool_choice '{other}'; expected none, auto or required")).into()),
        });
    }
    let name_in = |value: &Value| value.pointer("/function/name").and_then(Value::as_str).map(str::to_owned);
    match value.get("type").and_then(Value::as_str) {
        Some("function") => {
            let name = name_in(&value).ok_or_else(|| Invalid::new("tool_choice.function.name", "'tool_choice.function.name' is required"))?;
            Ok(ToolChoice::Tool(name))
        }
        Some("allowed_tools") => {
            let allowed = value.get("allowed_tools").unwrap_or(&value);
            let tools = allowed.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
            let required = allowed.get("mode").and_then(Value::as_str) == Some("required");
            let names: Vec<String> = tools.iter().filter_map(name_in).collect();
            if required && names.is_empty() {
                return Err(Refused::new("tool_choice", "a tool must be called, but none of the allowed ones can be given to this model").into());
            }
            Ok(if names.is_empty() { ToolChoice::None } else { ToolChoice::Allowed { names, required } })
        }
        _ => {
            Err(Refused::new("tool_choice", "this kind of tool_choice cannot be carried to this model; use auto, none, required or a function")
                .into())
        }
    }
}

fn decode_output(fields: &mut Fields, losses: &mut Losses) -> Result<Option<OutputFormat>, Unreadable> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    match format.required("type")?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(OutputFormat::JsonObject)),
        "json_schema" => {
            let at = format.at("json_schema");
            let mut schema = format.object("json_schema")?.ok_or_else(|| Invalid::new(at.clone(), format!("'{at}' is required")))?;
            let output = OutputFormat::JsonSchema {
                name: schema.string("name")?,
                description: schema.string("description")?,
                schema: schema.take("schema").unwrap_or_else(|| Value::Object(serde_json::Map::new())),
                strict: schema.boolean("strict")?,
                path: "response_format.json_schema",
            };
            losses.rest(schema);
            losses.rest(format);
            Ok(Some(output))
        }
        other => Err(Refused::new("response_format.type", format!("response_format '{other}' cannot be kept for this model")).into()),
    }
}

fn decode_sampling(fields: &mut Fields) -> Result<Sampling, Unreadable> {
    let (newer, older) = (fields.count("max_completion_tokens")?, fields.count("max_tokens")?);
    let stop = match fields.take("stop") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        Some(_) => return Err(Invalid::new("stop", "expected a string or a list of strings").into()),
    };
    Ok(Sampling {
        max_tokens: newer.or(older),
        max_tokens_path: if newer.is_some() { "max_completion_tokens" } else { "max_tokens" },
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        frequency_penalty: fields.number("frequency_penalty")?,
        presence_penalty: fields.number("presence_penalty")?,
        seed: fields.number("seed")?,
        stop,
        n: fields.count("n")?,
        logprobs: fields.boolean("logprobs")?.unwrap_or(false),
        top_logprobs: fields.count("top_logprobs")?,
    })
}

/// `reasoning_effort` is OpenAI's, `reasoning` is OpenRouter's, `thinking` is Anthropic's as several clients send it here.
fn decode_thinking(fields: &mut Fields, losses: &mut Losses) -> Result<(Option<Thinking>, &'static str), Unreadable> {
    if let Some(word) = fields.string("reasoning_effort")? {
        return Ok((Some(effort(&word, "reasoning_effort")?), "reasoning_effort"));
    }
    if let Some(mut reasoning) = fields.object("reasoning")? {
        let (word, budget, enabled) = (reasoning.string("effort")?, reasoning.count("max_tokens")?, reasoning.boolean("enabled")?);
        losses.rest(reasoning);
        let thinking = match (word, budget, enabled) {
            (Some(word), _, _) => Some(effort(&word, "reasoning.effort")?),
            (None, Some(0), _) | (None, None, Some(false)) => Some(Thinking::Off),
            (None, Some(budget), _) => Some(Thinking::Budget(budget)),
            (None, None, Some(true)) => Some(Thinking::Effort(Effort::Medium)),
            (None, None, None) => None,
        };
        return Ok((thinking, "reasoning"));
    }
    let Some(mut thinking) = fields.object("thinking")? else { return Ok((None, "")) };
    let decoded = match thinking.string("type")?.as_deref() {
        Some("enabled") => thinking.count("budget_tokens")?.map(Thinking::Budget),
        Some("adaptive") => Some(Thinking::Adaptive(None)),
        _ => Some(Thinking::Off),
    };
    losses.rest(thinking);
    Ok((decoded, "thinking"))
}

fn effort(word: &str, path: &str) -> Result<Thinking, Unreadable> {
    if word == "none" {
        return Ok(Thinking::Off);
    }
    let expected = || Invalid::new(path, format!("unknown effort '{word}'; expected none, minimal, low, medium, high, xhigh or max"));
    Ok(Thinking::Effort(Effort::of_name(word).ok_or_else(expected)?))
}
