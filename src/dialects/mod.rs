//! Wire formats, one folder each. `decode_*` reads the wire into the neutral form, `encode_*` writes it out.
//!
//! A dialect knows no provider and no other dialect; what it cannot read or say is a named loss.

pub mod anthropic;
pub mod embeddings;
pub mod gemini;
pub mod openai_chat;
pub mod openai_responses;
mod openai_schema;

use serde_json::{Map, Value};

use crate::base::fields::{Fields, Invalid};
use crate::base::sse;
use crate::ir::{Event, Losses, MediaSource, NameMap, Part, Refused, StreamFault, Text};

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// A member is missing, or has the wrong type or an impossible value.
    Invalid(Invalid),
    /// It asks for what this gateway will not drop and cannot carry.
    Refused(Refused),
}

impl From<Invalid> for Unreadable {
    fn from(error: Invalid) -> Self {
        Self::Invalid(error)
    }
}

impl From<Refused> for Unreadable {
    fn from(error: Refused) -> Self {
        Self::Refused(error)
    }
}

/// A request in the target's wire format.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedRequest {
    /// The body.
    pub body: Map<String, Value>,
    /// What it cannot say.
    pub losses: Losses,
    /// The tool names that had to change.
    pub names: NameMap,
}

/// What a provider's error body says, whatever its shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// The text for people.
    pub message: Option<String>,
    /// The provider's own word for the kind.
    pub kind: Option<String>,
    /// A finer word.
    pub code: Option<String>,
    /// The member of the request that is at fault.
    pub param: Option<String>,
}

/// Reads one dialect's stream. Deterministic; the same events whatever the chunks.
pub trait DecodeStream {
    /// Feeds one server-sent event.
    fn event(&mut self, event: sse::Event<'_>, sink: &mut dyn FnMut(Event<'_>));

    /// The bytes have ended: what was held back goes out.
    fn finish(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        let _ = sink;
    }

    /// Whether the answer is whole: its terminal event was seen, or (`at_end`) the bytes ended where they may.
    fn is_complete(&self, at_end: bool) -> bool;
}

/// Writes one dialect's stream.
pub trait EncodeStream {
    /// Appends what the event becomes.
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>);

    /// Appends the clean end. Called once, last.
    fn end(&mut self, out: &mut Vec<u8>);

    /// Appends an error event instead of the clean end. Called once, last.
    fn fault(&mut self, fault: &StreamFault, out: &mut Vec<u8>);

    /// The whole answer as the caller knows it, after the clean end, where the dialect lets callers come back to it.
    fn told(&mut self) -> Option<Value> {
        None
    }
}

/// The media type and the data of a `data:` URL in base64; `None` for anything else.
pub(crate) fn data_url(url: &str) -> Option<(String, String)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    let media_type = head.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let media_type = match media_type.as_str() {
        "image/jpg" => "image/jpeg".to_owned(),
        _ => media_type,
    };
    Some((media_type, data.to_owned()))
}

/// Takes content that is a text or a list of pieces, each of which `part` reads.
pub(crate) fn decode_content(
    fields: &mut Fields,
    key: &str,
    losses: &mut Losses,
    part: fn(Value, String, &mut Losses) -> Result<Option<Part>, Unreadable>,
) -> Result<Vec<Part>, Unreadable> {
    let path = fields.at(key);
    match fields.take(key) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(Text::new(text))]),
        Some(Value::Array(items)) => {
            let mut parts = Vec::with_capacity(items.len());
            for (i, item) in items.into_iter().enumerate() {
                parts.extend(part(item, format!("{path}[{i}]"), losses)?);
            }
            Ok(parts)
        }
        Some(_) => Err(Invalid::new(path, "expected a string or a list of content parts").into()),
    }
}

/// What is at an address, or in a `data:` URL.
pub(crate) fn media_of_url(url: String, path: &str) -> Result<MediaSource, Invalid> {
    if let Some((media_type, data)) = data_url(&url) {
        return Ok(MediaSource::Base64 { media_type, data });
    }
    if url.starts_with("data:") {
        return Err(Invalid::new(path, "a data URL must be in base64: data:image/png;base64,…"));
    }
    let media_type = media_type_of_name(&url).map(str::to_owned);
    Ok(MediaSource::Url { url, media_type })
}

/// A file's bytes, in a `data:` URL or in plain base64; then its name tells what it is, and without one it is a PDF.
pub(crate) fn file_of_data(data: String, name: Option<&str>) -> MediaSource {
    data_url(&data).map(|(media_type, data)| MediaSource::Base64 { media_type, data }).unwrap_or_else(|| {
        let media_type = name.and_then(media_type_of_name).unwrap_or("application/pdf").to_owned();
        MediaSource::Base64 { media_type, data }
    })
}

/// The media type that a file name or address ends like, where it says so.
pub(crate) fn media_type_of_name(name: &str) -> Option<&'static str> {
    let name = name.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" | "md" => "text/plain",
        "html" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        _ => return None,
    })
}
