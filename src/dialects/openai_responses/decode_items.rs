//! Input items → messages.
//!
//! Items stand in a flat list; what the model said between two turns of the user is one message in the neutral form, and so
//! are the results of its tool calls.

use serde_json::{Map, Value};

use super::decode_request::decode_tools;
use super::words::decode_opaque;
use crate::base::fields::{Fields, Invalid};
use crate::dialects::{Unreadable, decode_content, file_of_data, media_of_url, media_type_of_name};
use crate::ir::{
    Arguments, Document, Losses, Media, MediaSource, Message, Opaque, Part, Placement, Reasoning, Role, Text, Tool, ToolCall, ToolResult,
};

/// Takes `input`: the conversation, and tools that were added in the course of it.
pub(super) fn decode_input(fields: &mut Fields, losses: &mut Losses) -> Result<(Vec<Message>, Vec<Tool>), Unreadable> {
    let mut conversation = Conversation::default();
    match fields.take("input") {
        Some(Value::String(text)) => conversation.message(Role::User, vec![Part::Text(Text::new(text))], "input".to_owned()),
        Some(Value::Array(items)) => {
            for (i, item) in items.into_iter().enumerate() {
                decode_item(item, format!("input[{i}]"), &mut conversation, losses)?;
            }
        }
        None => {}
        Some(_) => return Err(Invalid::new("input", "expected a string or a list of items").into()),
    }
    losses.if_some(conversation.signature, "input", "a signature whose tool call is missing");
    if conversation.messages.is_empty() {
        return Err(Invalid::new("input", "'input' is required and must hold something to answer").into());
    }
    Ok((conversation.messages, conversation.tools))
}

/// Reads one item of an answer that is no message.
pub(super) fn decode_output_item(item: Value, path: String, losses: &mut Losses) -> Result<Vec<Part>, Invalid> {
    let mut conversation = Conversation::default();
    decode_item(item, path, &mut conversation, losses).map_err(|error| match error {
        Unreadable::Invalid(error) => error,
        Unreadable::Refused(error) => Invalid::new(error.path, error.message),
    })?;
    Ok(conversation.messages.into_iter().flat_map(|message| message.parts).collect())
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Message>,
    /// A signature that came in an item of its own and belongs to the call after it.
    signature: Option<Opaque>,
    tools: Vec<Tool>,
}

impl Conversation {
    fn message(&mut self, role: Role, parts: Vec<Part>, path: String) {
        if role == Role::Assistant {
            return parts.into_iter().for_each(|part| self.append(Role::Assistant, part, &path));
        }
        self.messages.push(Message { role, parts, name: None, path });
    }

    /// Adds to the last message if it is of the same kind: the model's turn, or the results of its calls.
    fn append(&mut self, role: Role, part: Part, path: &str) {
        let is_results = |message: &Message| message.parts.iter().all(|part| matches!(part, Part::ToolResult(_)));
        match self.messages.last_mut() {
            Some(last) if last.role == role && (role == Role::Assistant || is_results(last)) => last.parts.push(part),
            _ => self.messages.push(Message { role, parts: vec![part], name: None, path: path.to_owned() }),
        }
    }
}

fn decode_item(value: Value, path: String, conversation: &mut Conversation, losses: &mut Losses) -> Result<(), Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    let kind = fields.string("type")?.unwrap_or_else(|| "message".to_owned());
    // OpenAI's own bookkeeping, which another model has no use for.
    let id = fields.string("id")?;
    fields.take("status");
    // It belongs to the call right after it and to nothing else.
    if !matches!(kind.as_str(), "function_call" | "custom_tool_call") {
        losses.if_some(conversation.signature.take(), &path, "the signature before it has lost its tool call");
    }
    match kind.as_str() {
        "message" => {
            let role = match fields.required("role")?.as_str() {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "system" => Role::System,
                "developer" => Role::Developer,
                other => {
                    let message = format!("unknown role '{other}'; expected user, assistant, system or developer");
                    return Err(Invalid::new(fields.at("role"), message).into());
                }
            };
            fields.take("phase");
            let parts = decode_content(&mut fields, "content", losses, decode_part)?;
            conversation.message(role, parts, path);
        }
        "reasoning" => match decode_reasoning(&mut fields, id, path.clone())? {
            Reasoning { opaque: Some(opaque), .. } if opaque.placement == Placement::ToolCall => conversation.signature = Some(opaque),
            reasoning => conversation.append(Role::Assistant, Part::Reasoning(reasoning), &path),
        },
        "function_call" | "custom_tool_call" => {
            // Who asked for the call: the model itself, always.
            fields.take("caller");
            let arguments = if kind == "function_call" {
                match fields.take("arguments") {
                    Some(Value::String(text)) => Arguments::of_text(&text),
                    Some(Value::Object(map)) => Arguments::Object(map),
                    None => Arguments::of_text(""),
                    Some(_) => return Err(Invalid::new(fields.at("arguments"), "expected a string with a JSON object").into()),
                }
            } else {
                Arguments::Object(Map::from_iter([(Tool::INPUT.to_owned(), Value::String(fields.required("input")?))]))
            };
            let name = fields.required("name")?;
            let name = fields.string("namespace")?.map_or(name.clone(), |namespace| Tool::joined(&namespace, &name));
            let signature = conversation.signature.take();
            let call = ToolCall { id: fields.required("call_id")?, name, arguments, signature, cache: None, path: path.clone() };
            conversation.append(Role::Assistant, Part::ToolCall(call), &path);
        }
        "function_call_output" | "custom_tool_call_output" => {
            let parts = decode_content(&mut fields, "output", losses, decode_part)?;
            let result = ToolResult { call_id: fields.required("call_id")?, parts, is_error: false, cache: None, path: path.clone() };
            conversation.append(Role::User, Part::ToolResult(result), &path);
        }
        "additional_tools" => {
            fields.take("role");
            conversation.tools.extend(decode_tools(&mut fields, losses)?);
        }
        "item_reference" => {
            let message = format!("no item '{}' is stored here", id.unwrap_or_default());
            return Err(Invalid::new(fields.at("id"), message).into());
        }
        other => {
            losses.add(path, format!("an item of type '{other}' is OpenAI's own"));
            return Ok(());
        }
    }
    losses.rest(fields);
    Ok(())
}

fn decode_reasoning(fields: &mut Fields, id: Option<String>, path: String) -> Result<Reasoning, Unreadable> {
    let mut texts = Vec::new();
    // Models that show their thinking do so in `content`, others sum it up.
    for key in ["content", "summary"] {
        for (path, item) in fields.list(key)?.unwrap_or_default() {
            texts.push(Fields::new(item, path)?.string("text")?.unwrap_or_default());
        }
        if !texts.is_empty() && key == "content" {
            fields.take("summary");
            break;
        }
    }
    let opaque = fields.string("encrypted_content")?.filter(|text| !text.is_empty()).map(|text| decode_opaque(&text, id));
    Ok(Reasoning { text: texts.join("\n\n"), opaque, path })
}

fn decode_part(value: Value, path: String, losses: &mut Losses) -> Result<Option<Part>, Unreadable> {
    let mut fields = Fields::new(value, path.clone())?;
    let part = match fields.required("type")?.as_str() {
        "input_text" | "output_text" | "text" => {
            // How likely its own words once were is nothing that a model reads.
            fields.take("logprobs");
            Part::Text(Text { text: fields.required("text")?, cache: None, citations: Vec::new(), path })
        }
        "refusal" => Part::Refusal(fields.required("refusal")?),
        "input_image" => {
            let source = match fields.string("image_url")? {
                Some(url) => media_of_url(url, &fields.at("image_url"))?,
                None => MediaSource::File { id: fields.required("file_id")?, media_type: None },
            };
            let detail = fields.string("detail")?.filter(|detail| detail != "auto");
            Part::Image(Media { source, detail, cache: None, path })
        }
        "input_file" => {
            let name = fields.string("filename")?;
            let source = if let Some(data) = fields.string("file_data")? {
                file_of_data(data, name.as_deref())
            } else if let Some(url) = fields.string("file_url")? {
                let media_type = media_type_of_name(&url).map(str::to_owned);
                MediaSource::Url { url, media_type }
            } else {
                MediaSource::File { id: fields.required("file_id")?, media_type: None }
            };
            Part::Document(Document { source, name, context: None, citations: false, cache: None, path })
        }
        "input_audio" => {
            let mut audio = fields.object("input_audio")?.ok_or_else(|| Invalid::new(fields.at("input_audio"), "'input_audio' is required"))?;
            let media_type = match audio.required("format")?.as_str() {
                "mp3" => "audio/mpeg".to_owned(),
                format => format!("audio/{format}"),
            };
            Part::Audio(Media { source: MediaSource::Base64 { media_type, data: audio.required("data")? }, detail: None, cache: None, path })
        }
        other => {
            losses.add(path, format!("content of type '{other}' is OpenAI's own"));
            return Ok(None);
        }
    };
    losses.rest(fields);
    Ok(Some(part))
}
