//! What an answer says of itself that nobody translated: read after the fact, from a copy.

use memchr::{memmem, memrchr2};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::base::scan::TopLevel;
use crate::base::sse;
use crate::dialects::{anthropic, gemini, openai_chat, openai_responses};
use crate::ir::Usage;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The model that answered.
    pub model: Option<String>,
    /// The tokens.
    pub usage: Option<Usage>,
}

/// How many events may come before the one that names the model.
const MODEL_WITHIN: usize = 8;

/// How what tells the tokens begins: `"usage"` and `"usageMetadata"`.
const USAGE: &[u8] = b"\"usage";

/// Reads a whole answer, or as much of one as there is: JSON, or (`stream`) server-sent events.
pub fn observe(body: &[u8], stream: bool) -> Observed {
    let mut observed = Observed::default();
    if !stream {
        if let Ok(top) = TopLevel::scan(body) {
            observed.take(&top);
        } else if let Ok(chunks) = serde_json::from_slice::<Vec<&RawValue>>(body) {
            // Google's lists of chunks, where no events were asked for.
            chunks.iter().filter_map(|chunk| TopLevel::scan(chunk.get().as_bytes()).ok()).for_each(|chunk| observed.take(&chunk));
        }
        return observed.counted().or_last(body);
    }
    // Most events say nothing of it, and a pass through each would cost more than all else that is done for the record: the first
    // ones name the model, and of the others those are read that speak of usage.
    let mut at = 0;
    for _ in 0..MODEL_WITHIN {
        if observed.model.is_some() || at >= body.len() {
            break;
        }
        at = observed.take_event(body, at);
    }
    let from = at;
    for found in memmem::find_iter(body.get(at..).unwrap_or_default(), USAGE) {
        let found = found + from;
        let rest = body.get(found + USAGE.len()..).unwrap_or_default();
        let is_null = ["\":null", "\": null"].iter().any(|null| rest.starts_with(null.as_bytes()));
        if found >= at && !is_null {
            at = observed.take_event(body, begin_of_event(body, found));
        }
    }
    observed.counted().or_last(body)
}

/// What is told last in what is left of an answer too long to be kept, and whether by Gemini's word: lists of vectors tell it at their
/// end, and so does the last event of Responses, which says all of the answer once more.
fn last_usage(body: &[u8]) -> Option<(Value, bool)> {
    let after = memmem::rfind(body, USAGE)? + USAGE.len();
    let rest = body.get(after..)?;
    let (rest, is_gemini) = match rest.strip_prefix(b"Metadata\"") {
        Some(rest) => (rest, true),
        None => (rest.strip_prefix(b"\"")?, false),
    };
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    let usage: Value = serde_json::Deserializer::from_slice(rest).into_iter().next()?.ok()?;
    usage.is_object().then_some((usage, is_gemini))
}

/// Where the event begins that holds this place.
fn begin_of_event(body: &[u8], place: usize) -> usize {
    let begin_of_line = |end: usize| memrchr2(b'\n', b'\r', body.get(..end).unwrap_or_default()).map_or(0, |at| at + 1);
    let mut begin = begin_of_line(place);
    while begin > 0 {
        let ending = if body.get(..begin).is_some_and(|before| before.ends_with(b"\r\n")) { 2 } else { 1 };
        let before = begin_of_line(begin - ending);
        if before == begin - ending {
            return begin;
        }
        begin = before;
    }
    0
}

impl Observed {
    /// Usage without any count is none.
    fn counted(self) -> Self {
        Self { usage: self.usage.filter(|usage| usage.total() > 0), ..self }
    }

    /// The same, where nothing was found, of what stands last though it is no whole event or object.
    fn or_last(mut self, body: &[u8]) -> Self {
        if self.usage.is_none()
            && let Some((usage, is_gemini)) = last_usage(body)
        {
            match is_gemini {
                true => self.usage = Some(gemini::decode_usage(&usage)),
                false => self.take_usage(&usage),
            }
        }
        self.counted()
    }

    /// Takes the event in that begins there; where the next one begins.
    fn take_event(&mut self, body: &[u8], begin: usize) -> usize {
        let rest = body.get(begin..).unwrap_or_default();
        let end = sse::end_of_event(rest).unwrap_or(rest.len());
        sse::each(rest.get(..end).unwrap_or_default(), |event| {
            let Ok(top) = TopLevel::scan(event.data) else { return };
            self.take(&top);
            // Responses and Messages wrap what an event is about.
            let wrapped = ["response", "message"].into_iter().filter_map(|key| TopLevel::scan(top.raw(key)?.as_bytes()).ok());
            wrapped.for_each(|inner| self.take(&inner));
        });
        begin + end
    }

    /// Takes in what an object says at its top. No tree of the rest, which may be a whole answer or a megabyte of vectors.
    fn take(&mut self, top: &TopLevel<'_>) {
        let text = |key: &str| top.string(key).filter(|text| !text.is_empty());
        let object = |key: &str| serde_json::from_str(top.raw(key)?).ok().filter(Value::is_object);
        if let Some(model) = text("model").or_else(|| text("modelVersion")) {
            self.model = Some(model);
        }
        if let Some(usage) = object("usageMetadata") {
            self.usage = Some(gemini::decode_usage(&usage));
        }
        if let Some(usage) = object("usage") {
            self.take_usage(&usage);
        }
    }

    fn take_usage(&mut self, usage: &Value) {
        self.usage = openai_chat::decode_usage(usage).or_else(|| self.by_input_tokens(usage)).or(self.usage);
    }

    /// Responses and Messages both say `input_tokens`, of which Messages leaves the caches out; in its streams later numbers
    /// replace earlier ones.
    fn by_input_tokens(&self, usage: &Value) -> Option<Usage> {
        if usage.get("total_tokens").is_some() {
            // Transcriptions tell what was sound, in a word of their own. <https://platform.openai.com/docs/api-reference/audio>
            let sound = usage.pointer("/input_token_details/audio_tokens").and_then(Value::as_u64).unwrap_or_default();
            return openai_responses::decode_usage(usage).map(|usage| Usage { audio_input: sound, ..usage });
        }
        let mut merged = self.usage.unwrap_or_default();
        anthropic::update_usage(&mut merged, usage);
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, cache_read: u64, output: u64) -> Option<Usage> {
        Some(Usage { input, cache_read, output, ..Usage::default() })
    }

    #[test]
    fn every_dialect_tells_its_tokens_and_its_model_whole_and_streamed() {
        for (body, stream, model, expected) in [
            (
                r#"{"model":"m","usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2}}}"#,
                false,
                "m",
                usage(7, 2, 4),
            ),
            (
                r#"{"model":"m","object":"response","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":2},"output_tokens":4,"total_tokens":13}}"#,
                false,
                "m",
                usage(7, 2, 4),
            ),
            (
                r#"{"model":"m","type":"message","usage":{"input_tokens":9,"cache_read_input_tokens":2,"output_tokens":4}}"#,
                false,
                "m",
                usage(9, 2, 4),
            ),
            (r#"{"modelVersion":"m","usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4}}"#, false, "m", usage(9, 0, 4)),
            (r#"{"object":"list","model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#, false, "m", usage(5, 0, 0)),
            (
                r#"{"model":"m","text":"hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":4,"total_tokens":18}}"#,
                false,
                "m",
                usage(14, 0, 4).map(|usage| Usage { audio_input: 10, ..usage }),
            ),
            (
                "data: {\"model\":\"m\",\"choices\":[{}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n",
                true,
                "m",
                usage(9, 0, 4),
            ),
            (
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":2,\"output_tokens\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":4}}\n\n",
                true,
                "m",
                usage(9, 2, 4),
            ),
            (
                "data: {\"type\":\"response.created\",\"response\":{\"model\":\"m\",\"usage\":null}}\n\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"m\",\"usage\":{\"input_tokens\":9,\"output_tokens\":4,\"total_tokens\":13}}}\n\n",
                true,
                "m",
                usage(9, 0, 4),
            ),
            (
                "data: {\"modelVersion\":\"m\",\"usageMetadata\":{\"promptTokenCount\":9}}\r\n\r\ndata: {\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":4}}\r\n\r\n",
                true,
                "m",
                usage(9, 0, 4),
            ),
        ] {
            assert_eq!(observe(body.as_bytes(), stream), Observed { model: Some(model.to_owned()), usage: expected }, "{body}");
        }
        assert_eq!(observe(b"\x1f\x8b", false), Observed::default());
    }

    #[test]
    fn of_an_answer_too_long_to_be_kept_the_end_tells_the_tokens() {
        let vectors = br#"{"object":"list","data":[{"embedding":[0.1,0.2 0.3]}],"model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
        assert_eq!(observe(vectors, false).usage, usage(5, 0, 0));
        let response = b"xt\":\"the whole of it again\"}]}],\"usage\":{\"input_tokens\":9,\"output_tokens\":4,\"total_tokens\":13}}}\n\n";
        assert_eq!(observe(response, true).usage, usage(9, 0, 4));
        let picture = br#"AAAA BB"}}]}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4}}"#;
        assert_eq!(observe(picture, false).usage, usage(9, 0, 4));
        let events = b"data: {\"model\":\"m\",\"choices\":[]}\n\ndata: {\"choices\":[{\"delta\"tent\":\"x\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n";
        assert_eq!(observe(events, true), Observed { model: Some("m".to_owned()), usage: usage(9, 0, 4) });
    }

    #[test]
    fn usage_is_found_wherever_it_stands_among_the_events_and_however_lines_end() {
        let quiet = "data: {\"choices\":[{\"delta\":{\"content\":\"the \\\"usage\\\" of it\"}}],\"usage\":null}\n\n";
        let first = "event: x\ndata: {\"model\":\"m\"}\n\n";
        let telling = "event: y\ndata: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n";
        for ending in ["\n", "\r\n", "\r"] {
            for (before, after) in [(0, 0), (1, 0), (20, 0), (3, 5), (0, 20)] {
                let body = format!("{first}{}{telling}{}data: [DONE]\n\n", quiet.repeat(before), quiet.repeat(after)).replace('\n', ending);
                assert_eq!(observe(body.as_bytes(), true), Observed { model: Some("m".to_owned()), usage: usage(9, 0, 4) }, "{body}");
                let cut = body.trim_end_matches(ending).as_bytes();
                assert_eq!(observe(cut, true).usage, usage(9, 0, 4));
            }
        }
    }
}
