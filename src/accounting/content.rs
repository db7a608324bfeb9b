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
        // A part of JSON may be any part of it, of a picture or a key.
        Err(_) if matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) => return format!("({} bytes that are no whole JSON)", body.len()),
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
        Value::String(text) if is_key(text) => *json = Value::from(KEPT_OUT),
        Value::Array(items) => items.iter_mut().for_each(elide),
        Value::Object(map) => map.iter_mut().for_each(|(name, value)| match value {
            Value::String(_) if names_secret(name) => *value = Value::from(KEPT_OUT),
            value => elide(value),
        }),
        _ => {}
    }
}

/// What stands where a credential stood.
const KEPT_OUT: &str = "(kept out)";

/// Whether a member of that name holds a credential: servers of tools are sent with theirs.
fn names_secret(name: &str) -> bool {
    const SECRETS: [&str; 16] = [
        "authorization",
        "authorization_token",
        "proxy-authorization",
        "access_token",
        "refresh_token",
        "id_token",
        "api_key",
        "api-key",
        "apikey",
        "x-api-key",
        "x-goog-api-key",
        "client_secret",
        "password",
        "cookie",
        "secret",
        "x-auth-token",
    ];
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Whether a text is a credential by its looks.
fn is_key(text: &str) -> bool {
    let is_one_word = || text.len() >= 20 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let bearer = text.strip_prefix("Bearer ").is_some_and(|rest| !rest.trim().contains(' '));
    bearer || ["sk-", "sk_", "ek_", "AIza", "ya29."].iter().any(|prefix| text.starts_with(prefix)) && is_one_word()
}

pub(super) fn is_medium(text: &str) -> bool {
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
    fn credentials_in_bodies_are_kept_out() {
        let body = json!({
            "mcp_servers": [{"url": "https://x", "authorization_token": "planted-1"}],
            "tools": [{"type": "mcp", "authorization": "planted-2", "headers": {"Authorization": "planted-3", "X-Api-Key": "planted-4", "x-team": "blue"}}],
            "client_secret": {"value": "ek_planted-5-planted-5-planted"}, "value": "sk-planted-6-planted-6-planted", "note": "Bearer planted-7",
            "messages": [{"role": "user", "content": "sk- is how a key begins"}, {"role": "user", "content": "Bearer bonds are old"}],
        });
        let kept = kept(body.to_string().as_bytes());
        assert!(!kept.contains("planted") && kept.contains("blue") && kept.contains("how a key begins") && kept.contains("bonds"), "{kept}");
        assert_eq!(super::kept(br#"{"api_key": "planted"#), "(20 bytes that are no whole JSON)");
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
