//! Who is asked when the first cannot answer: the body's `fallbacks`, OpenRouter's `models`, the header `x-bf-fallbacks`.

use serde_json::Value;

use crate::base::fields::Invalid;

/// The most that one request may name.
const FALLBACKS_MAX: usize = 10;

/// Names of models, in the order in which they are asked, each once.
///
/// # Errors
/// [`Invalid`] names the entry that is none.
pub fn fallbacks(body: Option<&str>, models: Option<&str>, header: Option<&str>) -> Result<Vec<String>, Invalid> {
    let mut names = Vec::new();
    for (member, raw) in [("fallbacks", body), ("models", models)] {
        let Some(raw) = raw.filter(|raw| *raw != "null") else { continue };
        let list: Vec<Value> =
            serde_json::from_str(raw).map_err(|_| Invalid::new(member, "expected a list of models, such as [\"anthropic/claude-sonnet-4-5\"]"))?;
        for (i, entry) in list.iter().enumerate() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            let name = match entry {
                Value::String(name) if !name.is_empty() => Some(name.clone()),
                _ => text("provider").zip(text("model")).map(|(provider, model)| format!("{provider}/{model}")),
            };
            names.push(name.ok_or_else(|| Invalid::new(format!("{member}[{i}]"), "expected \"provider/model\" or {\"provider\", \"model\"}"))?);
        }
    }
    names.extend(header.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    let mut unique = Vec::with_capacity(names.len());
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    if unique.len() > FALLBACKS_MAX {
        return Err(Invalid::new("fallbacks", format!("name at most {FALLBACKS_MAX}")));
    }
    Ok(unique)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_each_name_once() {
        let body = r#"["anthropic/a",{"provider":"gemini","model":"g"}]"#;
        let found = fallbacks(Some(body), Some(r#"["anthropic/a","ollama/o"]"#), Some(" azure/z , gemini/g,")).unwrap();
        assert_eq!(found, ["anthropic/a", "gemini/g", "ollama/o", "azure/z"]);
        assert!(fallbacks(None, Some("null"), None).unwrap().is_empty());
        for (body, path) in
            [(r#""x""#, "fallbacks"), ("[1]", "fallbacks[0]"), (r#"["a",{"model":"b"}]"#, "fallbacks[1]"), (r#"[""]"#, "fallbacks[0]")]
        {
            assert_eq!(fallbacks(Some(body), None, None).unwrap_err().path, path);
        }
    }
}
