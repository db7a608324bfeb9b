//! What the owner asks about the records, as SQL. Whatever comes from outside is a bound parameter; the text of a statement is put
//! together from this file alone.

mod filter;

use serde_json::{Map, Value};

use crate::base::fields::Invalid;
use crate::base::sql::{Param, Statement};

pub use filter::{Filter, before, filter};
use filter::{number, pairs, unknown};

/// The columns of a record, as the list of them is told.
const COLUMNS: [&str; 34] = [
    "id",
    "parent_id",
    "at_ms",
    "object",
    "method",
    "path",
    "dialect_in",
    "dialect_out",
    "provider",
    "model_asked",
    "model",
    "key_name",
    "virtual_key_id",
    "team_id",
    "customer_id",
    "status",
    "http_status",
    "error_type",
    "attempts",
    "fallback_index",
    "first_byte_ms",
    "duration_ms",
    "request_bytes",
    "bytes",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "cost",
    "dropped",
];

/// The most rows of one page, and of one sweep.
const PAGE_MAX: u64 = 1000;
const SWEEP: u64 = 500;

/// A page of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its rows, each an object of JSON.
    pub rows: Statement,
    /// How many there are in all, one row.
    pub total: Statement,
    /// How many rows at most.
    pub limit: u64,
    /// How many before them.
    pub offset: u64,
}

/// Reads what page is asked for.
///
/// # Errors
/// What is wrong with the query.
pub fn page(query: &str) -> Result<Page, Invalid> {
    let (mut filter, mut limit, mut offset, mut sort, mut order) = (Filter::default(), 50, 0, "at_ms", "DESC");
    for (name, value) in pairs(query) {
        match name.as_str() {
            "limit" => limit = number("limit", &value, PAGE_MAX)?,
            "offset" => offset = number("offset", &value, 1 << 40)?,
            "sort" | "sort_by" => {
                sort = match value.as_str() {
                    "time" | "at_ms" | "timestamp" => "at_ms",
                    "latency" | "duration_ms" => "duration_ms",
                    "first_byte_ms" => "first_byte_ms",
                    "cost" => "cost",
                    "tokens" => "ifnull(input_tokens, 0) + ifnull(cache_read_tokens, 0) + ifnull(output_tokens, 0)",
                    _ => return Err(Invalid::new(name, "expected time, latency, first_byte_ms, cost or tokens")),
                }
            }
            "order" => {
                order = match value.to_ascii_lowercase().as_str() {
                    "asc" => "ASC",
                    "desc" => "DESC",
                    _ => return Err(Invalid::new(name, "expected asc or desc")),
                }
            }
            _ if filter.take(&name, &value)? => {}
            _ => return Err(unknown(&name)),
        }
    }
    let total = Statement { sql: format!("SELECT count(*) FROM logs{}", filter.clause()), params: filter.params.clone() };
    let (places, clause) = ([filter.bind(Param::Number(limit)), filter.bind(Param::Number(offset))], filter.clause());
    let [most, from] = places;
    let sql = format!("SELECT {} FROM logs{clause} ORDER BY {sort} {order}, id LIMIT {most} OFFSET {from}", object(&[]));
    Ok(Page { rows: Statement { sql, params: filter.params }, total, limit, offset })
}

/// One record with what was said.
pub fn one(id: &str) -> Statement {
    let more = [("request", "request"), ("reply", "reply")];
    let sql = format!("SELECT {} FROM logs LEFT JOIN log_contents USING (id) WHERE id = ?1", object(&more));
    Statement { sql, params: vec![Param::Text(id.to_owned())] }
}

/// A row as JSON; `more` are members besides. The cost is text until it is told in dollars.
fn object(more: &[(&str, &str)]) -> String {
    let told = |column: &'static str| match column {
        "dropped" => (column, "json(dropped)".to_owned()),
        "cost" => (column, "CAST(cost AS TEXT)".to_owned()),
        plain => (plain, plain.to_owned()),
    };
    let flag = |column: &'static str| (column, format!("json(iif({column}, 'true', 'false'))"));
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let members = COLUMNS.into_iter().map(told).chain([flag("stream"), flag("estimated")]).chain(more);
    // Last, since the text of a list does not end like that of an object.
    row(&members.chain([("labels", "json(labels)".to_owned())]).collect::<Vec<_>>())
}

/// An object of JSON. A function has 32 arguments at most on D1, so it is put together of several; none of their last values may
/// be an object.
pub(super) fn row(members: &[(&str, String)]) -> String {
    let parts = members.chunks(15).map(|chunk| {
        let pairs: Vec<String> = chunk.iter().map(|(name, value)| format!("'{name}', {value}")).collect();
        format!("json_object({})", pairs.join(", "))
    });
    let parts: Vec<String> = parts.collect();
    let last = parts.len().saturating_sub(1);
    let joined: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| {
            let opened = if i == 0 { part.clone() } else { format!("ltrim({part}, '{{')") };
            if i == last { opened } else { format!("rtrim({opened}, '}}')") }
        })
        .collect();
    joined.join(" || ',' || ")
}

/// The sums over records, and the spread of their times.
fn sums() -> Vec<(&'static str, String)> {
    // The time that a share of the requests took at most, by rank.
    let percentile = |share: u32| format!("max(iif(rank <= (n * {share} + 99) / 100, duration_ms, NULL))");
    let count = |status: &str| format!("ifnull(sum(status = '{status}'), 0)");
    let total = |columns: &str| format!("ifnull(sum({columns}), 0)");
    vec![
        ("requests", "count(*)".to_owned()),
        ("success", count("success")),
        ("error", count("error")),
        ("cancelled", count("cancelled")),
        ("input_tokens", total("input_tokens")),
        ("cache_read_tokens", total("cache_read_tokens")),
        ("cache_write_tokens", total("cache_write_5m_tokens + cache_write_1h_tokens")),
        ("output_tokens", total("output_tokens")),
        ("reasoning_tokens", total("reasoning_tokens")),
        ("cost", "CAST(ifnull(sum(cost), 0) AS TEXT)".to_owned()),
        ("unpriced", "ifnull(sum(cost IS NULL AND input_tokens IS NOT NULL), 0)".to_owned()),
        ("latency_avg_ms", "CAST(round(avg(duration_ms)) AS INTEGER)".to_owned()),
        ("latency_max_ms", "max(duration_ms)".to_owned()),
        ("latency_p50_ms", percentile(50)),
        ("latency_p90_ms", percentile(90)),
        ("latency_p95_ms", percentile(95)),
        ("latency_p99_ms", percentile(99)),
    ]
}

/// The sums over all that a filter chooses: one row.
///
/// # Errors
/// What is wrong with the query.
pub fn stats(query: &str) -> Result<Statement, Invalid> {
    let filter = filter(query)?;
    let ranked = format!("SELECT *, row_number() OVER (ORDER BY duration_ms) AS rank, count(*) OVER () AS n FROM logs{}", filter.clause());
    Ok(Statement { sql: format!("SELECT {} FROM ({ranked})", row(&sums())), params: filter.params })
}

/// The longest series of a histogram.
const BUCKETS_MAX: u64 = 2000;

/// The sums by time, and by one more thing: a row for each.
///
/// # Errors
/// What is wrong with the query.
pub fn histogram(query: &str, now_ms: u64) -> Result<Statement, Invalid> {
    let (mut filter, mut bucket, mut by) = (Filter::default(), 3_600_000, None);
    for (name, value) in pairs(query) {
        match name.as_str() {
            "bucket" => bucket = duration(&value).ok_or_else(|| Invalid::new("bucket", "expected a time such as 1m, 15m, 1h or 1d"))?,
            "by" => {
                by = match value.as_str() {
                    "model" => Some("model"),
                    "provider" => Some("provider"),
                    "key" | "key_name" => Some("key_name"),
                    "virtual_key" | "virtual_key_id" => Some("virtual_key_id"),
                    "object" => Some("object"),
                    "status" => Some("status"),
                    "team_id" => Some("team_id"),
                    "customer_id" => Some("customer_id"),
                    _ => return Err(Invalid::new("by", "expected model, provider, key, virtual_key, team_id, customer_id, object or status")),
                }
            }
            _ if filter.take(&name, &value)? => {}
            _ => return Err(unknown(&name)),
        }
    }
    let to = filter.to_ms.unwrap_or(now_ms);
    if filter.from_ms.is_none() {
        let day = 24 * 3_600_000;
        let from = to.saturating_sub(day.max(bucket));
        filter.from_ms = Some(from);
        filter.compared("at_ms >=", from);
    }
    let buckets = to.saturating_sub(filter.from_ms.unwrap_or(to)) / bucket;
    if buckets > BUCKETS_MAX {
        return Err(Invalid::new("bucket", format!("that would be {buckets} steps; {BUCKETS_MAX} are the most")));
    }
    let place = filter.bind(Param::Number(bucket));
    let start = format!("at_ms / CAST({place} AS INTEGER) * CAST({place} AS INTEGER)");
    let by = by.unwrap_or("NULL");
    let ranked = format!(
        "SELECT *, {start} AS start, {by} AS by_, row_number() OVER (PARTITION BY {start}, {by} ORDER BY duration_ms) AS rank,
            count(*) OVER (PARTITION BY {start}, {by}) AS n FROM logs{}",
        filter.clause()
    );
    let members: Vec<_> = [("start_ms", "start".to_owned()), ("by", "by_".to_owned())].into_iter().chain(sums()).collect();
    let sql = format!("SELECT {} FROM ({ranked}) GROUP BY start, by_ ORDER BY start, by_", row(&members));
    Ok(Statement { sql, params: filter.params })
}

/// `30s`, `5m`, `1h`, `1d`, in milliseconds.
fn duration(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let count: u64 = text.get(..text.len() - 1)?.parse().ok()?;
    (1..=10_000).contains(&count).then_some(count * unit)
}

/// Deletes some of what a filter chooses, with what was said in it; a row for each. Carried out until there is none.
pub fn delete(filter: &Filter) -> Statement {
    let sql = format!("DELETE FROM logs WHERE id IN (SELECT id FROM logs{} ORDER BY at_ms LIMIT {SWEEP}) RETURNING id", filter.clause());
    Statement { sql, params: filter.params.clone() }
}

/// The statements that insert these records, which are objects of JSON; those that are there already stay as they are.
pub fn insert(records: &str) -> [Statement; 2] {
    let columns: Vec<&str> = COLUMNS.iter().copied().chain(["stream", "estimated", "labels"]).collect();
    let values: Vec<String> = columns
        .iter()
        .map(|column| match *column {
            "labels" | "dropped" => format!("ifnull(json_extract(value, '$.{column}'), '[]')"),
            plain => format!("json_extract(value, '$.{plain}')"),
        })
        .collect();
    let rows = "FROM json_each(?1)";
    let records = || vec![Param::Text(records.to_owned())];
    [
        Statement {
            sql: format!("INSERT INTO logs ({}) SELECT {} {rows} WHERE true ON CONFLICT DO NOTHING", columns.join(", "), values.join(", ")),
            params: records(),
        },
        Statement {
            sql: format!(
                "INSERT INTO log_contents (id, request, reply) SELECT json_extract(value, '$.id'), json_extract(value, '$.request'), json_extract(value, '$.reply')
                    {rows} WHERE json_extract(value, '$.request') IS NOT NULL OR json_extract(value, '$.reply') IS NOT NULL ON CONFLICT DO NOTHING"
            ),
            params: records(),
        },
    ]
}

/// A row as it is told: the cost in dollars, labels as an object.
pub fn told(row: &str) -> Value {
    let mut row: Map<String, Value> = serde_json::from_str(row).unwrap_or_default();
    if let Some(cost) = row.shift_remove("cost") {
        let dollars = cost.as_str().and_then(|cost| cost.parse().ok()).map(|pico| crate::base::money::Money(pico).to_string());
        let number = dollars.and_then(|dollars| serde_json::from_str(&dollars).ok());
        row.insert("cost_usd".to_owned(), number.unwrap_or(Value::Null));
    }
    if let Some(Value::Array(pairs)) = row.get("labels") {
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.clone()));
        let labels: Map<String, Value> = pairs.iter().filter_map(pair).collect();
        row.insert("labels".to_owned(), Value::Object(labels));
    }
    Value::Object(row)
}

#[cfg(test)]
mod tests {
    use super::filter::FILTERS;
    use super::*;

    #[test]
    fn nothing_of_a_query_gets_into_the_text_of_a_statement() {
        let evil = "x') OR 1=1 --";
        let encoded = "x%27%29%20OR%201%3D1%20--";
        for name in FILTERS.iter().flat_map(|(names, _)| *names).chain(&["content_search"]) {
            if ["status", "http_status"].contains(name) {
                assert!(page(&format!("{name}={encoded}")).is_err());
                continue;
            }
            let page = page(&format!("{name}={encoded}")).unwrap();
            assert!(
                !page.rows.sql.contains("1=1") && page.rows.params.contains(&Param::Text(evil.to_lowercase()))
                    || page.rows.params.contains(&Param::Text(evil.to_owned()))
            );
        }
        for query in [
            "sort=id;drop",
            "order=x",
            "limit=-1",
            "limit=1001",
            "offset=x",
            "start_time=yesterday",
            "nothing=1",
            "stream=maybe",
            "1=1",
            "status=failed",
            "http_status=abc",
        ] {
            assert!(page(query).is_err(), "{query}");
        }
        for query in ["bucket=0h", "bucket=1", "by=id", "bucket=1s&start_time=0"] {
            assert!(histogram(query, 1_795_219_200_000).is_err(), "{query}");
        }
    }

    #[test]
    fn no_function_has_more_arguments_than_d1_allows() {
        for sql in [
            page("").unwrap().rows.sql,
            one("a").sql,
            stats("").unwrap().sql,
            histogram("", 0).unwrap().sql,
            crate::accounting::metrics::totals().sql,
        ] {
            for call in sql.split("json_object(").skip(1) {
                assert!(call.split(')').next().unwrap().matches("', ").count() <= 15, "{call}");
            }
        }
    }

    #[test]
    fn a_row_is_told_in_dollars() {
        let told = told(r#"{"id":"a","labels":[["team","x"]],"cost":"2500000"}"#);
        assert_eq!(told.to_string(), r#"{"id":"a","labels":{"team":"x"},"cost_usd":0.0000025}"#);
        assert_eq!(super::told(r#"{"cost":null}"#).to_string(), r#"{"cost_usd":null}"#);
    }
}
