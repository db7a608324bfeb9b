//! Who calls.

use sha2::{Digest as _, Sha256};

use super::Headers;

/// The virtual key that the caller shows: `x-bf-vk`, or a value that begins `sk-bf-` where an SDK puts its key.
pub fn virtual_key(headers: &dyn Headers) -> Option<String> {
    let marked = |value: String| value.starts_with("sk-bf-").then_some(value);
    let bearer = || headers.get("authorization").and_then(|value| value.strip_prefix("Bearer ").map(|key| key.trim().to_owned()));
    headers
        .get("x-bf-vk")
        .filter(|value| !value.is_empty())
        .or_else(|| bearer().and_then(marked))
        .or_else(|| ["x-api-key", "x-goog-api-key", "api-key"].into_iter().find_map(|name| headers.get(name).and_then(marked)))
}

/// The provider's credential that the caller shows, as the header that it goes on in: where that provider's SDK puts it, and
/// neither a virtual key nor the seeds' stand-in for none. `in_query` is a key that stood in the query.
pub fn direct_key(provider: &str, headers: &dyn Headers, in_query: Option<String>) -> Option<(&'static str, String)> {
    let is_key = |value: &String| !value.is_empty() && !value.starts_with("sk-bf-") && value != "dummy-key";
    let own = |name: &'static str| headers.get(name).filter(is_key).map(|key| (name, key));
    let bearer = || {
        let value = headers.get("authorization")?;
        let (_, key) = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
        Some(key.trim().to_owned()).filter(is_key).map(|key| ("authorization", format!("Bearer {key}")))
    };
    let google = || own("x-goog-api-key").or_else(|| in_query.filter(is_key).map(|key| ("x-goog-api-key", key)));
    match provider {
        "anthropic" => own("x-api-key").or_else(bearer),
        "gemini" => google(),
        "vertex" => bearer().filter(|(_, value)| value.starts_with("Bearer ya29.")).or_else(google),
        // Azure's address and key belong together, and both are the gateway's.
        "azure" => None,
        _ => bearer(),
    }
}

/// The provider's key that the caller shows, wherever an SDK puts one: first where this provider's own does.
pub fn any_direct_key(provider: &str, headers: &dyn Headers) -> Option<String> {
    let is_key = |value: &String| !value.is_empty() && !value.starts_with("sk-bf-") && value != "dummy-key";
    let own = match provider {
        "anthropic" => "x-api-key",
        "gemini" => "x-goog-api-key",
        "azure" => "api-key",
        _ => "authorization",
    };
    let shown = |name: &str| {
        let value = headers.get(name)?;
        let value = match name {
            "authorization" => value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?.1.trim().to_owned(),
            _ => value,
        };
        Some(value).filter(is_key)
    };
    [own, "authorization", "x-api-key", "api-key", "x-goog-api-key"].into_iter().find_map(shown)
}

/// Under which name the caller's things are kept: the hash of their virtual key; empty without one.
pub fn owner(headers: &dyn Headers) -> String {
    virtual_key(headers).map(|key| hash(&key)).unwrap_or_default()
}

/// What is known of a virtual key: its SHA-256, in lower-case hex. The key itself is kept nowhere.
pub fn hash(key: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(key.as_bytes()) {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(&'static str, &'static str);

    impl Headers for One {
        fn get(&self, name: &str) -> Option<String> {
            (self.0 == name).then(|| self.1.to_owned())
        }

        fn with_prefix(&self, _: &str) -> Vec<(String, String)> {
            Vec::new()
        }
    }

    #[test]
    fn a_virtual_key_is_found_wherever_an_sdk_puts_it() {
        for (name, value) in [("x-bf-vk", "any"), ("authorization", "Bearer sk-bf-1"), ("x-api-key", "sk-bf-1"), ("api-key", "sk-bf-1")] {
            assert!(virtual_key(&One(name, value)).is_some(), "{name}");
        }
        assert_eq!(virtual_key(&One("authorization", "Bearer sk-proj-1")), None);
        assert_eq!(owner(&One("x-bf-vk", "abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(owner(&One("host", "x")), "");
    }
}
