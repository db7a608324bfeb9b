use serde_json::Value;

use super::{ToolCall, ToolResult};

/// One piece of content.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Written text.
    Text(Text),
    /// The model's refusal to answer.
    Refusal(String),
    /// A picture.
    Image(Media),
    /// Sound.
    Audio(Media),
    /// A file to read.
    Document(Document),
    /// The model's thinking.
    Reasoning(Reasoning),
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
}

/// Written text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// A cache breakpoint after it.
    pub cache: Option<CacheControl>,
    /// Where it was taken from.
    pub citations: Vec<Citation>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

impl Text {
    /// Text and nothing else.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A source of a piece of text, as far as dialects agree on one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Citation {
    /// Where it can be read.
    pub url: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// The characters of the reply's text that it supports.
    pub span: Option<(u64, u64)>,
}

/// An Anthropic cache breakpoint, kept as written (`type`, `ttl`, `scope`).
#[derive(Debug, Clone, PartialEq)]
pub struct CacheControl(pub Value);

/// A picture or sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// The bytes, or where they are.
    pub source: MediaSource,
    /// How closely to look (chat completions only).
    pub detail: Option<String>,
    /// A cache breakpoint after it.
    pub cache: Option<CacheControl>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

/// The bytes of a medium, or where they are.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaSource {
    /// Base64 with its media type.
    Base64 {
        /// Such as `image/png`.
        media_type: String,
        /// The bytes, as they came.
        data: String,
    },
    /// An address; the media type is often unknown.
    Url {
        /// The address.
        url: String,
        /// Its media type, if the source said so.
        media_type: Option<String>,
    },
    /// The identifier of an uploaded file; means something to its issuer only.
    File {
        /// The identifier.
        id: String,
        /// Its media type, if the source said so.
        media_type: Option<String>,
    },
    /// Plain text (documents only).
    Text(String),
}

/// A file to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The bytes, or where they are.
    pub source: MediaSource,
    /// Its name.
    pub name: Option<String>,
    /// What it is about (Anthropic only).
    pub context: Option<String>,
    /// Whether the reply shall cite it.
    pub citations: bool,
    /// A cache breakpoint after it.
    pub cache: Option<CacheControl>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

/// The model's thinking.
#[derive(Debug, Clone, PartialEq)]
pub struct Reasoning {
    /// What people may read of it; empty when all is hidden.
    pub text: String,
    /// What proves or hides it, for its issuer.
    pub opaque: Option<Opaque>,
    /// Where it stood in the source, for losses.
    pub path: String,
}

/// Bytes that only their issuer understands and that must come back to it unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque {
    /// Who made it.
    pub issuer: Issuer,
    /// What it belongs to.
    pub placement: Placement,
    /// The issuer's name of the item that it is part of (OpenAI's `rs_…`).
    pub id: Option<String>,
    /// The bytes, as text.
    pub data: String,
}

/// Who made an opaque artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuer {
    /// Anthropic, on any platform.
    Anthropic,
    /// Google.
    Gemini,
    /// OpenAI, on any platform.
    OpenAi,
    /// Another, by the name that OpenRouter's `reasoning_details[].format` has for it.
    Other(String),
}

/// What an opaque artefact belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// It signs the thinking that it stands with.
    Signature,
    /// It is the thinking itself, encrypted.
    Redacted,
    /// It signs the text that follows or stands beside it.
    Text,
    /// It signs the tool call that follows.
    ToolCall,
}

impl Issuer {
    /// The name in `reasoning_details[].format`.
    pub fn format(&self) -> &str {
        match self {
            Self::Anthropic => "anthropic-claude-v1",
            Self::Gemini => "google-gemini-v1",
            Self::OpenAi => "openai-responses-v1",
            Self::Other(name) => name,
        }
    }

    /// The issuer of that name.
    pub fn of_format(format: &str) -> Self {
        match format {
            "anthropic-claude-v1" => Self::Anthropic,
            "google-gemini-v1" => Self::Gemini,
            "openai-responses-v1" => Self::OpenAi,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Opaque {
    /// Marks an artefact that travels where another issuer's own would stand: `thinking.signature`, `encrypted_content`.
    pub const TAG: &'static str = "finops.";

    /// An artefact that is no part of a named item.
    pub fn new(issuer: Issuer, placement: Placement, data: impl Into<String>) -> Self {
        Self { issuer, placement, id: None, data: data.into() }
    }

    /// As one text that says whose it is: `finops.<format>.<placement>.<data>`, where OpenAI's data is `<id>:<data>`.
    pub fn tagged(&self) -> String {
        let placement = match self.placement {
            Placement::Signature => "signature",
            Placement::Redacted => "redacted",
            Placement::Text => "text",
            Placement::ToolCall => "tool",
        };
        let id = match self.issuer {
            Issuer::OpenAi => format!("{}:", self.id.as_deref().unwrap_or_default()),
            _ => String::new(),
        };
        format!("{}{}.{placement}.{id}{}", Self::TAG, self.issuer.format().replace('.', "_"), self.data)
    }

    /// Reads what [`Opaque::tagged`] wrote; `None` for anything else.
    pub fn of_tagged(text: &str) -> Option<Self> {
        let mut pieces = text.strip_prefix(Self::TAG)?.splitn(3, '.');
        let (format, placement, data) = (pieces.next()?, pieces.next()?, pieces.next()?);
        let placement = match placement {
            "signature" => Placement::Signature,
            "redacted" => Placement::Redacted,
            "text" => Placement::Text,
            "tool" => Placement::ToolCall,
            _ => return None,
        };
        let issuer = Issuer::of_format(format);
        let (id, data) = match data.split_once(':') {
            Some((id, data)) if issuer == Issuer::OpenAi => (Some(id.to_owned()).filter(|id| !id.is_empty()), data),
            _ => (None, data),
        };
        Some(Self { issuer, placement, id, data: data.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artefact_comes_back_from_its_tag_byte_for_byte() {
        for placement in [Placement::Signature, Placement::Redacted, Placement::Text, Placement::ToolCall] {
            let of_gemini = Opaque::new(Issuer::Gemini, placement, "CtQB.x/+==:");
            assert_eq!(Opaque::of_tagged(&of_gemini.tagged()), Some(of_gemini));
            for id in [None, Some("rs_1".to_owned())] {
                let of_openai = Opaque { id, ..Opaque::new(Issuer::OpenAi, placement, "gAAA.:b") };
                assert_eq!(Opaque::of_tagged(&of_openai.tagged()), Some(of_openai));
            }
        }
        assert_eq!(Opaque::of_tagged("EqQBCgIYAhIM"), None);
    }
}
