//! Neutral form → Messages request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::models::facts;
use super::thinking::{Circumstances, encode_thinking};
use super::words::encode_opaque;
use crate::base::ids::short_hash;
use crate::dialects::EncodedRequest;
use crate::ir::{
    CacheControl, Document, Issuer, Losses, Media, MediaSource, Message, NameMap, OutputFormat, Part, Placement, Refused, Request, Role, Sampling,
    Text, Tool, ToolCall, ToolChoice, ToolResult,
};

const NAME_MAX: usize = 128;
/// More breakpoints than this are refused.
const BREAKPOINTS_MAX: usize = 4;
const JSON_ONLY: &str = "Answer with one JSON object and nothing else.";

/// Writes a request body.
///
/// # Errors
/// [`Refused`] for several answers at once, for audio, and for files that only another provider knows.
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
        user_path: _,
        service_tier,
        cache,
        stream,
        include_usage: _,
    } = request;
    let facts = facts(&model);
    let mut writer = Writer::default();
    let max_tokens = sampling.max_tokens.unwrap_or(facts.max_output);
    writer.set("model", json!(model));
    writer.set("max_tokens", json!(max_tokens));
    let (tools, tool_choice) = writer.narrow(tools, tool_choice);
    let history = HistoryOfTools::of(&messages);
    writer.tools(tools, &history);
    let forced_tool = matches!(tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_)));
    writer.tool_choice(tool_choice, parallel_tool_calls);
    let circumstances = Circumstances { path: thinking_path, max_tokens, forced_tool, loop_without_thinking: history.loop_without_thinking };
    let thinks = encode_thinking(thinking, facts, &circumstances, &mut writer.body, &mut writer.losses);
    writer.messages(messages)?;
    writer.output(output);
    writer.sampling(sampling, thinks)?;
    user.map(|user| writer.set("metadata", json!({"user_id": user})));
    writer.losses.if_some(service_tier, "service_tier", "service tiers differ between providers");
    if let Some(CacheControl(value)) = cache {
        writer.set("cache_control", value);
    }
    if stream {
        writer.set("stream", json!(true));
    }
    Ok(writer.finish())
}

/// What the conversation so far says about tools.
struct HistoryOfTools {
    /// Names of tools that were called, in order, each once.
    names: Vec<String>,
    loop_without_thinking: bool,
}

impl HistoryOfTools {
    fn of(messages: &[Message]) -> Self {
        let mut names: Vec<String> = Vec::new();
        for part in messages.iter().flat_map(|message| &message.parts) {
            if let Part::ToolCall(call) = part
                && !names.contains(&call.name)
            {
                names.push(call.name.clone());
            }
        }
        let is_result = |message: &Message| message.parts.iter().any(|part| matches!(part, Part::ToolResult(_)));
        let in_loop = messages.iter().rev().take_while(|message| message.role != Role::Assistant).any(is_result);
        let signed =
            |part: &Part| matches!(part, Part::Reasoning(reasoning) if reasoning.opaque.as_ref().is_some_and(|o| o.issuer == Issuer::Anthropic));
        let last = messages.iter().rev().find(|message| message.role == Role::Assistant);
        let loop_without_thinking = in_loop && last.is_some_and(|message| !message.parts.first().is_some_and(signed));
        Self { names, loop_without_thinking }
    }
}

#[derive(Default)]
struct Writer {
    body: Map<String, Value>,
    losses: Losses,
    names: NameMap,
    breakpoints: usize,
}

impl Writer {
    fn set(&mut self, key: &str, value: Value) {
        self.body.insert(key.to_owned(), value);
    }

    /// Anthropic's own order, so that what changes least stands first and its prompt cache hits.
    fn finish(mut self) -> EncodedRequest {
        let mut body = Map::with_capacity(self.body.len());
        for key in ["model", "max_tokens", "tools", "tool_choice", "system"] {
            if let Some((key, value)) = self.body.shift_remove_entry(key) {
                body.insert(key, value);
            }
        }
        let messages = self.body.shift_remove_entry("messages");
        body.extend(self.body);
        body.extend(messages);
        EncodedRequest { body, losses: self.losses, names: self.names }
    }

    /// The subset of tools that may be called is said by offering no others.
    fn narrow(&mut self, tools: Vec<Tool>, choice: Option<ToolChoice>) -> (Vec<Tool>, Option<ToolChoice>) {
        match choice {
            Some(ToolChoice::Allowed { names, required }) => {
                let choice = if required { ToolChoice::Required } else { ToolChoice::Auto };
                let (allowed, others): (Vec<Tool>, Vec<Tool>) = tools.into_iter().partition(|tool| names.contains(&tool.name));
                others.into_iter().for_each(|tool| self.losses.add(tool.path, "it may not be called, and who is told of it might"));
                (allowed, Some(choice))
            }
            choice => (tools, choice),
        }
    }

    fn tools(&mut self, tools: Vec<Tool>, history: &HistoryOfTools) {
        if tools.is_empty() && history.names.is_empty() {
            return;
        }
        // A conversation with tool calls needs definitions, even when no tool is on offer any more.
        if tools.is_empty() {
            let stubs = history.names.iter().map(|name| json!({"name": self.names.sent(name, NAME_MAX), "input_schema": {"type": "object"}}));
            let stubs: Vec<Value> = stubs.collect();
            self.set("tools", Value::Array(stubs));
            return self.set("tool_choice", json!({"type": "none"}));
        }
        let tools: Vec<Value> = tools.into_iter().map(|tool| self.tool(tool)).collect();
        self.set("tools", Value::Array(tools));
    }

    fn tool(&mut self, tool: Tool) -> Value {
        let Tool { name, description, parameters, strict, free_form: _, namespace: _, cache, path } = tool;
        let mut out = Map::from_iter([("name".to_owned(), json!(self.names.sent(&name, NAME_MAX)))]);
        description.map(|text| out.insert("description".into(), text.into()));
        out.insert("input_schema".into(), object_schema(parameters));
        strict.filter(|strict| *strict).map(|strict| out.insert("strict".into(), strict.into()));
        self.cache(&mut out, cache, &path);
        Value::Object(out)
    }

    fn tool_choice(&mut self, choice: Option<ToolChoice>, parallel: Option<bool>) {
        let offered = self.body.contains_key("tools");
        if !offered || self.body.contains_key("tool_choice") {
            return;
        }
        let mut out = match choice {
            Some(ToolChoice::None) => json!({"type": "none"}),
            Some(ToolChoice::Required) => json!({"type": "any"}),
            Some(ToolChoice::Tool(name)) => json!({"type": "tool", "name": self.names.sent(&name, NAME_MAX)}),
            Some(ToolChoice::Auto | ToolChoice::Allowed { .. }) => json!({"type": "auto"}),
            None if parallel == Some(false) => json!({"type": "auto"}),
            None => return,
        };
        if let (Some(false), Some(map)) = (parallel, out.as_object_mut().filter(|map| map.get("type") != Some(&json!("none")))) {
            map.insert("disable_parallel_tool_use".into(), json!(true));
        }
        self.set("tool_choice", out);
    }

    fn messages(&mut self, messages: Vec<Message>) -> Result<(), Refused> {
        let mut system = Vec::new();
        let mut turns: Vec<Turn> = Vec::new();
        // Instructions that stand between a tool call and its result, which must follow each other.
        let mut waiting: Vec<Message> = Vec::new();
        let before_results = Message::before_results(&messages);
        for (message, before_results) in messages.into_iter().zip(before_results) {
            if message.is_system() {
                if turns.is_empty() {
                    system.extend(self.parts(message.parts, message.role)?);
                } else if before_results {
                    waiting.push(message);
                } else {
                    self.turn("system", message, &mut turns)?;
                }
                continue;
            }
            let role = if message.role == Role::Assistant { "assistant" } else { "user" };
            self.losses.if_some(message.name.as_ref(), &format!("{}.name", message.path), "Anthropic has no speaker names");
            self.turn(role, message, &mut turns)?;
            if !before_results {
                for message in std::mem::take(&mut waiting) {
                    self.turn("system", message, &mut turns)?;
                }
            }
        }
        if let Some(last) = turns.last_mut() {
            last.trim_prefill();
        }
        if !system.is_empty() {
            self.set("system", plain(system));
        }
        let turns: Vec<Value> = turns.into_iter().filter(|turn| !turn.blocks.is_empty()).map(Turn::encode).collect();
        self.set("messages", Value::Array(turns));
        Ok(())
    }

    /// Turns of one speaker that follow each other are one.
    fn turn(&mut self, role: &'static str, message: Message, turns: &mut Vec<Turn>) -> Result<(), Refused> {
        let blocks = self.parts(message.parts, message.role)?;
        match turns.last_mut() {
            Some(last) if last.role == role => last.blocks.extend(blocks),
            _ => turns.push(Turn { role, blocks }),
        }
        Ok(())
    }

    fn parts(&mut self, parts: Vec<Part>, role: Role) -> Result<Vec<Value>, Refused> {
        let mut out = Vec::with_capacity(parts.len());
        for part in parts {
            out.extend(self.part(part, role)?);
        }
        Ok(out)
    }

    fn part(&mut self, part: Part, role: Role) -> Result<Option<Value>, Refused> {
        Ok(match part {
            Part::Text(Text { text, cache, citations: _, path }) => self.text(text, cache, &path),
            Part::Refusal(text) => self.text(text, None, ""),
            Part::Image(Media { source, detail, cache, path }) => {
                self.losses.if_some(detail, &format!("{path}.detail"), "Anthropic looks at every image alike");
                let source = match source {
                    MediaSource::Base64 { media_type, data } => json!({"type": "base64", "media_type": media_type, "data": data}),
                    MediaSource::Url { url, .. } => json!({"type": "url", "url": url}),
                    MediaSource::File { .. } => return Err(foreign_file(path)),
                    MediaSource::Text(_) => return Err(Refused::new(path, "an image cannot be text")),
                };
                Some(self.block(json!({"type": "image", "source": source}), cache, &path))
            }
            Part::Document(document) => Some(self.document(document)?),
            Part::Audio(Media { path, .. }) => return Err(Refused::new(path, "this model does not hear audio; send a transcript")),
            Part::Reasoning(reasoning) => match reasoning.opaque {
                Some(opaque) if opaque.issuer == Issuer::Anthropic && role == Role::Assistant => Some(match opaque.placement {
                    Placement::Redacted => json!({"type": "redacted_thinking", "data": encode_opaque(opaque)}),
                    _ => json!({"type": "thinking", "thinking": reasoning.text, "signature": encode_opaque(opaque)}),
                }),
                _ => {
                    self.losses.add(reasoning.path, "thinking goes back to the provider that signed it only");
                    None
                }
            },
            Part::ToolCall(ToolCall { id, name, arguments, signature, cache, path }) => {
                self.losses.if_some(signature, &format!("{path}.extra_content"), "goes back to Gemini only");
                let name = self.names.sent(&name, NAME_MAX);
                let block = json!({"type": "tool_use", "id": call_id(&id), "name": name, "input": arguments.into_object()});
                Some(self.block(block, cache, &path))
            }
            Part::ToolResult(ToolResult { call_id: id, parts, is_error, cache, path }) => {
                let content = self.parts(parts, Role::User)?;
                let mut block = json!({"type": "tool_result", "tool_use_id": call_id(&id)});
                if let Some(block) = block.as_object_mut() {
                    if !content.is_empty() {
                        block.insert("content".into(), plain(content));
                    }
                    if is_error {
                        block.insert("is_error".into(), json!(true));
                    }
                }
                Some(self.block(block, cache, &path))
            }
        })
    }

    /// Empty text blocks are refused; they say nothing.
    fn text(&mut self, text: String, cache: Option<CacheControl>, path: &str) -> Option<Value> {
        (!text.trim().is_empty()).then(|| self.block(json!({"type": "text", "text": text}), cache, path))
    }

    fn document(&mut self, document: Document) -> Result<Value, Refused> {
        let Document { source, name, context, citations, cache, path } = document;
        let source = match source {
            MediaSource::Base64 { media_type, data } if media_type == "application/pdf" => {
                json!({"type": "base64", "media_type": media_type, "data": data})
            }
            MediaSource::Base64 { media_type, data } => {
                // Whatever is text goes as text; Anthropic reads no other files.
                let text = STANDARD.decode(data.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let refused = || Refused::new(path.clone(), format!("this model reads PDF and text files, not {media_type}"));
                json!({"type": "text", "media_type": "text/plain", "data": text.ok_or_else(refused)?})
            }
            MediaSource::Url { url, .. } => json!({"type": "url", "url": url}),
            MediaSource::File { .. } => return Err(foreign_file(path)),
            MediaSource::Text(text) => json!({"type": "text", "media_type": "text/plain", "data": text}),
        };
        let mut block = Map::from_iter([("type".to_owned(), json!("document")), ("source".to_owned(), source)]);
        name.map(|name| block.insert("title".into(), name.into()));
        context.map(|context| block.insert("context".into(), context.into()));
        if citations {
            block.insert("citations".into(), json!({"enabled": true}));
        }
        Ok(self.block(Value::Object(block), cache, &path))
    }

    fn block(&mut self, mut block: Value, cache: Option<CacheControl>, path: &str) -> Value {
        if let Some(map) = block.as_object_mut() {
            self.cache(map, cache, path);
        }
        block
    }

    fn cache(&mut self, block: &mut Map<String, Value>, cache: Option<CacheControl>, path: &str) {
        let Some(CacheControl(value)) = cache else { return };
        if self.breakpoints == BREAKPOINTS_MAX {
            return self.losses.add(format!("{path}.cache_control"), "at most four cache breakpoints");
        }
        self.breakpoints += 1;
        block.insert("cache_control".into(), value);
    }

    fn output(&mut self, output: Option<OutputFormat>) {
        match output {
            None => {}
            Some(OutputFormat::JsonObject) => {
                // Anthropic has no such mode; asking is what its own documentation advises.
                let ask = json!({"type": "text", "text": JSON_ONLY});
                let system = match self.body.remove("system") {
                    None => json!([ask]),
                    Some(Value::Array(mut blocks)) => {
                        blocks.push(ask);
                        Value::Array(blocks)
                    }
                    Some(text) => json!([{"type": "text", "text": text}, ask]),
                };
                self.set("system", system);
            }
            Some(OutputFormat::JsonSchema { name, description, schema, strict: _, path }) => {
                self.losses.if_some(name, &format!("{path}.name"), "Anthropic's schemas have no name");
                self.losses.if_some(description, &format!("{path}.description"), "Anthropic's schemas have no description");
                let format = json!({"type": "json_schema", "schema": schema});
                match self.body.get_mut("output_config").and_then(Value::as_object_mut) {
                    Some(config) => {
                        config.insert("format".into(), format);
                    }
                    None => self.set("output_config", json!({"format": format})),
                }
            }
        }
    }

    fn sampling(&mut self, sampling: Sampling, thinks: bool) -> Result<(), Refused> {
        let Sampling {
            max_tokens: _,
            max_tokens_path: _,
            temperature,
            mut top_p,
            mut top_k,
            frequency_penalty,
            presence_penalty,
            seed,
            stop,
            n,
            logprobs,
            top_logprobs,
        } = sampling;
        if n.is_some_and(|n| n != 1) {
            return Err(Refused::new("n", "this model gives one answer a request; ask n times"));
        }
        if thinks {
            let unusual = temperature.as_ref().is_some_and(|number| number.as_f64() != Some(1.0));
            self.losses.if_some(unusual.then_some(()), "temperature", "thinking allows no temperature but 1");
            self.losses.if_some(top_k.take(), "top_k", "thinking excludes top_k");
            let low = top_p.take_if(|number| number.as_f64().is_none_or(|value| value < 0.95));
            self.losses.if_some(low, "top_p", "thinking allows no top_p below 0.95");
        } else if let Some(number) = temperature {
            if number.as_f64().is_some_and(|value| value > 1.0) {
                self.losses.add("temperature", "Anthropic's temperature ends at 1, which was sent");
                self.set("temperature", json!(1));
            } else {
                self.set("temperature", Value::Number(number));
            }
            self.losses.if_some(top_p.take(), "top_p", "Anthropic takes temperature or top_p, not both");
        }
        top_p.map(|number| self.set("top_p", Value::Number(number)));
        top_k.map(|number| self.set("top_k", Value::Number(number)));
        self.losses.if_some(frequency_penalty, "frequency_penalty", "Anthropic has no penalties");
        self.losses.if_some(presence_penalty, "presence_penalty", "Anthropic has no penalties");
        self.losses.if_some(seed, "seed", "Anthropic has no seed");
        self.losses.if_some(logprobs.then_some(()), "logprobs", "Anthropic does not tell likelihoods");
        self.losses.if_some(top_logprobs, "top_logprobs", "Anthropic does not tell likelihoods");
        let (stop, blank): (Vec<String>, Vec<String>) = stop.into_iter().partition(|text| !text.trim().is_empty());
        if !blank.is_empty() {
            self.losses.add("stop", "Anthropic takes no stop sequence of white space only");
        }
        if !stop.is_empty() {
            self.set("stop_sequences", json!(stop));
        }
        Ok(())
    }
}

struct Turn {
    role: &'static str,
    blocks: Vec<Value>,
}

impl Turn {
    fn is(block: &Value, kind: &str) -> bool {
        block.get("type").and_then(Value::as_str) == Some(kind)
    }

    /// The API refuses a last assistant text that ends in white space.
    fn trim_prefill(&mut self) {
        if self.role == "assistant"
            && let Some(Value::String(text)) = self.blocks.last_mut().and_then(|block| block.get_mut("text"))
        {
            text.truncate(text.trim_end().len());
        }
    }

    /// Tool results come first: the API wants them right after the calls.
    fn encode(mut self) -> Value {
        if self.role == "user" {
            self.blocks.sort_by_key(|block| !Self::is(block, "tool_result"));
        }
        json!({"role": self.role, "content": plain(self.blocks)})
    }
}

/// A single plain text as a string; anything else as a list.
fn plain(mut blocks: Vec<Value>) -> Value {
    if let [Value::Object(only)] = blocks.as_mut_slice()
        && only.len() == 2
        && let Some(text) = only.get_mut("text")
    {
        return text.take();
    }
    Value::Array(blocks)
}

fn object_schema(parameters: Option<Value>) -> Value {
    match parameters {
        Some(Value::Object(mut schema)) => {
            if !schema.contains_key("type") {
                schema.insert("type".into(), json!("object"));
            }
            Value::Object(schema)
        }
        _ => json!({"type": "object", "properties": {}}),
    }
}

/// Anthropic takes letters, digits, `_` and `-` only; the same id always becomes the same.
fn call_id(id: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_empty() && id.chars().all(fits) {
        return id.to_owned();
    }
    let kept: String = id.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    format!("{kept}_{}", short_hash(id))
}

fn foreign_file(path: String) -> Refused {
    Refused::new(path, "a file id of one provider means nothing to another; send the file itself")
}
