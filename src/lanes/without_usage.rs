//! A chat stream that goes through untouched, but for the chunk with its tokens: the gateway asked for that, and the caller did not.
//!
//! Whoever keeps a limit has to know what a stream took, and chat completions say it only when asked. Callers who did not ask would
//! meet a chunk without choices, which many programs do not expect.

use serde_json::Value;

use super::stream::{Ending, Machine};
use super::tally::Tally;
use crate::base::sse;
use crate::dialects::{DecodeStream, openai_chat};
use crate::ir::{Event, StreamFault};

/// The longest event, in bytes.
const EVENT_MAX: usize = 64 << 20;

/// Takes the chunk with the tokens out.
pub struct WithoutUsage {
    /// The beginning of an event.
    begun: Vec<u8>,
    decoder: Box<dyn DecodeStream>,
    tally: Tally,
    is_done: bool,
}

impl WithoutUsage {
    /// One that also keeps what the model writes, if `keeps`.
    pub fn new(keeps: bool) -> Self {
        Self { begun: Vec::new(), decoder: Box::new(openai_chat::Decoder::default()), tally: Tally::keeping(keeps), is_done: false }
    }

    fn event(&mut self, event: &[u8], out: &mut Vec<u8>) {
        let Self { decoder, tally, is_done, .. } = self;
        let mut is_usage = false;
        sse::each(event, |event| {
            is_usage |= tells_usage(event.data);
            *is_done |= event.data == b"[DONE]";
            decoder.event(event, &mut |event| tally.event(&event));
        });
        if !is_usage {
            out.extend_from_slice(event);
        }
    }
}

/// Whether a chunk tells the tokens and nothing else.
fn tells_usage(data: &[u8]) -> bool {
    // Most chunks are none, and need not be parsed for that.
    if memchr::memmem::find(data, b"prompt_tokens").is_none() {
        return false;
    }
    let chunk: Value = serde_json::from_slice(data).unwrap_or_default();
    chunk.get("usage").is_some_and(Value::is_object) && chunk.get("choices").and_then(Value::as_array).is_none_or(Vec::is_empty)
}

impl Machine for WithoutUsage {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.is_done {
            return;
        }
        self.begun.extend_from_slice(bytes);
        let mut begun = std::mem::take(&mut self.begun);
        let mut at = 0;
        while let Some(length) = begun.get(at..).and_then(sse::end_of_event) {
            self.event(begun.get(at..at + length).unwrap_or_default(), out);
            at += length;
        }
        begun.drain(..at);
        self.begun = begun;
        if self.begun.len() > EVENT_MAX {
            self.finish(&Ending::Broken, out);
        }
    }

    fn finish(&mut self, ending: &Ending, out: &mut Vec<u8>) {
        if self.is_done {
            return;
        }
        let begun = std::mem::take(&mut self.begun);
        let fault = match ending {
            Ending::Closed => {
                self.event(&begun, out);
                self.is_done = true;
                return;
            }
            Ending::Broken => StreamFault::cut(),
            Ending::Idle(milliseconds) => StreamFault::idle(*milliseconds),
        };
        self.is_done = true;
        self.tally.event(&Event::Fault(fault.clone()));
        let error = openai_chat::encode_error(fault.status, &fault.message, None, fault.code.as_deref());
        out.extend_from_slice(format!("data: {error}\n\n").as_bytes());
    }

    fn is_done(&self) -> bool {
        self.is_done
    }

    fn tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn told(&mut self) -> Option<Value> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\ndata: {\"id\":\"c\",\"choices\":[],\"prompt_filter_results\":[]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hällo prompt_tokens\"}}],\"usage\":null}\r\n\r\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}\n\n";

    #[test]
    fn only_the_chunk_with_the_tokens_is_missing_wherever_the_bytes_are_cut() {
        let whole = format!("{STREAM}{USAGE}data: [DONE]\n\n").into_bytes();
        for cut in 0..whole.len() {
            let (mut machine, mut out) = (WithoutUsage::new(true), Vec::new());
            let (head, tail) = whole.split_at(cut);
            machine.push(head, &mut out);
            machine.push(tail, &mut out);
            assert!(machine.is_done());
            assert_eq!(String::from_utf8(out).unwrap(), format!("{STREAM}data: [DONE]\n\n"), "{cut}");
            let tally = machine.tally();
            assert_eq!((tally.usage.map(|usage| (usage.input, usage.output)), tally.said.as_deref()), (Some((9, 4)), Some("Hällo prompt_tokens")));
        }
    }

    #[test]
    fn a_cut_ends_in_an_error_and_an_end_without_a_blank_line_is_one() {
        let (mut machine, mut out) = (WithoutUsage::new(false), Vec::new());
        machine.push(STREAM.as_bytes(), &mut out);
        machine.push(b"data: {\"half", &mut out);
        machine.finish(&Ending::Broken, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(STREAM) && text.contains("data: {\"error\"") && !text.contains("half"));
        assert!(machine.tally().fault.is_some());
        let (mut machine, mut out) = (WithoutUsage::new(false), Vec::new());
        machine.push(format!("{STREAM}data: [DONE]").as_bytes(), &mut out);
        machine.finish(&Ending::Closed, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{STREAM}data: [DONE]"));
    }
}
