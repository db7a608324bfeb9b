//! Paths that callers wrote and that go on to a provider.

use super::text::percent_decoded;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsafe(pub &'static str);

/// A path is appended to a provider's address as it came, so it must not be able to lead elsewhere, however it is decoded.
///
/// # Errors
/// [`Unsafe`] says what is wrong with it.
pub fn checked(path: &str) -> Result<(), Unsafe> {
    if !path.is_empty() && !path.starts_with('/') {
        return Err(Unsafe("it must begin with a slash"));
    }
    if path.contains("//") {
        return Err(Unsafe("it holds an empty segment (//)"));
    }
    let mut text = path.to_owned();
    // What is encoded twice may be decoded twice on the way.
    for _ in 0..4 {
        if text.contains('\\') {
            return Err(Unsafe("it holds a backslash"));
        }
        if text.chars().any(char::is_control) {
            return Err(Unsafe("it holds a control character"));
        }
        if text.split(['/', '?', '#']).any(|segment| matches!(segment, "." | "..")) {
            return Err(Unsafe("it holds a dot segment"));
        }
        if text.split('/').nth(1).is_some_and(|first| first.contains('@')) {
            return Err(Unsafe("it holds an @ where a host could be meant"));
        }
        let decoded = percent_decoded(&text);
        if decoded == text {
            return Ok(());
        }
        text = decoded;
    }
    Err(Unsafe("it is encoded too many times"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_lead_elsewhere_is_refused_in_every_encoding() {
        for path in [
            "/..",
            "/v1/../x",
            "/v1/%2e%2e/x",
            "/v1/%2E./x",
            "/v1/%252e%252e/x",
            "/v1/..%2fx",
            "/v1%2f..%2fx",
            "/v1/./x",
            "//evil.example",
            "/v1//x",
            "/\\evil.example",
            "/v1/%5c..",
            "/v1/%5C",
            "/@evil.example/x",
            "/u:p@evil.example",
            "/%40evil.example",
            "/v1/\u{0}",
            "/v1/%00",
            "/v1/%0d%0ax",
            "evil.example",
            "@evil.example",
            ".evil.example",
            ":80/x",
            "/v1/%2525252e%2525252e/x",
            "/v1/..;/x/..",
        ] {
            assert!(checked(path).is_err(), "{path}");
        }
        for path in [
            "",
            "/",
            "/v1/models",
            "/v1/files/a%2Fb",
            "/v1/models/claude@20250929:rawPredict",
            "/v1/..x/x..",
            "/v1/%E6%9D%B1",
            "/v1/a%20b/",
            "/v1/100%",
        ] {
            assert_eq!(checked(path), Ok(()), "{path}");
        }
    }
}
