//! A provider's keys: the one of its own setting, or the pool of `<PROVIDER>_KEYS`.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::providers::{Account, Provider, Unconfigured, Vars};
use crate::routing::KeyRules;

/// The name of the one key of a provider that has no pool.
pub const ONLY_KEY: &str = "default";

/// Members of an entry that are no setting of a provider. The last four are other gateways' and mean nothing here.
const RULES: [&str; 10] = ["name", "value", "weight", "models", "blacklisted_models", "enabled", "id", "status", "description", "use_for_batch_api"];

/// The keys of a provider; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// The setting that it comes from, such as `OPENAI_KEYS`.
    pub setting: String,
    /// The keys.
    pub keys: Vec<Key>,
}

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// When it is chosen.
    pub rules: KeyRules,
    /// Where it leads, and the key itself.
    pub account: Rc<Account>,
}

impl Pool {
    /// Reads the keys of a provider.
    ///
    /// # Errors
    /// [`Unconfigured`] names the setting and the entry at fault, never a value.
    pub fn read(provider: &dyn Provider, vars: Vars<'_>) -> Result<Self, Unconfigured> {
        let setting = format!("{}_KEYS", provider.id().to_ascii_uppercase());
        let Some(json) = vars(&setting) else {
            let account = Rc::new(provider.account(vars)?);
            let setting = provider.key_settings().first().map(|(_, name)| (*name).to_owned()).unwrap_or(setting);
            return Ok(Self { setting, keys: vec![Key { rules: rules_of(&Map::new(), ONLY_KEY.to_owned()), account }] });
        };
        let wrong = |what: String| Unconfigured::Wrong(format!("{setting} {what}"));
        // The parser's own words would repeat what it found.
        let entries: Vec<Value> = serde_json::from_str(&json).map_err(|_| wrong("is not a JSON list of keys".to_owned()))?;
        let mut keys: Vec<Key> = Vec::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            let entry = entry.as_object().ok_or_else(|| wrong(format!("[{i}] is not an object")))?;
            let key = key(provider, entry, i, vars).map_err(|what| wrong(format!("[{i}] {what}")))?;
            if keys.iter().any(|other| other.rules.name == key.rules.name) {
                return Err(wrong(format!("[{i}] has the name of another")));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(wrong("is empty".to_owned())) } else { Ok(Self { setting, keys }) }
    }
}

fn key(provider: &dyn Provider, entry: &Map<String, Value>, i: usize, vars: Vars<'_>) -> Result<Key, String> {
    let settings = provider.key_settings();
    if let Some(unknown) = entry.keys().position(|member| !RULES.contains(&member.as_str()) && settings.iter().all(|(known, _)| known != member)) {
        let known: Vec<&str> =
            RULES.iter().take(6).copied().chain(settings.iter().map(|(known, _)| *known).filter(|known| *known != "value")).collect();
        // Not by its name: that may be a key in the wrong place.
        return Err(format!("has a member that is none of {} (number {})", known.join(", "), unknown + 1));
    }
    check(entry)?;
    let name = entry.get("name").and_then(Value::as_str).map_or_else(|| format!("key-{}", i + 1), str::to_owned);
    // Everything that the provider checks of its own settings holds for an entry's, too.
    let laid_over = |wanted: &str| match settings.iter().find(|(_, setting)| *setting == wanted) {
        None => vars(wanted),
        Some((member, _)) => match entry.get(*member) {
            Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
            Some(Value::Null) | None if matches!(*member, "value" | "auth_credentials") => None,
            Some(Value::Null) | None => vars(wanted),
            Some(other) => Some(other.to_string()),
        },
    };
    let account = provider.account(&laid_over).map_err(|why| {
        let members: Vec<String> = settings.iter().map(|(member, setting)| format!("{member} for {setting}")).collect();
        format!("('{name}'): {why} (here: {})", members.join(", "))
    })?;
    Ok(Key { rules: rules_of(entry, name), account: Rc::new(account) })
}

/// Kinds of the members that have one.
fn check(entry: &Map<String, Value>) -> Result<(), String> {
    let is = |member: &str, fits: fn(&Value) -> bool, what: &str| match entry.get(member) {
        Some(value) if !fits(value) => Err(format!("has a '{member}' that is not {what}")),
        _ => Ok(()),
    };
    let is_list = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    is("name", |name| name.as_str().is_some_and(is_name), "a short text of letters, digits, '-', '_' and '.'")?;
    is("value", Value::is_string, "a text")?;
    is("weight", |weight| weight.as_f64().is_some_and(|weight| weight >= 0.0 && weight.is_finite()), "a number from 0 on")?;
    is("models", is_list, "a list of patterns")?;
    is("blacklisted_models", is_list, "a list of patterns")?;
    is("enabled", Value::is_boolean, "true or false")
}

/// It stands in headers and reports.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b' '))
}

fn rules_of(entry: &Map<String, Value>, name: String) -> KeyRules {
    let list = |member: &str| {
        let list = entry.get(member)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    KeyRules {
        name,
        weight: entry.get("weight").and_then(Value::as_f64).unwrap_or(1.0),
        models: list("models").unwrap_or_else(|| vec!["*".to_owned()]),
        blacklisted_models: list("blacklisted_models").unwrap_or_default(),
        enabled: entry.get("enabled").and_then(Value::as_bool).unwrap_or(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::by_id;

    fn read(provider: &str, vars: &[(&str, &str)]) -> Result<Pool, String> {
        let vars = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Pool::read(by_id(provider).unwrap(), &vars).map_err(|why| why.to_string())
    }

    #[test]
    fn a_pool_lays_its_entries_over_the_providers_settings() {
        let keys = r#"[{"name":"eu","value":"k1","weight":3,"endpoint":"https://eu.openai.azure.com","deployments":{"gpt-4o":"mine"}},{"value":"k2","models":["o3*"],"enabled":false}]"#;
        let pool =
            read("azure", &[("AZURE_KEYS", keys), ("AZURE_OPENAI_ENDPOINT", "https://us.openai.azure.com"), ("AZURE_OPENAI_API_KEY", "other")])
                .unwrap();
        let [eu, us] = pool.keys.as_slice() else { panic!("two keys") };
        assert_eq!((eu.rules.name.as_str(), eu.rules.weight, eu.account.base_url.as_str()), ("eu", 3.0, "https://eu.openai.azure.com"));
        assert_eq!(eu.account.deployments, [("gpt-4o".to_owned(), "mine".to_owned())]);
        assert_eq!((us.rules.name.as_str(), us.account.base_url.as_str(), us.rules.enabled), ("key-2", "https://us.openai.azure.com", false));
        assert_eq!(us.account.key.as_ref().map(|key| key.expose()), Some("k2"));
        let vertex =
            read("vertex", &[("VERTEX_KEYS", r#"[{"value":"AIza","project_id":"p","region":"europe-west4"}]"#), ("GOOGLE_SERVICE_ACCOUNT", "{}")])
                .unwrap();
        assert_eq!(vertex.keys[0].account.base_url, "https://europe-west4-aiplatform.googleapis.com");
        assert_eq!(read("openai", &[("OPENAI_API_KEY", "k")]).unwrap().keys[0].rules.name, ONLY_KEY);
    }

    #[test]
    fn a_malformed_pool_is_told_without_what_it_holds() {
        for (keys, word) in [
            ("sk-secret", "not a JSON list"),
            (r#"{"value":"sk-secret"}"#, "not a JSON list"),
            ("[]", "is empty"),
            (r#"["sk-secret"]"#, "[0] is not an object"),
            (r#"[{"name":"a"}]"#, "('a')"),
            (r#"[{"value":"sk-secret","weight":"sk-secret"}]"#, "'weight'"),
            (r#"[{"value":"sk-secret","sk-secret":1}]"#, "number 2"),
            (r#"[{"value":["sk-secret"]}]"#, "'value'"),
            (r#"[{"value":"sk-secret","name":"a"},{"value":"sk-secret","name":"a"}]"#, "[1] has the name of another"),
        ] {
            let why = read("openai", &[("OPENAI_KEYS", keys)]).unwrap_err();
            assert!(why.starts_with("OPENAI_KEYS") && why.contains(word) && !why.contains("sk-secret"), "{why}");
        }
    }
}
