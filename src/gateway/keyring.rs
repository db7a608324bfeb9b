//! The owner's administration of virtual keys, teams and customers, and what a holder may see of their own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::holders::NodeOf;
use super::{Answer, Gateway, Outside, Request};
use crate::base::fields::Invalid;
use crate::base::ids::Seed;
use crate::base::money::Money;
use crate::base::time::rfc3339;
use crate::governance::message::{Message, Op, Reading};
use crate::governance::record::{Group, VirtualKey};
use crate::governance::{Dimension, Limits};
use crate::http::{Failure, Governed, Manage, caller};
use crate::ports::StoreError;
use crate::providers;

/// How many are shown where the request does not say, and at most: each is a question to a node.
const PAGE: usize = 50;
const PAGE_MAX: usize = 200;

/// How many nodes are asked at a time.
const AT_ONCE: usize = 6;

/// The longest record, in bytes.
const RECORD_MAX: usize = 64 << 10;

/// A record, under the name that it has in the store.
struct Stored {
    name: String,
    record: Map<String, Value>,
}

impl Stored {
    fn text(&self, key: &str) -> &str {
        self.record.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Gateway {
    pub(super) async fn manage<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        governed: Governed,
        manage: Manage,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let answer = |status: u16, body: Value| Ok(Answer::Json { status, headers: Vec::new(), body: body.to_string() });
        match manage {
            Manage::List => answer(200, list(outside, request, governed).await?),
            Manage::Show(id) => {
                let stored = find(outside, governed, &id).await?;
                answer(200, json!({governed.word(): shown(outside, governed, stored.record).await}))
            }
            Manage::Create => {
                let mut record = asked(request.bytes)?;
                record.shift_remove("created_at");
                if record.get("id").is_none_or(Value::is_null) {
                    let id = Seed(outside.bytes()).id(if governed == Governed::VirtualKey { "vk_" } else { "" });
                    record.insert("id".to_owned(), id.into());
                }
                record.insert("created_at".to_owned(), rfc3339(outside.now()).into());
                if record.get("name").and_then(Value::as_str).is_none_or(|name| name.trim().is_empty()) {
                    return Err(Invalid::new("name", "is required: what people call it").into());
                }
                check(outside, governed, &record).await?;
                let id = record.get("id").and_then(Value::as_str).unwrap_or_default();
                if find(outside, governed, id).await.is_ok() {
                    return Err(Invalid::new("id", format!("there is a {} of that name already", governed.in_words())).into());
                }
                let (name, key) = match governed {
                    Governed::VirtualKey => new_key(outside),
                    _ => (format!("{}{id}", governed.prefix()), None),
                };
                self.keep(outside, &name, &record).await?;
                answer(201, with_key(governed, shown(outside, governed, record).await, key))
            }
            Manage::Change(id) => {
                let Stored { name, mut record } = find(outside, governed, &id).await?;
                for (member, value) in asked(request.bytes)? {
                    match (member.as_str(), value) {
                        ("id", value) if value != id.as_str() => return Err(Invalid::new("id", "cannot be changed").into()),
                        ("id" | "created_at", _) => {}
                        (_, Value::Null) => drop(record.shift_remove(&member)),
                        (_, value) => drop(record.insert(member, value)),
                    }
                }
                check(outside, governed, &record).await?;
                self.keep(outside, &name, &record).await?;
                answer(200, json!({governed.word(): shown(outside, governed, record).await}))
            }
            Manage::Rotate(id) => {
                let stored = find(outside, governed, &id).await?;
                let (name, key) = new_key(outside);
                self.keep(outside, &name, &stored.record).await?;
                outside.remove(&stored.name).await.map_err(|error| failed(outside, &error))?;
                self.forget_holders();
                answer(200, with_key(governed, shown(outside, governed, stored.record).await, key))
            }
            Manage::Delete(id) => {
                let stored = find(outside, governed, &id).await?;
                if governed != Governed::VirtualKey {
                    refuse_if_in_use(outside, governed, &id).await?;
                }
                outside.remove(&stored.name).await.map_err(|error| failed(outside, &error))?;
                self.forget_holders();
                answer(200, json!({"id": id, "deleted": true}))
            }
        }
    }

    /// What the holder of the key that is shown may still spend.
    pub(super) async fn quota<O: Outside>(&self, outside: &O, request: &Request<'_, O::Body>) -> Result<String, Failure> {
        let holder = request.holder.as_ref().ok_or(Failure::VirtualKeyRequired)?;
        let usage = async |governed: Governed| match holder.nodes.iter().find(|node| node.governed == governed) {
            Some(node) => usage(outside, node).await.map(Value::Object),
            None => Ok(json!({})),
        };
        let mut quota = Map::from_iter([
            ("id".to_owned(), json!(holder.key.id)),
            ("name".to_owned(), json!(holder.key.name)),
            ("usage".to_owned(), usage(Governed::VirtualKey).await?),
        ]);
        for (governed, id) in [(Governed::Team, &holder.team_id), (Governed::Customer, &holder.customer_id)] {
            if let Some(id) = id {
                quota.insert(governed.word().to_owned(), json!({"id": id, "usage": usage(governed).await?}));
            }
        }
        Ok(Value::Object(quota).to_string())
    }

    async fn keep<O: Outside>(&self, outside: &O, name: &str, record: &Map<String, Value>) -> Result<(), Failure> {
        let json = serde_json::to_string(record).unwrap_or_default();
        if json.len() > RECORD_MAX {
            return Err(Invalid::new("", format!("the record has more than {RECORD_MAX} bytes")).into());
        }
        outside.put(name, &json).await.map_err(|error| failed(outside, &error))?;
        self.forget_holders();
        Ok(())
    }
}

/// The members that the owner sends; what the gateway adds when it shows them is not theirs.
fn asked(bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    let mut record: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
    record.shift_remove("usage");
    Ok(record)
}

/// A key that nobody can guess, and the name under which its hash stands.
fn new_key<O: Outside>(outside: &O) -> (String, Option<String>) {
    let key = format!("sk-bf-{}", URL_SAFE_NO_PAD.encode([outside.bytes(), outside.bytes()].concat()));
    (format!("{}{}", Governed::VirtualKey.prefix(), caller::hash(&key)), Some(key))
}

fn with_key(governed: Governed, record: Value, key: Option<String>) -> Value {
    match key {
        Some(key) => json!({governed.word(): record, "key": key}),
        None => json!({governed.word(): record}),
    }
}

async fn all<O: Outside>(outside: &O, governed: Governed) -> Result<Vec<Stored>, Failure> {
    let found = outside.values(governed.prefix()).await.map_err(|error| failed(outside, &error))?;
    let stored = |(name, json): (String, String)| {
        // One that cannot be read is shown all the same, so that it can be mended or deleted.
        let unreadable = || Map::from_iter([("id".to_owned(), Value::from(name.trim_start_matches(governed.prefix())))]);
        Stored { record: serde_json::from_str(&json).unwrap_or_else(|_| unreadable()), name }
    };
    Ok(found.into_iter().map(stored).collect())
}

async fn find<O: Outside>(outside: &O, governed: Governed, id: &str) -> Result<Stored, Failure> {
    let found = all(outside, governed).await?.into_iter().find(|stored| stored.text("id") == id);
    found.ok_or_else(|| Failure::NoSuchHolder { kind: governed.in_words(), id: id.to_owned() })
}

async fn list<O: Outside>(outside: &O, request: &Request<'_, O::Body>, governed: Governed) -> Result<Value, Failure> {
    let number = |name: &str, default: usize| match request.query(name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| Invalid::new(name, "expected a whole number")),
    };
    let (limit, offset) = (number("limit", PAGE)?.min(PAGE_MAX), number("offset", 0)?);
    let mut all = all(outside, governed).await?;
    for member in ["team_id", "customer_id"] {
        if let Some(wanted) = request.query(member) {
            all.retain(|stored| stored.text(member) == wanted);
        }
    }
    all.sort_by(|a, b| (a.text("name"), a.text("id")).cmp(&(b.text("name"), b.text("id"))));
    let total = all.len();
    let page = all.into_iter().skip(offset).take(limit).map(|stored| shown(outside, governed, stored.record));
    let page: Vec<Value> = stream::iter(page).buffered(AT_ONCE).collect().await;
    Ok(json!({format!("{}s", governed.word()): page, "total": total, "limit": limit, "offset": offset}))
}

/// A record with what is spent of its limits.
async fn shown<O: Outside>(outside: &O, governed: Governed, mut record: Map<String, Value>) -> Value {
    let text = Value::Object(record.clone()).to_string();
    let parsed = match governed {
        Governed::VirtualKey => VirtualKey::parse(&text).map(|key| (key.id, key.name, key.limits)),
        _ => Group::parse(&text).map(|group| (group.id, group.name, group.limits)),
    };
    match parsed {
        Ok((id, name, limits)) => {
            let node = NodeOf::new(governed, &id, &name, limits);
            let usage = usage(outside, &node).await.map_or(Value::Null, Value::Object);
            record.insert("usage".to_owned(), usage);
        }
        Err(error) => drop(record.insert("problem".to_owned(), format!("{}: {}", error.path, error.message).into())),
    }
    Value::Object(record)
}

async fn usage<O: Outside>(outside: &O, node: &NodeOf) -> Result<Map<String, Value>, Failure> {
    if node.limits.is_empty() {
        return Ok(Map::new());
    }
    let look = Message { limits: node.limits, ops: vec![Op::Look] };
    let reply = outside.tell(&node.name, &look).await.map_err(|error| {
        outside.warn(&format!("the limits of the {} cannot be reached: {}", node.whose, error.0));
        Failure::LimitsUnavailable
    })?;
    Ok(reply.meters.iter().map(|reading| told(&node.limits, reading)).collect())
}

fn told(limits: &Limits, reading: &Reading) -> (String, Value) {
    let (word, is_money) = match reading.dimension {
        Dimension::Requests => ("requests", false),
        Dimension::Tokens => ("tokens", false),
        Dimension::Cost => ("budget", true),
    };
    let number = |amount: u64| match is_money {
        true => serde_json::from_str(&Money(amount).to_string()).unwrap_or_default(),
        false => Value::from(amount),
    };
    let period = limits.of(reading.dimension).map(|limit| limit.period.to_string());
    let told = json!({
        "max_limit": number(reading.max), "current_usage": number(reading.used), "reserved": number(reading.reserved), "remaining": number(reading.remaining()),
        "reset_duration": period, "resets_at": rfc3339(reading.resets_at_ms / 1000),
    });
    (word.to_owned(), told)
}

/// Whether the record says what can be kept to.
async fn check<O: Outside>(outside: &O, governed: Governed, record: &Map<String, Value>) -> Result<(), Failure> {
    let text = Value::Object(record.clone()).to_string();
    let (team, customer) = match governed {
        Governed::VirtualKey => {
            let key = VirtualKey::parse(&text)?;
            for (i, allowed) in key.providers.iter().enumerate() {
                if allowed.provider != "*" && providers::by_id(&allowed.provider).is_none() {
                    return Err(
                        Invalid::new(format!("provider_configs[{i}].provider"), format!("there is no provider '{}'", allowed.provider)).into()
                    );
                }
            }
            (key.team_id, key.customer_id)
        }
        Governed::Team => (None, Group::parse(&text)?.customer_id),
        Governed::Customer => (None, Group::parse(&text)?.customer_id.and(None)),
    };
    for (member, governed, id) in [("team_id", Governed::Team, team), ("customer_id", Governed::Customer, customer)] {
        let Some(id) = id else { continue };
        if outside.value(&format!("{}{id}", governed.prefix())).await.map_err(|error| failed(outside, &error))?.is_none() {
            return Err(Invalid::new(member, format!("there is none of that identifier: '{id}'")).into());
        }
    }
    Ok(())
}

/// A key whose team is gone serves nobody.
async fn refuse_if_in_use<O: Outside>(outside: &O, governed: Governed, id: &str) -> Result<(), Failure> {
    let member = if governed == Governed::Team { "team_id" } else { "customer_id" };
    let mut users = all(outside, Governed::VirtualKey).await?;
    if governed == Governed::Customer {
        users.extend(all(outside, Governed::Team).await?);
    }
    match users.iter().find(|stored| stored.text(member) == id) {
        Some(user) => Err(Invalid::new("id", format!("'{}' still belongs to it", user.text("id"))).into()),
        None => Ok(()),
    }
}

fn failed<O: Outside>(outside: &O, error: &StoreError) -> Failure {
    outside.warn(&format!("virtual keys: {}", error.0));
    Failure::LimitsUnavailable
}
