//! About how many tokens there are, where nobody says it.

use serde_json::Value;

use super::content::is_medium;

/// Of a picture; a page of a PDF is more.
const PICTURE: u64 = 1500;

/// About how many tokens a text of so many characters is.
pub fn of_characters(count: u64) -> u64 {
    count.div_ceil(4)
}

/// About how many tokens a request has: four characters of text are one, a picture is some 1,500, and every member costs a
/// little.
pub fn of_request(body: &Value) -> u64 {
    const SAYS: [&str; 7] = ["system", "messages", "instructions", "input", "tools", "prompt", "contents"];
    SAYS.iter().filter_map(|key| body.get(*key)).map(of_value).sum::<u64>().max(1)
}

fn of_value(value: &Value) -> u64 {
    match value {
        Value::String(text) if is_medium(text) => PICTURE.min(of_characters(text.len() as u64)),
        Value::String(text) => of_characters(text.chars().count() as u64),
        Value::Array(items) => items.iter().map(|item| 1 + of_value(item)).sum(),
        Value::Object(map) => match map.get("type").and_then(Value::as_str) {
            Some("base64" | "url" | "file" | "input_image" | "input_file" | "image_url") => PICTURE,
            _ => map.iter().map(|(key, value)| (key.len() as u64).div_ceil(8) + of_value(value)).sum(),
        },
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_estimate_grows_with_the_text_and_not_with_the_bytes_of_a_picture() {
        let say = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
        assert!(of_request(&say("hello")) < of_request(&say(&"hello ".repeat(100))));
        let picture =
            |data: &str| json!({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": data}}]}]});
        assert_eq!(of_request(&picture("x")), of_request(&picture(&"x".repeat(100_000))));
        let sound = |data: &str| json!({"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": data}}]}], "contents": [{"parts": [{"inlineData": {"data": data}}]}]});
        assert_eq!(of_request(&sound(&"x".repeat(10_000))), of_request(&sound(&"x".repeat(100_000))));
    }
}
