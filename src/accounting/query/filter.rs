//! Which records the owner means: the members of a query as conditions, every value of them a bound parameter.

use serde_json::Value;

use crate::base::fields::Invalid;
use crate::base::sql::Param;
use crate::base::text::percent_decoded;
use crate::base::time::of_rfc3339;

/// The members of a query that choose rows, and the columns that they compare. Both one and several are taken: `model=a,b`.
pub(super) const FILTERS: [(&[&str], &str); 12] = [
    (&["object", "objects"], "object"),
    (&["provider", "providers"], "provider"),
    (&["model", "models"], "model"),
    (&["model_asked"], "model_asked"),
    (&["status"], "status"),
    (&["http_status"], "http_status"),
    (&["error_type"], "error_type"),
    (&["key_name", "key"], "key_name"),
    (&["virtual_key_id", "virtual_key", "virtual_key_ids"], "virtual_key_id"),
    (&["team_id"], "team_id"),
    (&["customer_id"], "customer_id"),
    (&["parent_id"], "parent_id"),
];

/// Which records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    conditions: Vec<String>,
    pub(super) params: Vec<Param>,
    pub(super) from_ms: Option<u64>,
    pub(super) to_ms: Option<u64>,
}

impl Filter {
    pub(super) fn bind(&mut self, param: Param) -> String {
        self.params.push(param);
        format!("?{}", self.params.len())
    }

    fn one_of(&mut self, name: &str, column: &str, values: &str) -> Result<(), Invalid> {
        // A statement has a hundred parameters at most.
        if values.split(',').count() + self.params.len() > 80 {
            return Err(Invalid::new(name.to_owned(), "too many values at once"));
        }
        let is_right = |value: &str| match column {
            "status" => matches!(value, "success" | "error" | "cancelled"),
            "http_status" => value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_digit()),
            _ => true,
        };
        if !values.split(',').all(is_right) {
            let expected = if column == "status" { "expected success, error or cancelled" } else { "expected a status such as 429" };
            return Err(Invalid::new(name.to_owned(), expected));
        }
        let places: Vec<String> = values.split(',').map(|value| self.bind(Param::Text(value.to_owned()))).collect();
        // Compared as text, a number is what was written.
        let column = if column == "http_status" { "CAST(http_status AS TEXT)" } else { column };
        self.conditions.push(format!("{column} IN ({})", places.join(", ")));
        Ok(())
    }

    pub(super) fn compared(&mut self, condition: &str, value: u64) {
        let place = self.bind(Param::Number(value));
        self.conditions.push(format!("{condition} {place}"));
    }

    /// Whether it chooses all.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    pub(super) fn clause(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!(" WHERE {}", self.conditions.join(" AND ")) }
    }

    /// Takes a member of the query, if it is one that chooses rows.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, Invalid> {
        if let Some((_, column)) = FILTERS.iter().find(|(names, _)| names.contains(&name)) {
            self.one_of(name, column, value)?;
            return Ok(true);
        }
        match name {
            "start_time" | "start" => {
                let from = time(name, value)?;
                self.from_ms = Some(from);
                self.compared("at_ms >=", from);
            }
            "end_time" | "end" => {
                let to = time(name, value)?;
                self.to_ms = Some(to);
                self.compared("at_ms <", to);
            }
            "stream" => self.compared("stream =", u64::from(flag(name, value)?)),
            "min_latency_ms" => self.compared("duration_ms >=", number(name, value, u64::MAX >> 11)?),
            "max_latency_ms" => self.compared("duration_ms <=", number(name, value, u64::MAX >> 11)?),
            "content" | "content_search" => {
                if self.params.len() > 80 {
                    return Err(Invalid::new(name.to_owned(), "too many values at once"));
                }
                // Bodies are kept as JSON, where a quote or a line's end is written otherwise than it is looked for. SQLite knows upper and
                // lower case in ASCII only.
                let text = value.to_ascii_lowercase();
                let as_json = Value::from(text.as_str()).to_string();
                let as_json = as_json.get(1..as_json.len() - 1).unwrap_or_default().to_owned();
                let places = [self.bind(Param::Text(text)), self.bind(Param::Text(as_json))];
                let found = |column: &str| places.each_ref().map(|place| format!("instr(lower(ifnull({column}, '')), {place}) > 0")).join(" OR ");
                self.conditions.push(format!("id IN (SELECT id FROM log_contents WHERE {} OR {})", found("request"), found("reply")));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decoded(name), percent_decoded(&value.replace('+', " ")))
    })
}

pub(super) fn unknown(name: &str) -> Invalid {
    Invalid::new(name.to_owned(), "there is no such parameter here; docs/logs.md lists them")
}

pub(super) fn number(name: &str, value: &str, max: u64) -> Result<u64, Invalid> {
    value.parse().ok().filter(|number| *number <= max).ok_or_else(|| Invalid::new(name.to_owned(), format!("expected a whole number up to {max}")))
}

fn flag(name: &str, value: &str) -> Result<bool, Invalid> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Invalid::new(name.to_owned(), "expected true or false")),
    }
}

/// Milliseconds since 1970: as such, or as a date of RFC 3339.
fn time(name: &str, value: &str) -> Result<u64, Invalid> {
    let milliseconds = value.parse().ok().filter(|number| *number < 1 << 50);
    let wrong = || Invalid::new(name.to_owned(), "expected a time such as 2026-11-25T12:00:00Z, or milliseconds since 1970");
    milliseconds.or_else(|| of_rfc3339(value)).ok_or_else(wrong)
}

/// Reads a filter and nothing else.
///
/// # Errors
/// What is wrong with the query.
pub fn filter(query: &str) -> Result<Filter, Invalid> {
    let mut filter = Filter::default();
    for (name, value) in pairs(query) {
        if !filter.take(&name, &value)? {
            return Err(unknown(&name));
        }
    }
    Ok(filter)
}

/// Everything before that time.
pub fn before(milliseconds: u64) -> Filter {
    let mut filter = Filter::default();
    filter.compared("at_ms <", milliseconds);
    filter
}
