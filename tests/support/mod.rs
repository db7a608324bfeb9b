//! What the replay and property tests share: recorded traffic, which is never part of this repository.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::string_slice,
    missing_docs,
    unreachable_pub
)]

use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use finops_gateway::base::ids::Seed;
use finops_gateway::dialects::openai_responses;
use finops_gateway::ir::{Context, Dialect, NameMap};
use finops_gateway::lanes::hub;
use finops_gateway::lanes::stream::{Ending, Machine as _, Translator};
use serde_json::Value;

/// One recorded exchange.
pub struct Exchange {
    pub id: String,
    pub status: u64,
    pub model: String,
    pub request: Value,
    pub response: Value,
}

/// The folder of recorded traffic, if it is there; says so if it is not.
pub fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: no recorded traffic in ../shared/corpus");
    None
}

/// The exchanges of one file of it.
pub fn exchanges(name: &str) -> Vec<Exchange> {
    let Some(folder) = corpus() else { return Vec::new() };
    let Ok(bytes) = std::fs::read(folder.join(format!("{name}.jsonl.gz"))) else { return Vec::new() };
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("a gzip file of text");
    let parse = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("a line of JSON");
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let (id, model, status) = (text("id"), text("model"), line["status"].as_u64().unwrap_or(0));
        Exchange { id, model, status, request: line["request"].take(), response: plain(line["response"].take()) }
    };
    text.lines().filter(|line| !line.is_empty()).map(parse).collect()
}

/// Some suites recorded the raw bytes, in base64.
fn plain(response: Value) -> Value {
    let Value::String(text) = &response else { return response };
    let Some(text) = base64::engine::general_purpose::STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return response;
    };
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

pub fn context() -> Context {
    Context {
        seed: Seed(*b"sixteen bytes ok"),
        now: 1_795_219_200,
        model: "asked/model".to_owned(),
        echo: openai_responses::echo(&serde_json::Map::new()),
    }
}

pub fn translator(from: Dialect, to: Dialect) -> Translator {
    hub::translator(from, to, NameMap::default(), context(), true)
}

/// What the caller receives when the upstream's bytes come in these pieces.
pub fn translate<'a>(from: Dialect, to: Dialect, pieces: impl IntoIterator<Item = &'a [u8]>, ending: &Ending) -> Vec<u8> {
    let mut translator = translator(from, to);
    let mut out = Vec::new();
    pieces.into_iter().for_each(|piece| translator.push(piece, &mut out));
    translator.finish(ending, &mut out);
    out
}

/// How many events of a caller's stream end it, cleanly or in an error.
pub fn terminals(dialect: Dialect, stream: &str) -> (usize, usize) {
    let count = |words: &[&str]| words.iter().map(|word| stream.matches(word).count()).sum();
    match dialect {
        Dialect::Anthropic => (count(&["event: message_stop\n"]), count(&["event: error\n"])),
        Dialect::OpenAiResponses => {
            (count(&["event: response.completed\n", "event: response.incomplete\n"]), count(&["event: response.failed\n", "event: error\n"]))
        }
        _ => (count(&["data: [DONE]\n"]), count(&["data: {\"error\":"])),
    }
}

/// Caller dialects that differ from the upstream's.
pub fn callers(upstream: Dialect) -> impl Iterator<Item = Dialect> {
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic].into_iter().filter(move |caller| *caller != upstream)
}

/// The dialect that each file of recordings speaks, plain and streamed.
pub const PLAIN: [(&str, Dialect); 18] = [
    ("openai.chat.json", Dialect::OpenAiChat),
    ("azure.chat.json", Dialect::OpenAiChat),
    ("ollama.chat.json", Dialect::OpenAiChat),
    ("openrouter.chat.json", Dialect::OpenAiChat),
    ("mistral.chat.json", Dialect::OpenAiChat),
    ("groq.chat.json", Dialect::OpenAiChat),
    ("deepseek.chat.json", Dialect::OpenAiChat),
    ("llamacpp.chat.json", Dialect::OpenAiChat),
    ("openai.responses.json", Dialect::OpenAiResponses),
    ("azure.responses.json", Dialect::OpenAiResponses),
    ("openrouter.responses.json", Dialect::OpenAiResponses),
    ("deepseek.responses.json", Dialect::OpenAiResponses),
    ("llamacpp.responses.json", Dialect::OpenAiResponses),
    ("xai.responses.json", Dialect::OpenAiResponses),
    ("anthropic.messages.json", Dialect::Anthropic),
    ("vertex.rawPredict.json", Dialect::Anthropic),
    ("gemini.generateContent.json", Dialect::Gemini),
    ("vertex.generateContent.json", Dialect::Gemini),
];

pub const STREAMED: [(&str, Dialect); 17] = [
    ("openai.chat.sse", Dialect::OpenAiChat),
    ("azure.chat.sse", Dialect::OpenAiChat),
    ("openrouter.chat.sse", Dialect::OpenAiChat),
    ("mistral.chat.sse", Dialect::OpenAiChat),
    ("groq.chat.sse", Dialect::OpenAiChat),
    ("deepseek.chat.sse", Dialect::OpenAiChat),
    ("llamacpp.chat.sse", Dialect::OpenAiChat),
    ("xai.chat.sse", Dialect::OpenAiChat),
    ("openai.responses.sse", Dialect::OpenAiResponses),
    ("azure.responses.sse", Dialect::OpenAiResponses),
    ("openrouter.responses.sse", Dialect::OpenAiResponses),
    ("deepseek.responses.sse", Dialect::OpenAiResponses),
    ("xai.responses.sse", Dialect::OpenAiResponses),
    ("anthropic.messages.sse", Dialect::Anthropic),
    ("vertex.rawPredict.sse", Dialect::Anthropic),
    ("gemini.streamGenerateContent.sse", Dialect::Gemini),
    ("vertex.streamGenerateContent.sse", Dialect::Gemini),
];
