//! Finding members at the top of a JSON object without building a tree, and editing them in place.
//!
//! The identity lane forwards bodies that nobody re-models: this finds the few members the gateway must know, validates the
//! whole on the way, and replaces spans of bytes. What it does not touch stays byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object in their order.
#[derive(Debug, Clone)]
pub struct TopLevel<'a> {
    body: &'a str,
    members: Vec<Member<'a>>,
}

/// One member: its key and the raw text of both.
#[derive(Debug, Clone)]
struct Member<'a> {
    key: Cow<'a, str>,
    /// From the key's opening quote on; absent when the key has escapes and so is no plain slice of the body.
    key_span: Option<Range<usize>>,
    value: &'a str,
}

/// Changes to the top of an object; see [`TopLevel::apply`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Patch {
    set: Vec<(&'static str, String)>,
    rename: Vec<(&'static str, &'static str)>,
    remove: Vec<String>,
    insert: Vec<(&'static str, String)>,
}

impl Patch {
    /// Replaces the value of the members of that name; `json` is its text.
    pub fn set(&mut self, key: &'static str, json: String) {
        self.set.push((key, json));
    }

    /// Gives the members of that name another one.
    pub fn rename(&mut self, key: &'static str, to: &'static str) {
        self.rename.push((key, to));
    }

    /// Takes the members of that name out.
    pub fn remove(&mut self, key: impl Into<String>) {
        self.remove.push(key.into());
    }

    /// Adds a member at the front; `json` is its value's text.
    pub fn insert(&mut self, key: &'static str, json: String) {
        self.insert.push((key, json));
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<'a> TopLevel<'a> {
    /// Reads the object; the error says where the JSON is broken.
    pub fn scan(body: &'a [u8]) -> Result<Self, String> {
        let body = std::str::from_utf8(body).map_err(|error| format!("the body is not UTF-8: {error}"))?;
        let mut reader = serde_json::Deserializer::from_str(body);
        let members = reader.deserialize_map(Members { body }).map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        Ok(Self { body, members })
    }

    /// The raw text of the last member of that name (as JSON readers take the last of duplicates).
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        self.members.iter().rev().find(|member| member.key == key).map(|member| member.value)
    }

    /// The member as a string, if it is one.
    pub fn string(&self, key: &str) -> Option<String> {
        self.raw(key).and_then(|raw| serde_json::from_str(raw).ok())
    }

    /// Whether the member is `true`.
    pub fn is_true(&self, key: &str) -> bool {
        self.raw(key) == Some("true")
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.key)
    }

    /// The body with the changes made. Values that are only kept are copied as bytes; the white space between members
    /// survives unless members come or go.
    pub fn apply(&self, patch: &Patch) -> Vec<u8> {
        if patch.remove.is_empty() && patch.insert.is_empty() { self.splice(patch) } else { self.rebuild(patch) }
    }

    fn splice(&self, patch: &Patch) -> Vec<u8> {
        let bytes = self.body.as_bytes();
        let mut out = Vec::with_capacity(bytes.len() + 64);
        let mut at = 0;
        let mut replace = |span: Option<Range<usize>>, text: &str| {
            let Some(span) = span else { return };
            out.extend_from_slice(bytes.get(at..span.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            at = span.end;
        };
        for member in &self.members {
            if let Some((_, to)) = patch.rename.iter().find(|(key, _)| *key == member.key) {
                replace(member.key_span.clone(), &quoted(to));
            }
            if let Some((_, json)) = patch.set.iter().find(|(key, _)| *key == member.key) {
                replace(self.span(member.value), json);
            }
        }
        out.extend_from_slice(bytes.get(at..).unwrap_or_default());
        out
    }

    fn rebuild(&self, patch: &Patch) -> Vec<u8> {
        let inserted = patch.insert.iter().map(|(key, json)| (quoted(key), json.as_str()));
        let kept = self.members.iter().filter(|member| !patch.remove.iter().any(|key| *key == member.key)).map(|member| {
            let key = patch.rename.iter().find(|(key, _)| *key == member.key).map_or(&*member.key, |(_, to)| to);
            let value = patch.set.iter().find(|(key, _)| *key == member.key).map_or(member.value, |(_, json)| json);
            (quoted(key), value)
        });
        let mut out = Vec::with_capacity(self.body.len() + 64);
        for (i, (key, value)) in inserted.chain(kept).enumerate() {
            out.push(if i == 0 { b'{' } else { b',' });
            out.extend_from_slice(key.as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
        if out.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        out
    }

    fn span(&self, slice: &str) -> Option<Range<usize>> {
        let start = (slice.as_ptr() as usize).checked_sub(self.body.as_ptr() as usize)?;
        (start + slice.len() <= self.body.len()).then(|| start..start + slice.len())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Members<'a> {
    body: &'a str,
}

impl<'a> Visitor<'a> for Members<'a> {
    type Value = Vec<Member<'a>>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some(Key(key)) = map.next_key()? {
            let value: &'a RawValue = map.next_value()?;
            let key_span = match &key {
                Cow::Borrowed(text) => (text.as_ptr() as usize)
                    .checked_sub(self.body.as_ptr() as usize)
                    .and_then(|start| Some(start.checked_sub(1)?..start + text.len() + 1)),
                Cow::Owned(_) => None,
            };
            members.push(Member { key, key_span, value: value.get() });
        }
        Ok(members)
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &str, edit: impl Fn(&mut Patch)) -> String {
        let mut patch = Patch::default();
        edit(&mut patch);
        String::from_utf8(TopLevel::scan(body.as_bytes()).unwrap().apply(&patch)).unwrap()
    }

    #[test]
    fn a_changed_model_leaves_every_other_byte_alone() {
        let body = "{ \"n\": 1.0e-2,\n  \"model\" : \"openai/gpt-4o\", \"x\": {\"model\":\"inner\"} }";
        assert_eq!(
            edited(body, |patch| patch.set("model", "\"gpt-4o\"".into())),
            "{ \"n\": 1.0e-2,\n  \"model\" : \"gpt-4o\", \"x\": {\"model\":\"inner\"} }"
        );
    }

    #[test]
    fn removing_members_keeps_the_object_whole_wherever_they_stand() {
        let body = r#"{"a":1,"b":[2],"c":"3"}"#;
        for (keys, expected) in [
            (&["a"][..], r#"{"b":[2],"c":"3"}"#),
            (&["b"], r#"{"a":1,"c":"3"}"#),
            (&["c"], r#"{"a":1,"b":[2]}"#),
            (&["a", "c"], r#"{"b":[2]}"#),
            (&["a", "b", "c"], "{}"),
        ] {
            assert_eq!(edited(body, |patch| keys.iter().for_each(|key| patch.remove(*key))), expected);
        }
    }

    #[test]
    fn changes_of_one_body_combine() {
        let body = r#"{"model":"m","max_completion_tokens":5.0,"fallbacks":["x"],"\u0061":1}"#;
        let all = edited(body, |patch| {
            patch.remove("model");
            patch.rename("max_completion_tokens", "max_tokens");
            patch.remove("fallbacks");
            patch.insert("anthropic_version", "\"v\"".into());
        });
        assert_eq!(all, r#"{"anthropic_version":"v","max_tokens":5.0,"a":1}"#);
        assert_eq!(edited("{}", |patch| patch.insert("a", "1".into())), r#"{"a":1}"#);
        assert_eq!(edited(r#"{"n":1}"#, |patch| patch.rename("n", "m")), r#"{"m":1}"#);
    }

    #[test]
    fn broken_json_is_an_error_with_a_place() {
        for body in ["", "[]", "{\"a\":}", "{\"a\":1} x", "{\"a\":1", "\"text\""] {
            assert!(TopLevel::scan(body.as_bytes()).is_err(), "{body}");
        }
        assert!(TopLevel::scan(b"{\"a\":\"\xff\"}").is_err());
    }
}
