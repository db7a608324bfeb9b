//! generateContent reply and stream → events. A reply has the shape of a stream's chunk, so one reader serves both.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::error::decode_error;
use super::words::{decode_finish, decode_logprobs, decode_usage};
use crate::base::fields::Invalid;
use crate::base::sse;
use crate::base::text::Str;
use crate::dialects::DecodeStream;
use crate::ir::{Arguments, Citation, Collector, Event, Issuer, Losses, Opaque, Placement, Reply, Stop, StopReason, StreamFault};

/// Reads a reply body.
///
/// # Errors
/// [`Invalid`] when the body is no reply.
pub fn decode_reply(body: &[u8]) -> Result<(Reply, Losses), Invalid> {
    let mut decoder = Decoder::default();
    let mut collector = Collector::default();
    decoder.event(sse::Event { name: b"", data: body }, &mut |event| collector.event(event));
    decoder.finish(&mut |event| collector.event(event));
    if decoder.candidates.is_empty() && decoder.blocked.is_none() {
        return Err(Invalid::new("candidates", "an answer without candidates"));
    }
    match collector.finish() {
        Ok(reply) => Ok((reply, decoder.losses)),
        Err(fault) => Err(Invalid::new("", fault.message)),
    }
}

/// Reads a stream of chunks. Nothing on the wire ends it: the answer is whole when the bytes end after a finish reason.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    choice: u32,
    candidates: Vec<CandidateState>,
    blocked: Option<String>,
    losses: Losses,
}

#[derive(Debug, Default)]
struct CandidateState {
    calls: u32,
    finish: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(default)]
    usage_metadata: Option<Value>,
    #[serde(default)]
    prompt_feedback: Option<Value>,
    #[serde(borrow, default)]
    response_id: Option<Str<'a>>,
    #[serde(borrow, default)]
    model_version: Option<Str<'a>>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(default)]
    finish_reason: Option<Value>,
    #[serde(default)]
    logprobs_result: Option<Value>,
    #[serde(default)]
    grounding_metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Vec<WirePart<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePart<'a> {
    #[serde(borrow, default)]
    text: Option<Str<'a>>,
    #[serde(default)]
    thought: Option<bool>,
    #[serde(borrow, default)]
    thought_signature: Option<Str<'a>>,
    #[serde(borrow, default)]
    function_call: Option<FunctionCall<'a>>,
    #[serde(default)]
    inline_data: Option<IgnoredAny>,
    #[serde(default)]
    executable_code: Option<IgnoredAny>,
    #[serde(default)]
    code_execution_result: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow, default)]
    id: Option<Str<'a>>,
    #[serde(borrow, default)]
    name: Option<Str<'a>>,
    #[serde(default)]
    args: Option<Map<String, Value>>,
}

impl DecodeStream for Decoder {
    fn event(&mut self, event: sse::Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        let chunk: Chunk<'_> = match serde_json::from_slice(event.data) {
            Ok(chunk) => chunk,
            Err(error) => {
                let message = format!("the provider sent what is no generateContent answer: {error}");
                return sink(Event::Fault(StreamFault { status: 502, code: None, message }));
            }
        };
        if let Some(error) = chunk.error {
            let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
            let decoded = decode_error(&error);
            let message = decoded.message.unwrap_or_else(|| "the provider reported an error".to_owned());
            return sink(Event::Fault(StreamFault { status: status.unwrap_or(502), code: decoded.kind, message }));
        }
        if !std::mem::replace(&mut self.started, true) {
            sink(Event::Start { id: chunk.response_id.as_deref(), model: chunk.model_version.as_deref() });
        }
        for (position, candidate) in chunk.candidates.into_iter().flatten().enumerate() {
            self.candidate(candidate, position as u32, sink);
        }
        if let Some(reason) = chunk.prompt_feedback.as_ref().and_then(|feedback| feedback.get("blockReason")).and_then(Value::as_str) {
            self.blocked = Some(reason.to_owned());
        }
        if let Some(usage) = &chunk.usage_metadata {
            sink(Event::Usage(decode_usage(usage)));
        }
    }

    /// Some models say a finish reason in every chunk, so it counts only when the bytes have ended.
    fn finish(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if self.candidates.is_empty()
            && let Some(reason) = &self.blocked
        {
            sink(Event::Finish(Stop::new(StopReason::Refusal, reason)));
        }
        for (index, candidate) in self.candidates.iter().enumerate() {
            let Some(finish) = &candidate.finish else { continue };
            if index as u32 != self.choice {
                self.choice = index as u32;
                sink(Event::Choice(self.choice));
            }
            sink(Event::Finish(decode_finish(finish, candidate.calls > 0)));
        }
    }

    fn is_complete(&self, at_end: bool) -> bool {
        at_end && (self.blocked.is_some() || self.candidates.iter().any(|candidate| candidate.finish.is_some()))
    }
}

impl Decoder {
    fn candidate(&mut self, candidate: Candidate<'_>, position: u32, sink: &mut dyn FnMut(Event<'_>)) {
        let index = candidate.index.unwrap_or(position);
        // Nobody asks for more answers than this; a wild index must not become memory.
        if index > 127 {
            return;
        }
        while self.candidates.len() <= index as usize {
            self.candidates.push(CandidateState::default());
        }
        if index != self.choice {
            self.choice = index;
            sink(Event::Choice(index));
        }
        let Some(state) = self.candidates.get_mut(index as usize) else { return };
        for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
            decode_part(part, state, &mut self.losses, sink);
        }
        if let Some(logprobs) = candidate.logprobs_result.as_ref().and_then(decode_logprobs) {
            sink(Event::Logprobs(logprobs));
        }
        candidate.grounding_metadata.iter().for_each(|metadata| decode_grounding(metadata, sink));
        if let Some(finish) = candidate.finish_reason.filter(|finish| !finish.is_null()) {
            state.finish = Some(finish);
        }
    }
}

fn decode_part(part: WirePart<'_>, state: &mut CandidateState, losses: &mut Losses, sink: &mut dyn FnMut(Event<'_>)) {
    let signature = |placement| {
        let data = part.thought_signature.as_deref().filter(|data| !data.is_empty())?;
        Some(Opaque::new(Issuer::Gemini, placement, data))
    };
    if let Some(call) = part.function_call {
        let index = state.calls;
        state.calls += 1;
        let id = call.id.as_deref().filter(|id| !id.is_empty());
        sink(Event::ToolCall { index, id, name: call.name.as_deref().unwrap_or_default(), signature: signature(Placement::ToolCall) });
        sink(Event::ToolInput { index, arguments: Arguments::Object(call.args.unwrap_or_default()) });
        return sink(Event::ToolEnd { index });
    }
    let lost = [part.inline_data.is_some(), part.executable_code.is_some(), part.code_execution_result.is_some()];
    for (kind, lost) in ["inlineData", "executableCode", "codeExecutionResult"].into_iter().zip(lost) {
        losses.if_some(lost.then_some(()), &format!("candidates[].content.parts[].{kind}"), "Gemini's own");
    }
    let text = part.text.as_deref().unwrap_or_default();
    let thought = part.thought == Some(true);
    if !text.is_empty() {
        sink(if thought { Event::Reasoning(text) } else { Event::Text(text) });
    }
    let placement = if thought { Placement::Signature } else { Placement::Text };
    signature(placement).map(|signature| sink(Event::Opaque(signature)));
}

/// Web sources of the answer: <https://ai.google.dev/gemini-api/docs/google-search>. Google counts bytes where chat
/// completions counts characters, so no span is claimed.
fn decode_grounding(metadata: &Value, sink: &mut dyn FnMut(Event<'_>)) {
    let chunks = metadata.get("groundingChunks").and_then(Value::as_array).into_iter().flatten();
    for web in chunks.filter_map(|chunk| chunk.get("web")) {
        let text = |key: &str| web.get(key).and_then(Value::as_str).map(str::to_owned);
        sink(Event::Citation(Citation { url: text("uri"), title: text("title"), span: None }));
    }
}
