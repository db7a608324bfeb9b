//! What a request may take at most: an upper estimate, since less comes back and more would pass the limit.

use memchr::memmem;
use serde_json::Value;

/// What a model is taken to write at most where the request does not say.
const OUTPUT: u64 = 16_384;

/// The longest body, in bytes, of which each byte is taken for a token.
const PLAIN_MAX: usize = 32 << 10;

/// What a picture, a sound or a document is taken for: at least so many tokens, and one for so many bytes.
const MEDIUM: u64 = 4096;
const MEDIUM_BYTES: u64 = 16;

/// What a conversation is taken for that the body only refers to.
const CONVERSATION: u64 = 32_768;

/// Tokens to be read and to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Read.
    pub input: u64,
    /// Written.
    pub output: u64,
}

/// Of a request with this JSON body, of which `member` gives the top-level members. `writes` says whether a model writes at all.
///
/// No token is shorter than a byte. In long bodies, what is a picture or the like by its looks counts as one; what the body only
/// refers to is guessed.
pub fn of_json<'a>(body: &[u8], member: impl Fn(&str) -> Option<&'a str>, writes: bool) -> Need {
    let length = body.len() as u64;
    let plain = if body.len() <= PLAIN_MAX { length } else { serde_json::from_slice(body).map_or(length, |body| of_value(&body)) };
    let count = |word: &[u8]| memmem::find_iter(body, word).count() as u64;
    let pictures = ["\"image_url\"", "\"input_image\"", "\"file_id\"", "\"fileData\"", "\"file_data\"", "\"url\""]
        .iter()
        .map(|word| count(word.as_bytes()))
        .sum::<u64>();
    let is_there = |key: &&&str| member(key).is_some_and(|raw| raw != "null");
    let conversations = ["previous_response_id", "conversation", "prompt"]
        .iter()
        .filter(is_there)
        .filter(|key| **key != "prompt" || member("prompt").is_some_and(|raw| raw.starts_with('{')))
        .count() as u64;
    let input = plain.saturating_add(pictures * MEDIUM).saturating_add(conversations * CONVERSATION);
    Need { input, output: if writes { output(member) } else { 0 } }
}

/// Of a body that is not read, of so many bytes if that is known.
pub fn of_unread(length: Option<u64>) -> Need {
    Need { input: length.unwrap_or(MEDIUM).min(OUTPUT), output: OUTPUT }
}

fn output<'a>(member: impl Fn(&str) -> Option<&'a str>) -> u64 {
    let number = |key: &str| member(key).and_then(|raw| raw.parse::<u64>().ok());
    let gemini: Value = ["generationConfig", "generation_config"].iter().find_map(|key| serde_json::from_str(member(key)?).ok()).unwrap_or_default();
    let of_gemini = |keys: [&str; 2]| keys.iter().find_map(|key| gemini.get(*key)?.as_u64());
    // Providers differ in which of several they heed: the largest counts.
    let said = ["max_completion_tokens", "max_output_tokens", "max_tokens"].into_iter().filter_map(number);
    let most = said.chain(of_gemini(["maxOutputTokens", "max_output_tokens"])).max().unwrap_or(OUTPUT);
    let prompts = member("prompt")
        .filter(|raw| raw.starts_with('['))
        .and_then(|raw| serde_json::from_str::<Vec<Value>>(raw).ok())
        .map(|list| list.len() as u64);
    let answers = [number("n"), number("best_of"), of_gemini(["candidateCount", "candidate_count"])].into_iter().flatten().max();
    most.saturating_mul(answers.unwrap_or(1).max(1)).saturating_mul(prompts.unwrap_or(1).max(1))
}

fn of_value(value: &Value) -> u64 {
    match value {
        Value::String(text) => {
            let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
            let data = if text.starts_with("data:") { text.split_once(',').map_or("", |(_, data)| data) } else { text };
            let is_medium = data.len() > 1000 && data.bytes().take(1000).all(is_base64);
            let length = text.len() as u64;
            if is_medium { length.min(MEDIUM.max(length / MEDIUM_BYTES)) } else { length }
        }
        Value::Array(items) => items.iter().map(|item| 1 + of_value(item)).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| 4 + key.len() as u64 + of_value(value)).sum(),
        Value::Number(number) => number.to_string().len() as u64,
        Value::Null | Value::Bool(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::scan::TopLevel;
    use serde_json::json;

    fn need(body: &Value) -> Need {
        let text = body.to_string();
        let top = TopLevel::scan(text.as_bytes()).unwrap();
        of_json(text.as_bytes(), |key| top.raw(key), true)
    }

    #[test]
    fn what_a_request_says_of_its_answer_bounds_it() {
        for (body, output) in [
            (json!({"max_tokens": 7}), 7),
            (json!({"max_tokens": 7, "max_completion_tokens": 9, "n": 3}), 27),
            (json!({"max_output_tokens": 5}), 5),
            (json!({"generationConfig": {"maxOutputTokens": 11, "candidateCount": 2}}), 22),
            (json!({"max_tokens": 16_000, "max_completion_tokens": 1}), 16_000),
            (json!({"max_tokens": 5, "n": 1, "best_of": 4, "prompt": ["a", "b"]}), 40),
            (json!({}), OUTPUT),
            (json!({"max_tokens": "many", "n": 0}), OUTPUT),
        ] {
            assert_eq!(need(&body).output, output, "{body}");
        }
    }

    #[test]
    fn a_text_is_no_more_tokens_than_bytes_and_a_picture_is_far_less() {
        let said = "word ".repeat(20_000);
        assert!(need(&json!({"messages": [{"role": "user", "content": said}]})).input >= 100_000);
        let picture = "iVBORw0KGgo".repeat(30_000);
        let input =
            need(&json!({"messages": [{"role": "user", "content": [{"image_url": {"url": format!("data:image/png;base64,{picture}")}}]}]})).input;
        assert!((4096..30_000).contains(&input), "{input}");
        let chinese = "東京は".repeat(20_000);
        assert!(need(&json!({"messages": [{"role": "user", "content": chinese}]})).input >= 180_000, "no picture, though without a space");
        assert!(need(&json!({"input": "x", "previous_response_id": "resp_1"})).input > 32_000);
    }
}
