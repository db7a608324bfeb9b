//! What the key-value store says of virtual keys, teams and customers.

use serde_json::{Map, Value};

use super::amount::{Limit, Limits};
use super::period::Period;
use crate::base::fields::Invalid;
use crate::base::glob::fits;
use crate::base::money::Money;
use crate::base::time::of_rfc3339;

/// Stands for every provider, model or key.
const ALL: &str = "*";

/// A virtual key: who may use what, and how much of it.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualKey {
    /// What records and limits call it; it stays when the key itself is renewed.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it is switched on.
    pub is_active: bool,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// What it may use.
    pub providers: Vec<Allowed>,
    /// How much of it.
    pub limits: Limits,
    /// Whose it is.
    pub team_id: Option<String>,
    /// Whose it is.
    pub customer_id: Option<String>,
}

/// A team or a customer: limits for all of its keys together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its identifier.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The limits.
    pub limits: Limits,
    /// Of a team, the customer that it belongs to.
    pub customer_id: Option<String>,
}

/// A provider that a key may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowed {
    /// Its name, or `*`.
    pub provider: String,
    /// Patterns of its models.
    pub models: Vec<String>,
    /// How often it is chosen where a model names none.
    pub weight: f64,
    /// Patterns of the names of its keys in the gateway's pool.
    pub keys: Vec<String>,
}

impl Allowed {
    /// Whether it is about that provider.
    pub fn is_of(&self, provider: &str) -> bool {
        self.provider == ALL || self.provider == provider
    }

    /// Whether it allows the model. A request that names none asks for whatever there is.
    pub fn allows(&self, provider: &str, model: &str) -> bool {
        let with_prefix = || format!("{provider}/{model}");
        self.models.iter().any(|pattern| match pattern.as_str() {
            ALL => true,
            _ if model.is_empty() => false,
            pattern => fits(pattern, model) || (pattern.contains('/') && fits(pattern, &with_prefix())),
        })
    }

    /// Whether a pattern names the model more closely than all of them.
    pub fn names(&self, model: &str) -> bool {
        self.models.iter().any(|pattern| pattern != ALL && fits(pattern, model))
    }
}

impl VirtualKey {
    /// Reads a record.
    ///
    /// # Errors
    /// [`Invalid`] names the member that is wrong.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        let record = object(json)?;
        let list = match record.get("provider_configs") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(list)) => list.as_slice(),
            Some(_) => return Err(Invalid::new("provider_configs", "expected a list of objects")),
        };
        Ok(Self {
            id: id(&record)?,
            name: text(&record, "name", "name")?.unwrap_or_default(),
            is_active: flag(&record, "is_active")?.unwrap_or(true),
            expires_at: time(&record, "expires_at")?,
            providers: list.iter().enumerate().map(|(i, entry)| allowed(entry, &format!("provider_configs[{i}]"))).collect::<Result<_, _>>()?,
            limits: limits(&record)?,
            team_id: text(&record, "team_id", "team_id")?,
            customer_id: text(&record, "customer_id", "customer_id")?,
        })
    }

    /// Why it serves nobody now, if it does not.
    pub fn is_blocked(&self, now_ms: u64) -> Option<&'static str> {
        match self.expires_at {
            _ if !self.is_active => Some("is switched off"),
            Some(end) if end <= now_ms => Some("has expired"),
            _ => None,
        }
    }

    /// Whether it may use anything of the provider.
    pub fn may_use(&self, provider: &str) -> bool {
        self.providers.iter().any(|allowed| allowed.is_of(provider))
    }

    /// What lets it use this model of the provider.
    pub fn allows<'a>(&'a self, provider: &'a str, model: &'a str) -> impl Iterator<Item = &'a Allowed> {
        self.providers.iter().filter(move |allowed| allowed.is_of(provider) && allowed.allows(provider, model))
    }
}

impl Group {
    /// Reads a record.
    ///
    /// # Errors
    /// [`Invalid`] names the member that is wrong.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        let record = object(json)?;
        Ok(Self {
            id: id(&record)?,
            name: text(&record, "name", "name")?.unwrap_or_default(),
            limits: limits(&record)?,
            customer_id: text(&record, "customer_id", "customer_id")?,
        })
    }
}

fn object(json: &str) -> Result<Map<String, Value>, Invalid> {
    serde_json::from_str(json).map_err(|error| Invalid::new("", format!("not a JSON object: {error}")))
}

fn id(record: &Map<String, Value>) -> Result<String, Invalid> {
    let is_plain = |id: &String| id.len() <= 100 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let id = text(record, "id", "id")?.filter(|id| !id.is_empty() && is_plain(id));
    id.ok_or_else(|| Invalid::new("id", "is required: at most 100 letters, digits, '-', '_' and '.'"))
}

fn text(record: &Map<String, Value>, key: &str, path: &str) -> Result<Option<String>, Invalid> {
    match record.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Invalid::new(path, "expected a string")),
    }
}

fn flag(record: &Map<String, Value>, key: &str) -> Result<Option<bool>, Invalid> {
    match record.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Invalid::new(key, "expected true or false")),
    }
}

fn time(record: &Map<String, Value>, key: &str) -> Result<Option<u64>, Invalid> {
    let time = text(record, key, key)?;
    time.map(|time| of_rfc3339(&time).ok_or_else(|| Invalid::new(key, "expected a time such as 2027-01-31T00:00:00Z"))).transpose()
}

fn names(entry: &Map<String, Value>, key: &str, path: &str) -> Result<Vec<String>, Invalid> {
    let wrong = || Invalid::new(format!("{path}.{key}"), "expected a list of names; [\"*\"] allows all and an empty list none");
    match entry.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}

fn allowed(entry: &Value, path: &str) -> Result<Allowed, Invalid> {
    let entry = entry.as_object().ok_or_else(|| Invalid::new(path, "expected an object"))?;
    let provider = text(entry, "provider", &format!("{path}.provider"))?;
    let weight = match entry.get("weight") {
        None | Some(Value::Null) => Some(1.0),
        Some(weight) => weight.as_f64().filter(|weight| weight.is_finite() && *weight >= 0.0),
    };
    Ok(Allowed {
        provider: provider.ok_or_else(|| Invalid::new(format!("{path}.provider"), "is required: a provider's name, or \"*\" for all"))?,
        models: names(entry, "allowed_models", path)?,
        weight: weight.ok_or_else(|| Invalid::new(format!("{path}.weight"), "expected a number that is not negative"))?,
        keys: names(entry, "keys", path)?,
    })
}

fn limits(record: &Map<String, Value>) -> Result<Limits, Invalid> {
    let budget = part(record, "budget")?;
    let rate = part(record, "rate_limit")?;
    let dollars = |value: &Value| Money::of_dollars(&value.as_number()?.to_string()).map(|money| money.0);
    Ok(Limits {
        cost: limit(budget, "budget", "max_limit", "reset_duration", "an amount of USD, such as 10 or 0.5", dollars)?,
        requests: limit(rate, "rate_limit", "request_max_limit", "request_reset_duration", "a whole number", Value::as_u64)?,
        tokens: limit(rate, "rate_limit", "token_max_limit", "token_reset_duration", "a whole number", Value::as_u64)?,
    })
}

fn part<'a>(record: &'a Map<String, Value>, key: &str) -> Result<Option<&'a Map<String, Value>>, Invalid> {
    match record.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(_) => Err(Invalid::new(key, "expected an object")),
    }
}

fn limit(
    part: Option<&Map<String, Value>>,
    path: &str,
    max: &str,
    period: &str,
    expected: &str,
    read: impl Fn(&Value) -> Option<u64>,
) -> Result<Option<Limit>, Invalid> {
    let Some(part) = part else { return Ok(None) };
    let found = |key: &str| part.get(key).filter(|value| !value.is_null());
    let Some(value) = found(max) else {
        // A period without a limit is a slip of the pen, and would be taken for no limit at all.
        return if found(period).is_some() { Err(Invalid::new(format!("{path}.{max}"), format!("is missing: {expected}"))) } else { Ok(None) };
    };
    let max = read(value).ok_or_else(|| Invalid::new(format!("{path}.{max}"), format!("expected {expected}")))?;
    let aligned = flag(part, "calendar_aligned").map_err(|error| Invalid::new(format!("{path}.calendar_aligned"), error.message))?;
    let text = found(period).and_then(Value::as_str);
    let parsed = text.and_then(|text| Period::parse(text, aligned.unwrap_or(false)));
    let period_at = format!("{path}.{period}");
    let period = parsed.ok_or_else(|| Invalid::new(&period_at, "expected a duration: 30s, 5m, 1h, 1d, 1w, 1M or 1Y"))?;
    if aligned == Some(true) && path == "budget" && !period.can_be_aligned() {
        return Err(Invalid::new(period_at, "only days and longer periods can be aligned to the calendar"));
    }
    Ok(Some(Limit { max, period }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"id":"vk_1","name":"alice","is_active":true,"expires_at":"2027-01-01T00:00:00Z",
        "provider_configs":[{"provider":"openai","allowed_models":["gpt-4o*"],"weight":2,"keys":["team-*"]},{"provider":"anthropic","allowed_models":["*"],"keys":["*"]}],
        "budget":{"max_limit":10.0,"reset_duration":"1M"},"rate_limit":{"request_max_limit":100,"request_reset_duration":"1m"},"team_id":"t1","customer_id":null,"note":1}"#;

    #[test]
    fn a_record_is_read_and_what_it_does_not_say_is_not_allowed() {
        let key = VirtualKey::parse(SAMPLE).unwrap();
        assert_eq!((key.limits.cost.unwrap().max, key.limits.requests.unwrap().max), (10_000_000_000_000, 100));
        assert_eq!((key.limits.tokens, key.team_id.as_deref(), key.customer_id.as_deref()), (None, Some("t1"), None));
        let allows = |provider, model| key.allows(provider, model).next().is_some();
        assert!(allows("openai", "gpt-4o-mini") && allows("anthropic", "claude") && allows("anthropic", ""));
        assert!(!allows("openai", "o3") && !allows("openai", "") && !allows("gemini", "gemini-2.5-pro"));
        assert!(key.may_use("openai") && !key.may_use("gemini"));
        assert_eq!((key.is_blocked(0), key.is_blocked(1_798_761_600_000)), (None, Some("has expired")));
        let bare = VirtualKey::parse(r#"{"id":"x","provider_configs":[{"provider":"openai"}]}"#).unwrap();
        assert!(bare.is_active && bare.limits.is_empty() && bare.allows("openai", "gpt-4o").next().is_none());
        let all = VirtualKey::parse(r#"{"id":"x","provider_configs":[{"provider":"*","allowed_models":["*","openai/gpt*"]}]}"#).unwrap();
        assert!(all.allows("ollama", "anything").next().is_some());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, path) in [
            ("\"vk_1\"", "7", "id"),
            ("\"vk_1\"", "\"a b\"", "id"),
            ("true", "\"yes\"", "is_active"),
            ("2027-01-01T00:00:00Z", "soon", "expires_at"),
            ("[\"gpt-4o*\"]", "\"gpt-4o\"", "provider_configs[0].allowed_models"),
            ("\"anthropic\"", "null", "provider_configs[1].provider"),
            ("2,", "-1,", "provider_configs[0].weight"),
            ("10.0", "\"10\"", "budget.max_limit"),
            ("10.0", "-1", "budget.max_limit"),
            ("1M", "1X", "budget.reset_duration"),
            ("100,", "1.5,", "rate_limit.request_max_limit"),
            ("\"request_max_limit\":100,", "", "rate_limit.request_max_limit"),
        ] {
            assert_eq!(VirtualKey::parse(&SAMPLE.replacen(from, to, 1)).unwrap_err().path, path, "{from} {to}");
        }
        assert!(VirtualKey::parse("{").is_err() && VirtualKey::parse("[]").is_err() && Group::parse("{}").is_err());
    }
}
