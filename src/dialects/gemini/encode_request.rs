//! Neutral form → generateContent request. Model and streaming are said in the address.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::models::demands_signatures;
use super::thinking::encode_thinking;
use crate::dialects::EncodedRequest;
use crate::ir::{
    CacheControl, Document, Issuer, Losses, Media, MediaSource, Message, NameMap, Opaque, OutputFormat, Part, Placement, Reasoning, Refused, Request,
    Role, Sampling, Tool, ToolCall, ToolChoice, ToolResult,
};

const NAME_MAX: usize = 64;
const STOP_MAX: usize = 5;
/// Google's documented way out where a call's signature is not known, as after a change of provider.
const SKIP_VALIDATION: &str = "skip_thought_signature_validator";
const NO_BREAKPOINTS: &str = "caching is automatic here, there are no breakpoints";

/// Writes a request body.
///
/// # Errors
/// [`Refused`] for files that only another provider knows, and for the result of a call that is not in the conversation.
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
        thinking_path,
        show_thinking: _,
        user,
        user_path,
        service_tier,
        cache,
        stream: _,
        include_usage: _,
    } = request;
    let mut writer = Writer { losses: Losses::default(), names: NameMap::default(), calls: HashMap::new(), signs: demands_signatures(&model) };
    let mut body = Map::new();
    let (system, contents) = writer.messages(messages)?;
    if !system.is_empty() {
        body.insert("systemInstruction".into(), json!({"parts": system}));
    }
    let mut choice = tool_choice;
    if !tools.is_empty() {
        let declarations: Vec<Value> = tools.into_iter().map(|tool| writer.tool(tool)).collect();
        body.insert("tools".into(), json!([{"functionDeclarations": declarations}]));
        if let Some(config) = choice.take().map(|choice| writer.tool_choice(choice)) {
            body.insert("toolConfig".into(), json!({"functionCallingConfig": config}));
        }
        if parallel_tool_calls == Some(false) {
            writer.losses.add("parallel_tool_calls", "Gemini may always call several tools at once");
        }
    }
    body.insert("contents".into(), Value::Array(contents));
    let mut config = Map::new();
    writer.sampling(sampling, &mut config);
    writer.output(output, &mut config);
    encode_thinking(thinking, thinking_path, &model, &mut writer.losses).map(|thinking| config.insert("thinkingConfig".into(), thinking));
    if !config.is_empty() {
        body.insert("generationConfig".into(), Value::Object(config));
    }
    writer.losses.if_some(user, user_path, "Gemini takes no end user");
    writer.losses.if_some(service_tier, "service_tier", "service tiers differ between providers");
    writer.losses.if_some(cache, "cache_control", NO_BREAKPOINTS);
    Ok(EncodedRequest { body, losses: writer.losses, names: writer.names })
}

struct Writer {
    losses: Losses,
    names: NameMap,
    /// The sent name of each call by its id: results carry it, and callers of other dialects do not say it again.
    calls: HashMap<String, String>,
    signs: bool,
}

impl Writer {
    fn messages(&mut self, messages: Vec<Message>) -> Result<(Vec<Value>, Vec<Value>), Refused> {
        let mut system = Vec::new();
        let mut turns: Vec<(&'static str, Vec<Value>)> = Vec::new();
        // Instructions that stand between a call and its response, which must follow each other.
        let mut waiting: Vec<Value> = Vec::new();
        let mut push = |role: &'static str, parts: Vec<Value>| match turns.last_mut() {
            Some((last, content)) if *last == role => content.extend(parts),
            _ if parts.is_empty() => {}
            _ => turns.push((role, parts)),
        };
        let mut begun = false;
        let before_results = Message::before_results(&messages);
        for (message, before_results) in messages.into_iter().zip(before_results) {
            let path = message.path.clone();
            self.losses.if_some(message.name.as_ref(), &format!("{path}.name"), "Gemini has no speaker names");
            if message.is_system() {
                let parts = self.parts(message.parts, Role::User)?;
                match (begun, before_results) {
                    (false, _) => system.extend(parts),
                    (true, true) => waiting.extend(mark(parts)),
                    (true, false) => push("user", mark(parts)),
                }
                continue;
            }
            begun = true;
            let role = if message.role == Role::Assistant { "model" } else { "user" };
            let parts = self.parts(message.parts, message.role)?;
            push(role, parts);
            if !before_results {
                push("user", std::mem::take(&mut waiting));
            }
        }
        push("user", waiting);
        let contents = turns.into_iter().map(|(role, mut parts)| {
            if role == "user" {
                parts.sort_by_key(|part| part.get("functionResponse").is_none());
            }
            json!({"role": role, "parts": parts})
        });
        Ok((system, contents.collect()))
    }

    fn parts(&mut self, parts: Vec<Part>, role: Role) -> Result<Vec<Value>, Refused> {
        let mut out: Vec<Value> = Vec::with_capacity(parts.len());
        // A signature of text stands before it (chat completions) or after it (Messages).
        let mut pending: Option<String> = None;
        let mut signed_call = false;
        for part in parts {
            match part {
                Part::Reasoning(Reasoning { opaque: Some(Opaque { issuer: Issuer::Gemini, placement: Placement::Text, data, .. }), .. }) => {
                    match out.last_mut().and_then(Value::as_object_mut).filter(|last| last.len() == 1 && last.contains_key("text")) {
                        Some(last) => {
                            last.insert("thoughtSignature".into(), data.into());
                        }
                        None => pending = Some(data),
                    }
                }
                Part::Text(text) => {
                    self.losses.if_some(text.cache, &format!("{}.cache_control", text.path), NO_BREAKPOINTS);
                    if text.text.is_empty() && pending.is_none() {
                        continue;
                    }
                    let mut part = json!({"text": text.text});
                    set(&mut part, "thoughtSignature", pending.take().map(Value::from));
                    out.push(part);
                }
                Part::ToolCall(call) => {
                    out.push(self.call(call, !signed_call));
                    signed_call = true;
                }
                Part::ToolResult(result) => self.result(result, &mut out)?,
                Part::Document(document) => out.extend(self.document(document)?),
                other => out.extend(self.part(other, role)?),
            }
        }
        if let Some(data) = pending {
            out.push(json!({"text": "", "thoughtSignature": data}));
        }
        Ok(out)
    }

    fn part(&mut self, part: Part, role: Role) -> Result<Option<Value>, Refused> {
        Ok(match part {
            Part::Refusal(text) => Some(json!({"text": text})),
            Part::Image(Media { source, detail, cache, path }) => {
                self.losses.if_some(detail, &format!("{path}.detail"), "Gemini sets the resolution for the whole request");
                self.media(source, "image/jpeg", cache, path)?
            }
            Part::Audio(Media { source, cache, path, .. }) => self.media(source, "audio/wav", cache, path)?,
            Part::Reasoning(Reasoning { text, opaque, path }) => match opaque {
                Some(opaque) if opaque.issuer == Issuer::Gemini && role == Role::Assistant => {
                    Some(json!({"text": text, "thought": true, "thoughtSignature": opaque.data}))
                }
                _ => {
                    self.losses.add(path, "thinking goes back to the provider that signed it only");
                    None
                }
            },
            // Handled by the caller.
            Part::Text(_) | Part::ToolCall(_) | Part::ToolResult(_) | Part::Document(_) => None,
        })
    }

    /// Gemini's files have no name and no context: both stand as text before the file.
    fn document(&mut self, document: Document) -> Result<Vec<Value>, Refused> {
        let Document { source, name, context, citations, cache, path } = document;
        if citations {
            self.losses.add(format!("{path}.citations"), "this model does not cite documents");
        }
        let head: Vec<String> = [name, context].into_iter().flatten().collect();
        if let MediaSource::Text(text) = source {
            self.losses.if_some(cache, &format!("{path}.cache_control"), NO_BREAKPOINTS);
            let text: Vec<String> = head.into_iter().chain([text]).collect();
            return Ok(vec![json!({"text": format!("<document>\n{}\n</document>", text.join("\n\n"))})]);
        }
        let mut out = Vec::with_capacity(2);
        if !head.is_empty() {
            out.push(json!({"text": head.join("\n")}));
        }
        out.extend(self.media(source, "application/pdf", cache, path)?);
        Ok(out)
    }

    fn media(&mut self, source: MediaSource, assumed: &str, cache: Option<CacheControl>, path: String) -> Result<Option<Value>, Refused> {
        self.losses.if_some(cache, &format!("{path}.cache_control"), NO_BREAKPOINTS);
        Ok(Some(match source {
            MediaSource::Base64 { media_type, data } => json!({"inlineData": {"mimeType": media_type, "data": data}}),
            MediaSource::Url { url, media_type } => {
                json!({"fileData": {"mimeType": media_type.unwrap_or_else(|| assumed.to_owned()), "fileUri": url}})
            }
            MediaSource::File { .. } => {
                return Err(Refused::new(path, "a file id of one provider means nothing to another; send the file itself"));
            }
            MediaSource::Text(text) => json!({"text": text}),
        }))
    }

    fn call(&mut self, call: ToolCall, first: bool) -> Value {
        let ToolCall { id, name, arguments, signature, cache, path } = call;
        self.losses.if_some(cache, &format!("{path}.cache_control"), NO_BREAKPOINTS);
        let name = self.names.sent(&name, NAME_MAX);
        self.calls.insert(id.clone(), name.clone());
        let mut part = json!({"functionCall": {"id": id, "name": name, "args": arguments.into_object()}});
        let signature = match signature {
            Some(Opaque { issuer: Issuer::Gemini, data, .. }) => Some(data),
            other => {
                self.losses.if_some(other, &format!("{path}.extra_content"), "a signature goes back to its issuer only");
                (self.signs && first).then(|| SKIP_VALIDATION.to_owned())
            }
        };
        set(&mut part, "thoughtSignature", signature.map(Value::from));
        part
    }

    fn result(&mut self, result: ToolResult, out: &mut Vec<Value>) -> Result<(), Refused> {
        let ToolResult { call_id, parts, is_error, cache, path } = result;
        self.losses.if_some(cache, &format!("{path}.cache_control"), NO_BREAKPOINTS);
        let Some(name) = self.calls.get(&call_id).cloned() else {
            return Err(Refused::new(path, format!("no tool call with the id '{call_id}' comes before this result")));
        };
        let (mut texts, mut media) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Text(text) => {
                    self.losses.if_some(text.cache, &format!("{}.cache_control", text.path), NO_BREAKPOINTS);
                    texts.push(text.text);
                }
                Part::Document(document) => media.extend(self.document(document)?),
                other => media.extend(self.part(other, Role::User)?),
            }
        }
        let text = texts.join("\n");
        let response = match serde_json::from_str::<Value>(&text) {
            Ok(Value::Object(map)) if !is_error => Value::Object(map),
            _ if is_error => json!({"error": text}),
            _ => json!({"output": text}),
        };
        out.push(json!({"functionResponse": {"id": call_id, "name": name, "response": response}}));
        out.extend(media);
        Ok(())
    }

    fn tool(&mut self, tool: Tool) -> Value {
        let Tool { name, description, parameters, strict, free_form: _, namespace: _, cache, path } = tool;
        self.losses.if_some(cache, &format!("{path}.cache_control"), NO_BREAKPOINTS);
        self.losses.if_some(strict.filter(|strict| *strict), &format!("{path}.strict"), "Gemini has no strict tools");
        let mut out = json!({"name": self.names.sent(&name, NAME_MAX)});
        set(&mut out, "description", description.map(Value::from));
        // The JSON Schema as it came: `parameters` would take a subset of it only.
        set(&mut out, "parametersJsonSchema", parameters);
        out
    }

    fn tool_choice(&mut self, choice: ToolChoice) -> Value {
        match choice {
            ToolChoice::Auto => json!({"mode": "AUTO"}),
            ToolChoice::None => json!({"mode": "NONE"}),
            ToolChoice::Required => json!({"mode": "ANY"}),
            ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [self.names.sent(&name, NAME_MAX)]}),
            ToolChoice::Allowed { names, required } => {
                let names: Vec<String> = names.iter().map(|name| self.names.sent(name, NAME_MAX)).collect();
                // `VALIDATED` is `AUTO` with a list.
                json!({"mode": if required { "ANY" } else { "VALIDATED" }, "allowedFunctionNames": names})
            }
        }
    }

    fn sampling(&mut self, sampling: Sampling, config: &mut Map<String, Value>) {
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
        let mut put = |key: &str, value: Option<Value>| value.map(|value| config.insert(key.to_owned(), value));
        put("maxOutputTokens", max_tokens.map(Value::from));
        put("temperature", temperature.map(Value::Number));
        put("topP", top_p.map(Value::Number));
        put("topK", top_k.map(Value::Number));
        put("frequencyPenalty", frequency_penalty.map(Value::Number));
        put("presencePenalty", presence_penalty.map(Value::Number));
        put("seed", seed.map(Value::Number));
        if stop.len() > STOP_MAX {
            self.losses.add(format!("stop[{STOP_MAX}]"), "at most five stop sequences");
            stop.truncate(STOP_MAX);
        }
        put("stopSequences", (!stop.is_empty()).then(|| json!(stop)));
        put("candidateCount", n.filter(|n| *n != 1).map(Value::from));
        if logprobs {
            put("responseLogprobs", Some(json!(true)));
            put("logprobs", top_logprobs.filter(|count| *count > 0).map(Value::from));
        }
    }

    fn output(&mut self, output: Option<OutputFormat>, config: &mut Map<String, Value>) {
        let Some(output) = output else { return };
        config.insert("responseMimeType".into(), json!("application/json"));
        if let OutputFormat::JsonSchema { name, description, schema, strict: _, path } = output {
            self.losses.if_some(name, &format!("{path}.name"), "Gemini's schemas have no name");
            self.losses.if_some(description, &format!("{path}.description"), "Gemini's schemas have no description");
            config.insert("responseJsonSchema".into(), schema);
        }
    }
}

/// Instructions in mid-conversation keep their place in a user turn that says what they are.
fn mark(parts: Vec<Value>) -> Vec<Value> {
    let wrap = |part: Value| match part.get("text").and_then(Value::as_str) {
        Some(text) => json!({"text": format!("<system>\n{text}\n</system>")}),
        None => part,
    };
    parts.into_iter().map(wrap).collect()
}

fn set(object: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (object.as_object_mut(), value) {
        map.insert(key.to_owned(), value);
    }
}
