//! Neutral form → chat completions request.

use serde_json::{Map, Value, json};

use super::reasoning::{encode_details, encode_signature};
use crate::dialects::EncodedRequest;
use crate::dialects::openai_schema::kept_strict;
use crate::ir::{
    Document, Issuer, Losses, Media, MediaSource, Message, NameMap, OutputFormat, Part, Refused, Request, Role, Sampling, Thinking, ToolChoice,
    ToolResult,
};

/// The longest tool name and tool call id that OpenAI takes.
const NAME_MAX: usize = 64;
const STOP_MAX: usize = 4;

/// Writes a request body.
///
/// # Errors
/// [`Refused`] for documents by address or by another provider's file id: without them the answer would be about nothing.
pub fn encode_request(request: Request) -> Result<EncodedRequest, Refused> {
    let Request {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls,
        output,
        sampling,
        thinking,
        thinking_path: _,
        show_thinking: _,
        user,
        user_path: _,
        service_tier,
        cache,
        stream,
        include_usage: _,
    } = request;
    let mut writer = Writer { body: Map::new(), losses: Losses::default(), names: NameMap::default() };
    writer.set("model", json!(model));
    writer.messages(messages)?;
    if !tools.is_empty() {
        let tools = tools.into_iter().map(|tool| {
            writer.losses.if_some(tool.cache, &format!("{}.cache_control", tool.path), NO_BREAKPOINTS);
            let mut function = Map::from_iter([("name".to_owned(), json!(writer.names.sent(&tool.name, NAME_MAX)))]);
            tool.description.map(|text| function.insert("description".into(), text.into()));
            let strict = match &tool.parameters {
                Some(schema) => kept_strict(tool.strict, schema, &format!("{}.strict", tool.path), &mut writer.losses),
                None => tool.strict,
            };
            tool.parameters.map(|schema| function.insert("parameters".into(), schema));
            strict.map(|strict| function.insert("strict".into(), strict.into()));
            json!({"type": "function", "function": function})
        });
        let tools: Vec<Value> = tools.collect();
        writer.set("tools", Value::Array(tools));
        if let Some(choice) = tool_choice {
            let choice = writer.tool_choice(choice);
            writer.set("tool_choice", choice);
        }
        parallel_tool_calls.map(|flag| writer.set("parallel_tool_calls", json!(flag)));
    }
    if let Some(format) = output {
        let format = encode_output(format, &mut writer.losses);
        writer.set("response_format", format);
    }
    writer.sampling(sampling);
    match thinking {
        Some(Thinking::Off) => writer.set("reasoning_effort", json!("none")),
        Some(Thinking::Effort(effort)) | Some(Thinking::Adaptive(Some(effort))) => writer.set("reasoning_effort", json!(effort.name())),
        Some(Thinking::Budget(budget)) => writer.set("reasoning_effort", json!(crate::ir::Effort::of_budget(budget).name())),
        // As the model likes is what it does unasked.
        Some(Thinking::Adaptive(None)) | None => {}
    }
    user.map(|user| writer.set("user", json!(user)));
    writer.losses.if_some(service_tier, "service_tier", "service tiers differ between providers");
    writer.losses.if_some(cache, "cache_control", NO_BREAKPOINTS);
    if stream {
        writer.set("stream", json!(true));
        // Always asked for, so that the gateway knows; the caller sees it exactly when its dialect says so.
        writer.set("stream_options", json!({"include_usage": true}));
    }
    Ok(EncodedRequest { body: writer.body, losses: writer.losses, names: writer.names })
}

const NO_BREAKPOINTS: &str = "caching is automatic here, there are no breakpoints";

struct Writer {
    body: Map<String, Value>,
    losses: Losses,
    names: NameMap,
}

impl Writer {
    fn set(&mut self, key: &str, value: Value) {
        self.body.insert(key.to_owned(), value);
    }

    fn messages(&mut self, messages: Vec<Message>) -> Result<(), Refused> {
        let mut out: Vec<Value> = Vec::with_capacity(messages.len());
        for message in messages {
            match message.role {
                Role::System | Role::Developer => {
                    let word = if message.role == Role::System { "system" } else { "developer" };
                    let text = self.instructions(message.parts, &message.path);
                    out.push(json!({"role": word, "content": text}));
                }
                Role::User => self.user(message, &mut out)?,
                Role::Assistant => out.push(self.assistant(message)?),
            }
        }
        self.set("messages", Value::Array(out));
        Ok(())
    }

    /// Tool results first, each a message of its own, then the rest: chat completions has no other order.
    fn user(&mut self, message: Message, out: &mut Vec<Value>) -> Result<(), Refused> {
        let mut content = Vec::new();
        for part in message.parts {
            match part {
                Part::ToolResult(result) => {
                    let (tool, media) = self.tool_result(result)?;
                    out.push(tool);
                    content.extend(media);
                }
                other => content.extend(self.content(other)?),
            }
        }
        if !content.is_empty() {
            let mut user = Map::from_iter([("role".to_owned(), json!("user")), ("content".to_owned(), plain(content))]);
            message.name.map(|name| user.insert("name".into(), name.into()));
            out.push(Value::Object(user));
        }
        Ok(())
    }

    fn tool_result(&mut self, result: ToolResult) -> Result<(Value, Vec<Value>), Refused> {
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for part in result.parts {
            match part {
                Part::Text(text) => {
                    self.losses.if_some(text.cache, &format!("{}.cache_control", text.path), NO_BREAKPOINTS);
                    texts.push(text.text);
                }
                other => media.extend(self.content(other)?),
            }
        }
        let mut text = texts.join("\n");
        if result.is_error {
            text.insert_str(0, "Error: ");
        }
        if !media.is_empty() {
            // Tool messages hold text only, so pictures follow in a user message that says whose they are.
            media.insert(0, json!({"type": "text", "text": format!("[attachments of the tool result {}]", result.call_id)}));
        }
        self.losses.if_some(result.cache, &format!("{}.cache_control", result.path), NO_BREAKPOINTS);
        Ok((json!({"role": "tool", "tool_call_id": result.call_id, "content": text}), media))
    }

    fn assistant(&mut self, message: Message) -> Result<Value, Refused> {
        let mut out = Map::from_iter([("role".to_owned(), json!("assistant")), ("content".to_owned(), Value::Null)]);
        let (mut content, mut calls, mut thinking, mut details) = (Vec::new(), Vec::new(), String::new(), Vec::new());
        for part in message.parts {
            match part {
                Part::ToolCall(call) => {
                    self.losses.if_some(call.cache, &format!("{}.cache_control", call.path), NO_BREAKPOINTS);
                    let name = self.names.sent(&call.name, NAME_MAX);
                    let mut entry = json!({"id": call.id, "type": "function", "function": {"name": name, "arguments": call.arguments.to_text()}});
                    if let (Some(signature), Some(entry)) = (call.signature, entry.as_object_mut()) {
                        entry.insert("extra_content".into(), encode_signature(&signature));
                    }
                    calls.push(entry);
                }
                Part::Reasoning(reasoning) => match reasoning.opaque {
                    Some(opaque) if matches!(opaque.issuer, Issuer::Other(_)) => {
                        details.extend(encode_details(&reasoning.text, Some(&opaque), details.len()));
                        thinking.push_str(&reasoning.text);
                    }
                    Some(_) => self.losses.add(reasoning.path, "thinking goes back to the provider that signed it only"),
                    None => thinking.push_str(&reasoning.text),
                },
                Part::Refusal(text) => {
                    out.insert("refusal".into(), text.into());
                }
                Part::Image(Media { path, .. }) | Part::Audio(Media { path, .. }) | Part::Document(Document { path, .. }) => {
                    self.losses.add(path, "an assistant message holds text and tool calls only");
                }
                other => content.extend(self.content(other)?),
            }
        }
        if !content.is_empty() {
            out.insert("content".into(), plain(content));
        }
        if !thinking.is_empty() {
            out.insert("reasoning_content".into(), thinking.into());
        }
        if !details.is_empty() {
            out.insert("reasoning_details".into(), details.into());
        }
        if !calls.is_empty() {
            out.insert("tool_calls".into(), calls.into());
        }
        message.name.map(|name| out.insert("name".into(), name.into()));
        Ok(Value::Object(out))
    }

    fn content(&mut self, part: Part) -> Result<Vec<Value>, Refused> {
        let one = match part {
            Part::Text(text) => {
                self.losses.if_some(text.cache, &format!("{}.cache_control", text.path), NO_BREAKPOINTS);
                (!text.text.is_empty()).then(|| json!({"type": "text", "text": text.text}))
            }
            Part::Image(media) => {
                self.losses.if_some(media.cache, &format!("{}.cache_control", media.path), NO_BREAKPOINTS);
                let mut image = Map::from_iter([("url".to_owned(), json!(image_url(media.source, &media.path)?))]);
                media.detail.map(|detail| image.insert("detail".into(), detail.into()));
                Some(json!({"type": "image_url", "image_url": image}))
            }
            Part::Audio(media) => match media.source {
                MediaSource::Base64 { media_type, data } => {
                    let format = match media_type.rsplit('/').next() {
                        Some("mpeg" | "mp3") => "mp3",
                        _ => "wav",
                    };
                    Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
                }
                _ => return Err(Refused::new(media.path, "audio must be sent in base64 to this model")),
            },
            Part::Document(document) => {
                self.losses.if_some(document.cache.as_ref(), &format!("{}.cache_control", document.path), NO_BREAKPOINTS);
                if document.citations {
                    self.losses.add(format!("{}.citations", document.path), "this model does not cite documents");
                }
                return encode_document(document);
            }
            Part::Refusal(text) => Some(json!({"type": "text", "text": text})),
            Part::Reasoning(reasoning) => {
                self.losses.add(reasoning.path, "only assistant messages hold thinking");
                None
            }
            Part::ToolCall(call) => {
                self.losses.add(call.path, "only assistant messages hold tool calls");
                None
            }
            Part::ToolResult(result) => {
                self.losses.add(result.path, "only user messages hold tool results");
                None
            }
        };
        Ok(one.into_iter().collect())
    }

    /// Instructions are text, and one text: not every compatible server takes a list here.
    fn instructions(&mut self, parts: Vec<Part>, path: &str) -> String {
        let mut texts = Vec::with_capacity(parts.len());
        for (i, part) in parts.into_iter().enumerate() {
            match part {
                Part::Text(text) => {
                    self.losses.if_some(text.cache, &format!("{}.cache_control", text.path), NO_BREAKPOINTS);
                    texts.push(text.text);
                }
                _ => self.losses.add(format!("{path}[{i}]"), "instructions hold text only"),
            }
        }
        texts.join("\n")
    }

    fn tool_choice(&mut self, choice: ToolChoice) -> Value {
        let mut function = |name: &str| json!({"type": "function", "function": {"name": self.names.sent(name, NAME_MAX)}});
        match choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Tool(name) => function(&name),
            ToolChoice::Allowed { names, required } => {
                let tools: Vec<Value> = names.iter().map(|name| function(name)).collect();
                let mode = if required { "required" } else { "auto" };
                json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}})
            }
        }
    }

    fn sampling(&mut self, sampling: Sampling) {
        let Sampling {
            max_tokens,
            max_tokens_path: _,
            temperature,
            top_p,
            top_k,
            frequency_penalty,
            presence_penalty,
            seed,
            mut stop,
            n,
            logprobs,
            top_logprobs,
        } = sampling;
        max_tokens.map(|count| self.set("max_completion_tokens", json!(count)));
        temperature.map(|number| self.set("temperature", Value::Number(number)));
        top_p.map(|number| self.set("top_p", Value::Number(number)));
        self.losses.if_some(top_k, "top_k", "chat completions has no top_k");
        frequency_penalty.map(|number| self.set("frequency_penalty", Value::Number(number)));
        presence_penalty.map(|number| self.set("presence_penalty", Value::Number(number)));
        seed.map(|number| self.set("seed", Value::Number(number)));
        if stop.len() > STOP_MAX {
            self.losses.add(format!("stop[{STOP_MAX}]"), "at most four stop sequences");
            stop.truncate(STOP_MAX);
        }
        if !stop.is_empty() {
            self.set("stop", json!(stop));
        }
        n.map(|count| self.set("n", json!(count)));
        if logprobs {
            self.set("logprobs", json!(true));
            top_logprobs.map(|count| self.set("top_logprobs", json!(count)));
        }
    }
}

/// A single text as a string, which every compatible server takes; anything else as a list.
fn plain(mut content: Vec<Value>) -> Value {
    if let [only] = content.as_mut_slice()
        && let Some(text) = only.get_mut("text")
    {
        return text.take();
    }
    Value::Array(content)
}

fn image_url(source: MediaSource, path: &str) -> Result<String, Refused> {
    match source {
        MediaSource::Base64 { media_type, data } => Ok(format!("data:{media_type};base64,{data}")),
        MediaSource::Url { url, .. } => Ok(url),
        MediaSource::File { .. } => Err(Refused::new(path, "a file id of one provider means nothing to another; send the image itself")),
        MediaSource::Text(_) => Err(Refused::new(path, "an image cannot be text")),
    }
}

/// Chat's files have a name but no context, which stands as text before the file.
fn encode_document(document: Document) -> Result<Vec<Value>, Refused> {
    let Document { source, name, context, path, .. } = document;
    match source {
        MediaSource::Base64 { media_type, data } => {
            let filename = name.unwrap_or_else(|| if media_type == "application/pdf" { "document.pdf".into() } else { "document".into() });
            let file = json!({"type": "file", "file": {"filename": filename, "file_data": format!("data:{media_type};base64,{data}")}});
            Ok(context.map(|text| json!({"type": "text", "text": text})).into_iter().chain([file]).collect())
        }
        MediaSource::Text(text) => {
            let text: Vec<String> = [name, context].into_iter().flatten().chain([text]).collect();
            Ok(vec![json!({"type": "text", "text": format!("<document>\n{}\n</document>", text.join("\n\n"))})])
        }
        MediaSource::Url { .. } => Err(Refused::new(path, "this model takes documents in base64 only; send the file itself")),
        MediaSource::File { .. } => Err(Refused::new(path, "a file id of one provider means nothing to another; send the file itself")),
    }
}

fn encode_output(format: OutputFormat, losses: &mut Losses) -> Value {
    match format {
        OutputFormat::JsonObject => json!({"type": "json_object"}),
        OutputFormat::JsonSchema { name, description, schema, strict, path } => {
            let strict = kept_strict(strict, &schema, path, losses);
            let mut body = Map::from_iter([("name".to_owned(), json!(name.unwrap_or_else(|| "response".to_owned())))]);
            description.map(|text| body.insert("description".into(), text.into()));
            body.insert("schema".into(), schema);
            strict.map(|strict| body.insert("strict".into(), strict.into()));
            json!({"type": "json_schema", "json_schema": body})
        }
    }
}
