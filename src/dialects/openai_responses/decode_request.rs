//! Responses request → neutral form.

use serde_json::{Value, json};

use super::decode_items::decode_input;
use crate::base::fields::{Fields, Invalid};
use crate::dialects::Unreadable;
use crate::ir::{Effort, Losses, Message, OutputFormat, Part, Refused, Request, Role, Sampling, Text, Thinking, Tool, ToolChoice};

/// Reads a request body. `previous_response_id` is not read: whoever keeps the answers has put their items into `input`.
///
/// # Errors
/// [`Unreadable::Invalid`] for a member of the wrong type, [`Unreadable::Refused`] for what only OpenAI can do
/// (`background`, `conversation`, `prompt`, a tool choice of its own tools).
pub fn decode_request(body: Value) -> Result<(Request, Losses), Unreadable> {
    let mut losses = Losses::default();
    let mut fields = Fields::new(body, "")?;
    refuse_what_only_openai_has(&mut fields)?;
    let model = fields.required("model")?;
    let mut messages = Vec::new();
    if let Some(text) = fields.string("instructions")? {
        messages.push(Message { role: Role::System, parts: vec![Part::Text(Text::new(text))], name: None, path: "instructions".into() });
    }
    let mut tools = decode_tools(&mut fields, &mut losses)?;
    let (conversation, more_tools) = decode_input(&mut fields, &mut losses)?;
    messages.extend(conversation);
    tools.extend(more_tools);
    let tool_choice = fields.take("tool_choice").map(|choice| decode_tool_choice(&choice, &tools)).transpose()?;
    let (output, verbosity) = decode_text(&mut fields, &mut losses)?;
    losses.if_some(verbosity, "text.verbosity", "only OpenAI's models take it");
    let (thinking, show_thinking) = decode_reasoning(&mut fields, &mut losses)?;
    let request = Request {
        model,
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        output,
        sampling: Sampling {
            max_tokens: fields.count("max_output_tokens")?,
            max_tokens_path: "max_output_tokens",
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            logprobs: decode_include(&mut fields, &mut losses)?,
            top_logprobs: fields.count("top_logprobs")?.filter(|count| *count > 0),
            ..Sampling::default()
        },
        thinking,
        thinking_path: "reasoning.effort",
        show_thinking,
        user_path: if fields.has("user") { "user" } else { "safety_identifier" },
        user: match fields.string("user")? {
            Some(user) => Some(user),
            None => fields.string("safety_identifier")?,
        },
        service_tier: fields.string("service_tier")?.filter(|tier| tier != "auto" && tier != "default"),
        cache: None,
        stream: fields.boolean("stream")?.unwrap_or(false),
        include_usage: true,
    };
    // The answer repeats it, which is all that it is for.
    fields.take("metadata");
    fields.take("store");
    fields.take("previous_response_id");
    fields.take_if("truncation", "disabled");
    if let Some(mut options) = fields.object("stream_options")? {
        // Padding against eavesdroppers, which says nothing.
        options.take("include_obfuscation");
        losses.rest(options);
    }
    losses.rest(fields);
    Ok((request, losses))
}

fn refuse_what_only_openai_has(fields: &mut Fields) -> Result<(), Unreadable> {
    if fields.boolean("background")? == Some(true) {
        return Err(Refused::new("background", "background responses are available on openai and azure models only").into());
    }
    for key in ["conversation", "prompt"] {
        if fields.take(key).is_some() {
            return Err(Refused::new(key, format!("'{key}' is kept by OpenAI and means nothing to this model; send its content in 'input'")).into());
        }
    }
    Ok(())
}

/// Takes `tools`. Those of a namespace come out of it under joined names.
pub(super) fn decode_tools(fields: &mut Fields, losses: &mut Losses) -> Result<Vec<Tool>, Unreadable> {
    let mut tools = Vec::new();
    for (path, value) in fields.list("tools")?.unwrap_or_default() {
        if value.get("type").is_some_and(|kind| kind == "namespace") {
            let mut space = Fields::new(value, path)?;
            space.take("type");
            let name = space.required("name")?;
            for mut tool in decode_tools(&mut space, losses)? {
                tool.name = Tool::joined(&name, &tool.name);
                tool.namespace = Some(name.clone());
                tools.push(tool);
            }
            losses.rest(space);
        } else {
            tools.extend(decode_tool(value, path, losses)?);
        }
    }
    Ok(tools)
}

fn decode_tool(value: Value, path: String, losses: &mut Losses) -> Result<Option<Tool>, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    let tool = match fields.required("type")?.as_str() {
        "function" => Tool {
            name: fields.required("name")?,
            description: fields.string("description")?,
            parameters: fields.take("parameters"),
            strict: fields.boolean("strict")?,
            free_form: false,
            namespace: None,
            cache: None,
            path,
        },
        "custom" => {
            let name = fields.required("name")?;
            let mut description = fields.string("description")?.unwrap_or_default();
            if let Some(format) = fields.take("format").filter(|format| format.get("type").is_some_and(|kind| kind == "grammar")) {
                let word = |key: &str| format.get(key).and_then(Value::as_str).unwrap_or_default();
                description.push_str(&format!("\n\nThe input must follow this {} grammar:\n{}", word("syntax"), word("definition")));
                losses.add(format!("{path}.format"), "the model is told the grammar, but nothing enforces it");
            }
            let parameters = json!({
                "type": "object",
                "properties": {Tool::INPUT: {"type": "string", "description": "The input of the tool, as plain text."}},
                "required": [Tool::INPUT],
                "additionalProperties": false,
            });
            let description = Some(description).filter(|text| !text.is_empty());
            Tool { name, description, parameters: Some(parameters), strict: None, free_form: true, namespace: None, cache: None, path }
        }
        other => {
            losses.add(path, format!("the tool '{other}' is OpenAI's own"));
            return Ok(None);
        }
    };
    losses.rest(fields);
    Ok(Some(tool))
}

fn decode_tool_choice(choice: &Value, tools: &[Tool]) -> Result<ToolChoice, Unreadable> {
    let known = |name: &str| tools.iter().any(|tool| tool.name == name);
    if let Some(word) = choice.as_str() {
        return Ok(match word {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" if tools.is_empty() => {
                return Err(Refused::new("tool_choice", "a tool must be called, but none of the tools can be given to this model").into());
            }
            "required" => ToolChoice::Required,
            other => return Err(Invalid::new("tool_choice", format!("unknown tool_choice '{other}'; expected none, auto or required")).into()),
        });
    }
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    match choice.get("type").and_then(Value::as_str) {
        Some("function" | "custom") => {
            let name = name(choice).ok_or_else(|| Invalid::new("tool_choice.name", "'tool_choice.name' is required"))?;
            if !known(&name) {
                return Err(Refused::new("tool_choice.name", format!("the forced tool '{name}' is not among the tools")).into());
            }
            Ok(ToolChoice::Tool(name))
        }
        Some("allowed_tools") => {
            let listed = choice.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
            let names: Vec<String> = listed.iter().filter_map(name).filter(|name| known(name)).collect();
            let required = choice.get("mode").and_then(Value::as_str) == Some("required");
            if required && names.is_empty() {
                return Err(
                    Refused::new("tool_choice.tools", "a tool must be called, but none of the allowed ones can be given to this model").into()
                );
            }
            // None of them may be called, and the others are not allowed.
            Ok(if names.is_empty() { ToolChoice::None } else { ToolChoice::Allowed { names, required } })
        }
        _ => {
            Err(Refused::new("tool_choice", "this kind of tool_choice is OpenAI's own; use auto, none, required, a function or a custom tool").into())
        }
    }
}

fn decode_text(fields: &mut Fields, losses: &mut Losses) -> Result<(Option<OutputFormat>, Option<String>), Unreadable> {
    let Some(mut text) = fields.object("text")? else { return Ok((None, None)) };
    let verbosity = text.string("verbosity")?.filter(|word| word != "medium");
    let output = match text.object("format")? {
        None => None,
        Some(mut format) => {
            let output = match format.required("type")?.as_str() {
                "text" => None,
                "json_object" => Some(OutputFormat::JsonObject),
                "json_schema" => Some(OutputFormat::JsonSchema {
                    name: format.string("name")?,
                    description: format.string("description")?,
                    schema: format.take("schema").ok_or_else(|| Invalid::new("text.format.schema", "'text.format.schema' is required"))?,
                    strict: format.boolean("strict")?,
                    path: "text.format",
                }),
                other => return Err(Refused::new("text.format.type", format!("the format '{other}' cannot be kept for this model")).into()),
            };
            losses.rest(format);
            output
        }
    };
    losses.rest(text);
    Ok((output, verbosity))
}

fn decode_reasoning(fields: &mut Fields, losses: &mut Losses) -> Result<(Option<Thinking>, bool), Unreadable> {
    let Some(mut reasoning) = fields.object("reasoning")? else { return Ok((None, false)) };
    let mut shown = false;
    for key in ["summary", "generate_summary"] {
        if let Some(length) = reasoning.string(key)? {
            shown = true;
            // Whoever thinks tells what it thought, as long as it likes.
            losses.if_some(Some(length).filter(|length| length != "auto"), &reasoning.at(key), "how much is told is up to the model here");
        }
    }
    let thinking = match reasoning.string("effort")?.as_deref() {
        None => None,
        Some("none") => Some(Thinking::Off),
        Some(word) => {
            let expected =
                || Invalid::new("reasoning.effort", format!("unknown effort '{word}'; expected none, minimal, low, medium, high, xhigh or max"));
            Some(Thinking::Effort(Effort::of_name(word).ok_or_else(expected)?))
        }
    };
    losses.rest(reasoning);
    Ok((thinking, shown))
}

/// Whether likelihoods are wanted. Encrypted reasoning is always given.
fn decode_include(fields: &mut Fields, losses: &mut Losses) -> Result<bool, Unreadable> {
    let mut logprobs = false;
    for (path, item) in fields.list("include")?.unwrap_or_default() {
        match item.as_str() {
            Some("reasoning.encrypted_content") => {}
            Some("message.output_text.logprobs") => logprobs = true,
            _ => losses.add(path, "only OpenAI's own tools have it"),
        }
    }
    Ok(logprobs)
}
