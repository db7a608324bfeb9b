//! What is kept of bodies: text, but neither pictures nor sound, and not without end.

use std::borrow::Cow;

use serde_json::Value;

/// The longest that is kept of a body, in bytes as JSON writes it: both bodies and the record fit into one message of the queue.
const KEPT_MAX: usize = 40_000;

/// A text of base64 longer than this is a medium.
const MEDIUM_MIN: usize = 512;

/// A body as it is kept.
pub fn kept(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(mut json) => {
            elide(&mut json);
            Cow::Owned(json.to_string())
        }
        Err(_) => String::from_utf8_lossy(body),
    };
    capped(&text)
}

/// The beginning of a text, as far as it fits.
fn capped(text: &str) -> String {
    let mut size = 0;
    let cut = text.char_indices().find(|(_, char)| {
        size += match char {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            '\u{0}'..='\u{1f}' => 6,
            other => other.len_utf8(),
        };
        size > KEPT_MAX
    });
    match cut {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes in all)", text.get(..at).unwrap_or_default(), text.len()),
    }
}

fn elide(json: &mut Value) {
    match json {
        Value::String(text) if is_medium(text) => *json = Value::String(format!("({} bytes of data)", text.len())),
        Value::Array(items) => items.iter_mut().for_each(elide),
        Value::Object(map) => map.values_mut().for_each(elide),
        _ => {}
    }
}

fn is_medium(text: &str) -> bool {
    let is_base64 = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'='));
    match text.strip_prefix("data:") {
        Some(rest) => rest.len() > MEDIUM_MIN,
        None => text.len() > MEDIUM_MIN && is_base64(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_kept_and_media_are_not() {
        let data = "iVBORw0KGgo".repeat(100);
        let body =
            json!({"messages": [{"content": [{"text": "hello"}, {"image_url": {"url": format!("data:image/png;base64,{data}")}}, {"data": data}]}]});
        let kept = kept(body.to_string().as_bytes());
        assert!(kept.contains("hello") && kept.contains("(1100 bytes of data)") && !kept.contains("iVBOR"), "{kept}");
    }

    #[test]
    fn what_is_kept_fits_into_a_message_however_it_is_escaped() {
        for unit in ["a", "\"", "\u{1}", "ä", "🙂", "\n"] {
            let long = kept(unit.repeat(100_000).as_bytes());
            let escaped = Value::from(long.as_str()).to_string();
            assert!(escaped.len() < KEPT_MAX + 100 && long.contains("bytes in all"), "{unit}: {}", escaped.len());
        }
    }
}
