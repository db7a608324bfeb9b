//! What is known of a request once it is over.

use serde::Serialize;

use crate::base::money::Money;
use crate::ir::Usage;

/// How a request ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The caller has the whole answer.
    #[default]
    Success,
    /// The caller got an error, or half of an answer.
    Error,
    /// The caller left before the end.
    Cancelled,
}

/// One request. The names of the members are those of the table `logs` and of the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Record {
    /// The gateway's identifier of it.
    pub id: String,
    /// The request or job that it is a part of.
    pub parent_id: Option<String>,
    /// When it came, in milliseconds since 1970.
    pub at_ms: u64,
    /// What was asked for: `chat`, `messages`, `responses`, `embeddings`, `passthrough`, …
    pub object: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path, without its query.
    pub path: String,
    /// The caller's dialect.
    pub dialect_in: Option<&'static str>,
    /// The dialect that the provider was asked in.
    pub dialect_out: Option<&'static str>,
    /// Who answered, or was asked last.
    pub provider: Option<&'static str>,
    /// The model as the caller named it.
    pub model_asked: Option<String>,
    /// The model as the provider names it: in its answer, else as it was asked for.
    pub model: Option<String>,
    /// The name of the gateway's key; none where the caller brought one.
    pub key_name: Option<String>,
    /// The virtual key's identifier.
    pub virtual_key_id: Option<String>,
    /// Its team.
    pub team_id: Option<String>,
    /// Its customer.
    pub customer_id: Option<String>,
    /// How it ended.
    pub status: Outcome,
    /// The status of the answer.
    pub http_status: u16,
    /// The gateway's or the provider's word for what failed.
    pub error_type: Option<String>,
    /// How many requests were sent for it.
    pub attempts: u32,
    /// Which fallback answered, from 1; 0 when none was needed.
    pub fallback_index: u32,
    /// Whether the answer was a stream of events.
    pub stream: bool,
    /// From the request to the answer's head, in milliseconds.
    pub first_byte_ms: u64,
    /// From the request to the end of the answer, in milliseconds.
    pub duration_ms: u64,
    /// The size of the request in bytes, where it is known.
    pub request_bytes: Option<u64>,
    /// The size of the answer in bytes, where it is known.
    pub bytes: Option<u64>,
    /// The tokens, where they are known.
    #[serde(flatten)]
    pub tokens: Option<Tokens>,
    /// In pico-dollars; none where the price or the tokens are not known.
    pub cost: Option<u64>,
    /// What the translation lost of the request, by path.
    pub dropped: Vec<String>,
    /// The caller's `x-bf-dim-*`, without the prefix.
    pub labels: Vec<(String, String)>,
}

/// The tokens of a request, each kind apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Read anew.
    pub input_tokens: u64,
    /// Read from a cache.
    pub cache_read_tokens: u64,
    /// Written into a cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Written into a cache for an hour.
    pub cache_write_1h_tokens: u64,
    /// Written by the model.
    pub output_tokens: u64,
    /// Of the output, thinking.
    pub reasoning_tokens: u64,
    /// Of the input, sound.
    pub audio_input_tokens: u64,
    /// Of the output, sound.
    pub audio_output_tokens: u64,
    /// Whether the gateway estimated any of it.
    pub estimated: bool,
}

impl Tokens {
    /// The tokens of a usage; whether any of it is `estimated`.
    pub fn of(usage: &Usage, estimated: bool) -> Self {
        Self {
            input_tokens: usage.input,
            cache_read_tokens: usage.cache_read,
            cache_write_5m_tokens: usage.cache_write_5m,
            cache_write_1h_tokens: usage.cache_write_1h,
            output_tokens: usage.output,
            reasoning_tokens: usage.reasoning,
            audio_input_tokens: usage.audio_input,
            audio_output_tokens: usage.audio_output,
            estimated,
        }
    }
}

/// The longest text of a record, in characters, and the most paths that were dropped: a record must fit into a message.
const TEXT_MAX: usize = 300;
const DROPPED_MAX: usize = 50;

fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(at);
        text.push('…');
    }
}

impl Record {
    /// Cuts what came from outside to a length that is sure to be kept.
    pub fn shorten(&mut self) {
        shorten(&mut self.path);
        let texts = [&mut self.parent_id, &mut self.model_asked, &mut self.model, &mut self.key_name, &mut self.error_type];
        texts.into_iter().flatten().for_each(shorten);
        self.dropped.truncate(DROPPED_MAX);
        self.dropped.iter_mut().for_each(shorten);
        self.labels.iter_mut().for_each(|(name, value)| [name, value].into_iter().for_each(shorten));
    }

    /// What it cost, where that is known.
    pub fn money(&self) -> Option<Money> {
        self.cost.map(Money)
    }

    /// As one line of JSON. Holds no credential and nothing that was said.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As one line of JSON, with what was said.
    pub fn line_with(&self, content: &Content) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            record: &'a Record,
            request: Option<&'a str>,
            reply: Option<&'a str>,
        }
        let whole = Whole { record: self, request: content.request.as_deref(), reply: content.reply.as_deref() };
        serde_json::to_string(&whole).unwrap_or_default()
    }
}

/// What was said, as far as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The caller's body.
    pub request: Option<String>,
    /// The answer.
    pub reply: Option<String>,
}
