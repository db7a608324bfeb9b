//! Taking a JSON object apart, so that what nobody took can be named.
//!
//! A decoder takes each member that it understands; [`Fields::rest`] is then, by construction, exactly what it did not.

use serde_json::{Map, Number, Value};

/// A JSON object with its path in the body.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    path: String,
}

/// A member of the wrong type or with an impossible value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Where, as a client would write it: `messages[2].content[0].text`.
    pub path: String,
    /// What is wrong with it and what is expected.
    pub message: String,
}

impl Invalid {
    /// An error about the member at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl Fields {
    /// The members of `value`, which must be an object.
    pub fn new(value: Value, path: impl Into<String>) -> Result<Self, Invalid> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { map, path }),
            other => Err(Invalid::new(path, format!("expected an object, got {}", kind(&other)))),
        }
    }

    /// The path of this object, empty for the body itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of the member `key`.
    pub fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes the member out; `null` counts as absent.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.map.shift_remove(key).filter(|value| !value.is_null())
    }

    /// Takes the member only if it is the string `expected`.
    pub fn take_if(&mut self, key: &str, expected: &str) -> bool {
        let found = self.map.get(key).and_then(Value::as_str) == Some(expected);
        if found {
            self.map.shift_remove(key);
        }
        found
    }

    /// Whether the member is there and not `null`.
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    /// The member as a string, left in place.
    pub fn peek_str(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    /// Takes a string.
    pub fn string(&mut self, key: &str) -> Result<Option<String>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, "a string", &other)),
        }
    }

    /// Takes a string that must be there.
    pub fn required(&mut self, key: &str) -> Result<String, Invalid> {
        self.string(key)?.ok_or_else(|| Invalid::new(self.at(key), format!("'{}' is required", self.at(key))))
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, key: &str) -> Result<Option<bool>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(key, "a boolean", &other)),
        }
    }

    /// Takes a number as it was written.
    pub fn number(&mut self, key: &str) -> Result<Option<Number>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(other) => Err(self.wrong(key, "a number", &other)),
        }
    }

    /// Takes a whole number that is not negative; `5.0` counts as one.
    pub fn count(&mut self, key: &str) -> Result<Option<u64>, Invalid> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        whole(&number).map(Some).ok_or_else(|| Invalid::new(self.at(key), "expected a whole number of zero or more"))
    }

    /// Takes a list; each item comes with its path.
    pub fn list(&mut self, key: &str) -> Result<Option<Vec<(String, Value)>>, Invalid> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let base = self.at(key);
                Ok(Some(items.into_iter().enumerate().map(|(i, item)| (format!("{base}[{i}]"), item)).collect()))
            }
            Some(other) => Err(self.wrong(key, "a list", &other)),
        }
    }

    /// Takes an object.
    pub fn object(&mut self, key: &str) -> Result<Option<Fields>, Invalid> {
        let path = self.at(key);
        self.take(key).map(|value| Fields::new(value, path)).transpose()
    }

    /// The paths of what was not taken; `null`, empty lists and empty objects say nothing and are left out.
    pub fn rest(self) -> impl Iterator<Item = (String, Value)> {
        let Self { map, path } = self;
        map.into_iter().filter(|(_, value)| !is_empty(value)).map(move |(key, value)| {
            let full = if path.is_empty() { key } else { format!("{path}.{key}") };
            (full, value)
        })
    }

    fn wrong(&self, key: &str, expected: &str, got: &Value) -> Invalid {
        Invalid::new(self.at(key), format!("expected {expected}, got {}", kind(got)))
    }
}

/// The number as a whole one, if it is.
pub fn whole(number: &Number) -> Option<u64> {
    if let Some(n) = number.as_u64() {
        return Some(n);
    }
    let float = number.as_f64()?;
    // 2^53: beyond it a float does not say which whole number was meant.
    (float.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&float)).then_some(float as u64)
}

/// What a client calls this kind of value.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_taken_is_the_rest_with_its_path() {
        let mut fields = Fields::new(json!({"a": 1, "b": "x", "c": null, "d": []}), "messages[0]").unwrap();
        assert_eq!(fields.string("b").unwrap().as_deref(), Some("x"));
        let rest: Vec<_> = fields.rest().map(|(path, _)| path).collect();
        assert_eq!(rest, ["messages[0].a"]);
    }

    #[test]
    fn a_wrong_type_names_the_member_and_both_types() {
        let mut fields = Fields::new(json!({"temperature": "hot"}), "").unwrap();
        let error = fields.number("temperature").unwrap_err();
        assert_eq!((error.path.as_str(), error.message.as_str()), ("temperature", "expected a number, got a string"));
    }

    #[test]
    fn a_float_without_fraction_is_a_whole_number() {
        for (text, expected) in [("5", Some(5)), ("5.0", Some(5)), ("1e3", Some(1000)), ("5.5", None), ("-1", None)] {
            let number: Number = serde_json::from_str(text).unwrap();
            assert_eq!(whole(&number), expected, "{text}");
        }
    }
}
