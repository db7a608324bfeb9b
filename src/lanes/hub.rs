//! The hub lane: decode, neutral form, encode. Two converters a dialect instead of one a pair.

use serde_json::{Map, Value};

use super::stream::Translator;
use crate::base::fields::Invalid;
use crate::dialects::{EncodedRequest, Unreadable, UpstreamError, anthropic, gemini, openai_chat, openai_responses};
use crate::ir::{Context, Dialect, Losses, NameMap, Refused};

/// A request in the provider's dialect, and what is needed to translate the answer back.
#[derive(Debug, Clone, PartialEq)]
pub struct HubRequest {
    /// The body to send.
    pub body: Map<String, Value>,
    /// What it could not say.
    pub losses: Losses,
    /// Tool names that had to change.
    pub names: NameMap,
    /// Whether the caller wants a stream.
    pub stream: bool,
    /// Whether the caller wants usage at the end of it.
    pub include_usage: bool,
    /// What the answer repeats of the request.
    pub echo: Map<String, Value>,
}

/// Translates a request for `model`, which replaces the one that the body names.
///
/// # Errors
/// [`Unreadable`] when the body is wrong, or the target cannot serve it with its meaning kept.
pub fn translate_request(from: Dialect, to: Dialect, body: Value, model: &str) -> Result<HubRequest, Unreadable> {
    let mut echo = Map::new();
    let (mut request, mut losses) = match from {
        Dialect::OpenAiChat => openai_chat::decode_request(body)?,
        Dialect::OpenAiResponses => {
            echo = body.as_object().map(openai_responses::echo).unwrap_or_default();
            openai_responses::decode_request(body)?
        }
        Dialect::Anthropic => anthropic::decode_request(body)?,
        Dialect::Gemini => return Err(Refused::new("", "no caller speaks Gemini's dialect here").into()),
    };
    request.model = model.to_owned();
    let callers = NameMap::of_caller(&request.tools);
    let (stream, include_usage) = (request.stream, request.include_usage);
    let EncodedRequest { body, losses: more, names } = match to {
        Dialect::OpenAiChat => openai_chat::encode_request(request)?,
        Dialect::Anthropic => anthropic::encode_request(request)?,
        Dialect::Gemini => gemini::encode_request(request)?,
        Dialect::OpenAiResponses => openai_responses::encode_request(request)?,
    };
    losses.append(more);
    losses.in_words_of(from);
    Ok(HubRequest { body, losses, names: callers.with_renamed(names), stream, include_usage, echo })
}

/// Whether a body is what its dialect says, as far as that shows without a provider.
///
/// # Errors
/// [`Invalid`] names the member that is wrong.
pub fn check_request(dialect: Dialect, body: Value) -> Result<(), Invalid> {
    let decoded = match dialect {
        Dialect::OpenAiChat => openai_chat::decode_request(body).map(drop),
        Dialect::OpenAiResponses => openai_responses::decode_request(body).map(drop),
        Dialect::Anthropic => anthropic::decode_request(body).map(drop),
        Dialect::Gemini => Ok(()),
    };
    match decoded {
        // What the neutral form cannot keep goes through where nobody translates.
        Ok(()) | Err(Unreadable::Refused(_)) => Ok(()),
        Err(Unreadable::Invalid(error)) => Err(error),
    }
}

/// Translates a whole answer.
///
/// # Errors
/// [`Invalid`] when the provider's body is not what its dialect says.
pub fn translate_reply(from: Dialect, to: Dialect, body: &[u8], names: &NameMap, context: &Context) -> Result<(Value, Losses), Invalid> {
    let json = |body: &[u8]| serde_json::from_slice(body).map_err(|error| Invalid::new("", error.to_string()));
    let (reply, mut losses) = match from {
        Dialect::OpenAiChat => openai_chat::decode_reply(json(body)?, context)?,
        Dialect::Anthropic => anthropic::decode_reply(json(body)?)?,
        Dialect::Gemini => gemini::decode_reply(body)?,
        Dialect::OpenAiResponses => openai_responses::decode_reply(json(body)?)?,
    };
    let (body, more) = match to {
        Dialect::Anthropic => anthropic::encode_reply(reply, names, context),
        Dialect::OpenAiResponses => openai_responses::encode_reply(reply, names, context),
        Dialect::OpenAiChat | Dialect::Gemini => openai_chat::encode_reply(reply, names, context),
    };
    losses.append(more);
    Ok((body, losses))
}

/// The machine that translates a streamed answer.
pub fn translator(from: Dialect, to: Dialect, names: NameMap, context: Context, include_usage: bool) -> Translator {
    let encoder: Box<dyn crate::dialects::EncodeStream> = match to {
        Dialect::Anthropic => Box::new(anthropic::Encoder::new(context, names)),
        Dialect::OpenAiResponses => Box::new(openai_responses::Encoder::new(context, names)),
        Dialect::OpenAiChat | Dialect::Gemini => Box::new(openai_chat::Encoder::new(context, names, include_usage)),
    };
    Translator::new(decoder(from), encoder)
}

/// The reader of a dialect's streams.
pub fn decoder(from: Dialect) -> Box<dyn crate::dialects::DecodeStream> {
    match from {
        Dialect::Anthropic => Box::new(anthropic::Decoder::default()),
        Dialect::Gemini => Box::new(gemini::Decoder::default()),
        Dialect::OpenAiChat => Box::new(openai_chat::Decoder::default()),
        Dialect::OpenAiResponses => Box::new(openai_responses::Decoder::default()),
    }
}

/// Reads a provider's error body, whatever it is.
pub fn decode_error(from: Dialect, body: &[u8]) -> UpstreamError {
    match serde_json::from_slice::<Value>(body) {
        Ok(json) => match from {
            Dialect::Anthropic => anthropic::decode_error(&json),
            Dialect::Gemini => gemini::decode_error(&json),
            Dialect::OpenAiChat | Dialect::OpenAiResponses => openai_chat::decode_error(&json),
        },
        Err(_) => UpstreamError { message: text_of_page(&String::from_utf8_lossy(body)), ..UpstreamError::default() },
    }
}

/// What a page that some proxy put in the provider's place says: its title, or a short text as it is.
fn text_of_page(body: &str) -> Option<String> {
    let lower = body.to_ascii_lowercase();
    let between = |open: &str, close: &str| {
        let from = lower.find(open)? + open.len();
        let to = from + lower.get(from..)?.find(close)?;
        body.get(from..to).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    if lower.contains("<html") || lower.contains("<!doctype") {
        return between("<title>", "</title>").or_else(|| between("<h1>", "</h1>")).map(|title| format!("an HTML page: {title}"));
    }
    let text = body.trim();
    (!text.is_empty() && text.len() <= 500).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_page_is_told_by_its_title_and_an_empty_body_by_nothing() {
        let page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>";
        assert_eq!(decode_error(Dialect::OpenAiChat, page).message.as_deref(), Some("an HTML page: 502 Bad Gateway"));
        assert_eq!(decode_error(Dialect::Anthropic, b"").message, None);
        assert_eq!(
            decode_error(Dialect::Gemini, br#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#).message.as_deref(),
            Some("no")
        );
    }
}
