//! What a request may take at most: an upper estimate, since less comes back and more would pass the limit.

use serde_json::Value;

/// What a model is taken to write at most where the request does not say.
const OUTPUT: u64 = 16_384;

/// The longest body, in bytes, of which each byte is taken for a token.
const PLAIN_MAX: usize = 32 << 10;

/// What a picture, a sound or a document is taken for: at least so many tokens, and one for so many bytes.
const MEDIUM: u64 = 4096;
const MEDIUM_BYTES: u64 = 16;

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
/// No token is shorter than a byte. In long bodies, what is a picture or the like by its looks counts as one.
pub fn of_json<'a>(body: &[u8], member: impl Fn(&str) -> Option<&'a str>, writes: bool) -> Need {
    let input =
        if body.len() <= PLAIN_MAX { body.len() as u64 } else { serde_json::from_slice(body).map_or(body.len() as u64, |body| of_value(&body)) };
    Need { input, output: if writes { output(member) } else { 0 } }
}

/// Of a body that is not read, of so many bytes if that is known.
pub fn of_unread(length: Option<u64>) -> Need {
    Need { input: length.unwrap_or(MEDIUM).min(OUTPUT), output: OUTPUT }
}

fn output<'a>(member: impl Fn(&str) -> Option<&'a str>) -> u64 {
    let number = |key: &str| member(key).and_then(|raw| raw.parse::<u64>().ok());
    let gemini = || serde_json::from_str::<Value>(member("generationConfig")?).ok();
    let most = ["max_completion_tokens", "max_output_tokens", "max_tokens"].into_iter().find_map(number);
    let most = most.or_else(|| gemini()?.get("maxOutputTokens")?.as_u64()).unwrap_or(OUTPUT);
    most.saturating_mul(number("n").unwrap_or(1).max(1))
}

fn of_value(value: &Value) -> u64 {
    match value {
        Value::String(text) => {
            let is_medium = text.len() > 1000 && !text.bytes().take(1000).any(|byte| byte == b' ' || byte == b'\n');
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
            (json!({"generationConfig": {"maxOutputTokens": 11}}), 11),
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
        assert!((4096..25_000).contains(&input), "{input}");
    }
}
