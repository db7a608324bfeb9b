//! Neutral form → Responses request.

use serde_json::{Map, Value, json};

use super::words::encode_opaque;
use crate::dialects::EncodedRequest;
use crate::dialects::openai_schema::kept_strict;
use crate::ir::{
    CacheControl, Document, Effort, Issuer, Losses, Media, MediaSource, Message, NameMap, OutputFormat, Part, Reasoning, Refused, Request, Role,
    Sampling, Thinking, Tool, ToolChoice, ToolResult,
};

/// The longest tool name that OpenAI takes.
const NAME_MAX: usize = 64;
/// OpenAI refuses a lower `max_output_tokens`.
const OUTPUT_MIN: u64 = 16;
const NO_BREAKPOINTS: &str = "caching is automatic here, there are no breakpoints";

/// Writes a request body. Nothing is stored at the provider: the reasoning comes back encrypted instead.
///
/// # Errors
/// [`Refused`] for several answers at once, and for media that the provider cannot read.
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
        show_thinking,
        user,
        user_path: _,
        service_tier,
        cache,
        stream,
        include_usage: _,
    } = request;
    let mut writer = Writer { body: Map::new(), input: Vec::new(), losses: Losses::default(), names: NameMap::default() };
    writer.set("model", json!(model));
    for message in messages {
        writer.message(message)?;
    }
    let input = std::mem::take(&mut writer.input);
    writer.set("input", Value::Array(input));
    if !tools.is_empty() {
        let tools: Vec<Value> = tools.into_iter().map(|tool| writer.tool(tool)).collect();
        writer.set("tools", Value::Array(tools));
        if let Some(choice) = tool_choice {
            let choice = writer.tool_choice(choice);
            writer.set("tool_choice", choice);
        }
        parallel_tool_calls.map(|flag| writer.set("parallel_tool_calls", json!(flag)));
    }
    if let Some(format) = output {
        let format = encode_output(format, &mut writer.losses);
        writer.set("text", json!({"format": format}));
    }
    writer.sampling(sampling)?;
    let effort = match thinking {
        Some(Thinking::Off) => Some("none"),
        Some(Thinking::Effort(effort) | Thinking::Adaptive(Some(effort))) => Some(effort.name()),
        Some(Thinking::Budget(budget)) => Some(Effort::of_budget(budget).name()),
        // As the model likes is what it does unasked.
        Some(Thinking::Adaptive(None)) | None => None,
    };
    let mut reasoning = Map::new();
    effort.map(|effort| reasoning.insert("effort".into(), effort.into()));
    if show_thinking && effort != Some("none") {
        reasoning.insert("summary".into(), "auto".into());
    }
    if !reasoning.is_empty() {
        writer.set("reasoning", Value::Object(reasoning));
    }
    user.map(|user| writer.set("user", json!(user)));
    writer.losses.if_some(service_tier, "service_tier", "service tiers differ between providers");
    writer.losses.if_some(cache, "cache_control", NO_BREAKPOINTS);
    writer.set("store", json!(false));
    let mut include = vec!["reasoning.encrypted_content"];
    if writer.body.contains_key("top_logprobs") {
        include.push("message.output_text.logprobs");
    }
    writer.set("include", json!(include));
    if stream {
        writer.set("stream", json!(true));
    }
    Ok(EncodedRequest { body: writer.body, losses: writer.losses, names: writer.names })
}

struct Writer {
    body: Map<String, Value>,
    input: Vec<Value>,
    losses: Losses,
    names: NameMap,
}

impl Writer {
    fn set(&mut self, key: &str, value: Value) {
        self.body.insert(key.to_owned(), value);
    }

    fn message(&mut self, message: Message) -> Result<(), Refused> {
        let Message { role, parts, name, path } = message;
        self.losses.if_some(name, &format!("{path}.name"), "Responses knows no names of speakers");
        let role = match role {
            Role::Assistant => return self.assistant(parts),
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
        };
        let mut content = Vec::new();
        for part in parts {
            match part {
                Part::ToolResult(result) => self.tool_result(result)?,
                other => content.extend(self.content(other)?),
            }
        }
        if !content.is_empty() {
            self.input.push(json!({"type": "message", "role": role, "content": content}));
        }
        Ok(())
    }

    fn assistant(&mut self, parts: Vec<Part>) -> Result<(), Refused> {
        for part in parts {
            match part {
                Part::Text(text) => {
                    self.no_breakpoint(text.cache, &text.path);
                    self.input.push(json!({"type": "message", "role": "assistant", "content": text.text}));
                }
                Part::Refusal(text) => self.input.push(json!({"type": "message", "role": "assistant", "content": text})),
                Part::Reasoning(reasoning) => self.reasoning(reasoning),
                Part::ToolCall(call) => {
                    self.no_breakpoint(call.cache, &call.path);
                    self.losses.if_some(call.signature, &call.path, "a signature goes back to its issuer only");
                    let name = self.names.sent(&call.name, NAME_MAX);
                    self.input.push(json!({"type": "function_call", "call_id": call.id, "name": name, "arguments": call.arguments.to_text()}));
                }
                Part::Image(Media { path, .. }) | Part::Audio(Media { path, .. }) | Part::Document(Document { path, .. }) => {
                    self.losses.add(path, "an assistant message holds text, thinking and tool calls only");
                }
                Part::ToolResult(result) => self.tool_result(result)?,
            }
        }
        Ok(())
    }

    fn reasoning(&mut self, reasoning: Reasoning) {
        match reasoning.opaque {
            Some(opaque) if opaque.issuer == Issuer::OpenAi => {
                let summary: Vec<Value> =
                    (!reasoning.text.is_empty()).then(|| json!({"type": "summary_text", "text": reasoning.text})).into_iter().collect();
                let mut item = Map::from_iter([("type".to_owned(), json!("reasoning"))]);
                opaque.id.clone().map(|id| item.insert("id".into(), id.into()));
                item.insert("summary".into(), summary.into());
                item.insert("encrypted_content".into(), encode_opaque(&opaque).into());
                self.input.push(Value::Object(item));
            }
            _ => self.losses.add(reasoning.path, "thinking goes back to the provider that signed it only"),
        }
    }

    fn tool_result(&mut self, result: ToolResult) -> Result<(), Refused> {
        self.no_breakpoint(result.cache, &result.path);
        let mut content = Vec::new();
        for part in result.parts {
            content.extend(self.content(part)?);
        }
        if result.is_error {
            content.insert(0, json!({"type": "input_text", "text": "Error:"}));
        }
        let output = match content.as_slice() {
            [] => json!(""),
            [one] if one.get("type").is_some_and(|kind| kind == "input_text") => one.get("text").cloned().unwrap_or_default(),
            _ => Value::Array(content),
        };
        self.input.push(json!({"type": "function_call_output", "call_id": result.call_id, "output": output}));
        Ok(())
    }

    fn content(&mut self, part: Part) -> Result<Vec<Value>, Refused> {
        Ok(vec![match part {
            Part::Text(text) => {
                self.no_breakpoint(text.cache, &text.path);
                if text.text.is_empty() {
                    return Ok(Vec::new());
                }
                json!({"type": "input_text", "text": text.text})
            }
            Part::Refusal(text) => json!({"type": "input_text", "text": text}),
            Part::Image(media) => {
                self.no_breakpoint(media.cache, &media.path);
                let detail = media.detail.unwrap_or_else(|| "auto".to_owned());
                match media.source {
                    MediaSource::Base64 { media_type, data } => {
                        json!({"type": "input_image", "image_url": format!("data:{media_type};base64,{data}"), "detail": detail})
                    }
                    MediaSource::Url { url, .. } => json!({"type": "input_image", "image_url": url, "detail": detail}),
                    MediaSource::File { id, .. } if is_own_file(&id) => json!({"type": "input_image", "file_id": id, "detail": detail}),
                    MediaSource::File { .. } => return Err(foreign_file(media.path)),
                    MediaSource::Text(_) => return Err(Refused::new(media.path, "a picture cannot be text")),
                }
            }
            Part::Audio(media) => return Err(Refused::new(media.path, "this model does not listen; use an audio model in chat completions")),
            Part::Document(document) => return self.document(document),
            Part::Reasoning(reasoning) => {
                self.losses.add(reasoning.path, "only assistant messages hold thinking");
                return Ok(Vec::new());
            }
            Part::ToolCall(call) => {
                self.losses.add(call.path, "only assistant messages hold tool calls");
                return Ok(Vec::new());
            }
            Part::ToolResult(result) => {
                self.losses.add(result.path, "a tool result holds no other");
                return Ok(Vec::new());
            }
        }])
    }

    /// Files have a name but no context, which stands as text before the file.
    fn document(&mut self, document: Document) -> Result<Vec<Value>, Refused> {
        self.no_breakpoint(document.cache, &document.path);
        if document.citations {
            self.losses.add(format!("{}.citations", document.path), "this model does not cite documents");
        }
        let (name, context) = (document.name, document.context.map(|text| json!({"type": "input_text", "text": text})));
        let file = match document.source {
            MediaSource::Text(text) => {
                let title = name.map(|name| format!("{name}\n\n")).unwrap_or_default();
                json!({"type": "input_text", "text": format!("<document>\n{title}{text}\n</document>")})
            }
            MediaSource::Base64 { media_type, data } => {
                let name = name.unwrap_or_else(|| format!("document.{}", media_type.rsplit('/').next().unwrap_or("pdf")));
                json!({"type": "input_file", "filename": name, "file_data": format!("data:{media_type};base64,{data}")})
            }
            MediaSource::Url { url, .. } => {
                self.losses.if_some(name, &format!("{}.title", document.path), "a file by address has no name here");
                json!({"type": "input_file", "file_url": url})
            }
            MediaSource::File { id, .. } if is_own_file(&id) => json!({"type": "input_file", "file_id": id}),
            MediaSource::File { .. } => return Err(foreign_file(document.path)),
        };
        Ok(context.into_iter().chain([file]).collect())
    }

    fn tool(&mut self, tool: Tool) -> Value {
        let Tool { name, description, parameters, strict, free_form: _, namespace: _, cache, path } = tool;
        self.no_breakpoint(cache, &path);
        let mut out = Map::from_iter([("type".to_owned(), json!("function")), ("name".to_owned(), json!(self.names.sent(&name, NAME_MAX)))]);
        description.map(|text| out.insert("description".into(), text.into()));
        let parameters = match parameters {
            // Anything goes, in the one form that is taken here.
            Some(Value::Bool(true)) => json!({}),
            parameters => parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
        };
        let strict = kept_strict(strict, &parameters, &format!("{path}.strict"), &mut self.losses);
        out.insert("parameters".into(), parameters);
        // Without a word Responses would follow the schema strictly, and refuse one that is not made for it.
        out.insert("strict".into(), strict.unwrap_or(false).into());
        Value::Object(out)
    }

    fn tool_choice(&mut self, choice: ToolChoice) -> Value {
        let mut function = |name: &str| json!({"type": "function", "name": self.names.sent(name, NAME_MAX)});
        match choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Tool(name) => function(&name),
            ToolChoice::Allowed { names, required } => {
                let tools: Vec<Value> = names.iter().map(|name| function(name)).collect();
                json!({"type": "allowed_tools", "mode": if required { "required" } else { "auto" }, "tools": tools})
            }
        }
    }

    fn sampling(&mut self, sampling: Sampling) -> Result<(), Refused> {
        let Sampling {
            max_tokens,
            max_tokens_path,
            temperature,
            top_p,
            top_k,
            frequency_penalty,
            presence_penalty,
            seed,
            stop,
            n,
            logprobs,
            top_logprobs,
        } = sampling;
        if n.is_some_and(|n| n > 1) {
            return Err(Refused::new("n", "this model gives one answer a request; send the request several times"));
        }
        if let Some(count) = max_tokens {
            if count < OUTPUT_MIN {
                self.losses.add(max_tokens_path, "OpenAI takes no fewer than 16");
            }
            self.set("max_output_tokens", json!(count.max(OUTPUT_MIN)));
        }
        temperature.map(|number| self.set("temperature", Value::Number(number)));
        top_p.map(|number| self.set("top_p", Value::Number(number)));
        if logprobs {
            self.set("top_logprobs", json!(top_logprobs.unwrap_or(0)));
        }
        let absent = "Responses does not have it";
        self.losses.if_some(top_k, "top_k", absent);
        self.losses.if_some(frequency_penalty, "frequency_penalty", absent);
        self.losses.if_some(presence_penalty, "presence_penalty", absent);
        self.losses.if_some(seed, "seed", absent);
        if !stop.is_empty() {
            self.losses.add("stop", absent);
        }
        Ok(())
    }

    fn no_breakpoint(&mut self, cache: Option<CacheControl>, path: &str) {
        self.losses.if_some(cache, &format!("{path}.cache_control"), NO_BREAKPOINTS);
    }
}

fn encode_output(format: OutputFormat, losses: &mut Losses) -> Value {
    match format {
        OutputFormat::JsonObject => json!({"type": "json_object"}),
        OutputFormat::JsonSchema { name, description, schema, strict, path } => {
            let mut out =
                Map::from_iter([("type".to_owned(), json!("json_schema")), ("name".to_owned(), json!(name.unwrap_or_else(|| "answer".to_owned())))]);
            description.map(|text| out.insert("description".into(), text.into()));
            kept_strict(strict, &schema, path, losses).map(|strict| out.insert("strict".into(), strict.into()));
            out.insert("schema".into(), schema);
            Value::Object(out)
        }
    }
}

/// Anthropic's file ids begin with `file_`.
fn is_own_file(id: &str) -> bool {
    id.starts_with("file-")
}

fn foreign_file(path: String) -> Refused {
    Refused::new(path, "files uploaded to another provider cannot be read by this model; send the content instead")
}
