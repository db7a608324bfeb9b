//! Text borrowed from the body it was read from, where it has no escapes.

use std::borrow::Cow;
use std::ops::Deref;

/// A JSON string. `Option<Cow<str>>` would copy; this borrows inside an `Option` too.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Str<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Deref for Str<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_json_str(out: &mut Vec<u8>, text: &str) {
    // Writing into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}
