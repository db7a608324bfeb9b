//! The sums over all records in Prometheus' text. <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::query::row;
use crate::base::money::Money;
use crate::base::sql::Statement;

/// The content type of it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The labels of every line.
const LABELS: [(&str, &str); 9] = [
    ("provider", "provider"),
    ("model", "model"),
    ("method", "object"),
    ("selected_key_name", "key_name"),
    ("virtual_key_id", "virtual_key_id"),
    ("team_id", "team_id"),
    ("customer_id", "customer_id"),
    ("fallback_index", "fallback_index"),
    ("stream", "stream"),
];

/// How long requests took: the columns and their bounds in seconds.
const DURATIONS: [(&str, &str); 7] =
    [("d100", "0.1"), ("d500", "0.5"), ("d1000", "1"), ("d5000", "5"), ("d10000", "10"), ("d30000", "30"), ("d60000", "60")];

/// How long streams took to begin.
const FIRST_BYTES: [(&str, &str); 7] =
    [("f100", "0.1"), ("f250", "0.25"), ("f500", "0.5"), ("f1000", "1"), ("f2500", "2.5"), ("f5000", "5"), ("f10000", "10")];

/// The most sets of labels.
const SETS_MAX: usize = 20_000;

/// The sums, a row of JSON for each set of labels.
pub fn totals() -> Statement {
    let names =
        ["object", "provider", "model", "key_name", "virtual_key_id", "team_id", "customer_id", "fallback_index", "stream", "status", "http_status"];
    let sums = [
        "requests",
        "upstream",
        "input_tokens",
        "output_tokens",
        "cache_hits",
        "unpriced",
        "bytes",
        "response_sizes",
        "request_bytes",
        "request_sizes",
        "duration_ms",
        "first_byte_ms",
        "token_ms",
        "token_count",
    ];
    let times = DURATIONS.iter().chain(&FIRST_BYTES).map(|(column, _)| *column);
    let plain = names.into_iter().chain(sums).chain(times).map(|column| (column, column.to_owned()));
    let columns: Vec<(&str, String)> = plain.chain([("cost", "CAST(cost AS TEXT)".to_owned())]).collect();
    let sql = format!("SELECT {} FROM log_totals ORDER BY requests DESC LIMIT {SETS_MAX}", row(&columns));
    Statement { sql, params: Vec::new() }
}

/// The text for the rows of [`totals`].
pub fn text(rows: &[String]) -> String {
    let rows: Vec<Map<String, Value>> = rows.iter().filter_map(|row| serde_json::from_str(row).ok()).collect();
    let mut out = String::new();
    if rows.len() == SETS_MAX {
        let _ = writeln!(out, "# There are more than {SETS_MAX} sets of labels; these have the most requests.");
    }
    let seconds = |row: &Map<String, Value>, column: &str| thousandth(number(row, column));
    let is = |row: &Map<String, Value>, status: &str| row.get("status").is_some_and(|found| found == status);
    let whole = |column: &'static str| move |row: &Map<String, Value>| Some(number(row, column).to_string());
    counter(&mut out, &rows, "finops_upstream_requests_total", "Attempts at providers, retries included.", &[], whole("upstream"));
    counter(&mut out, &rows, "finops_success_requests_total", "Requests answered whole.", &[], |row| {
        is(row, "success").then(|| number(row, "requests").to_string())
    });
    counter(&mut out, &rows, "finops_error_requests_total", "Requests that failed, by the status of the answer.", &["http_status"], |row| {
        is(row, "error").then(|| number(row, "requests").to_string())
    });
    counter(&mut out, &rows, "finops_cancelled_requests_total", "Requests whose caller left before the end.", &[], |row| {
        is(row, "cancelled").then(|| number(row, "requests").to_string())
    });
    counter(&mut out, &rows, "finops_input_tokens_total", "Tokens read, caches included.", &[], whole("input_tokens"));
    counter(&mut out, &rows, "finops_output_tokens_total", "Tokens written.", &[], whole("output_tokens"));
    counter(&mut out, &rows, "finops_cache_hits_total", "Requests for which a provider's prompt cache was read.", &[], whole("cache_hits"));
    counter(&mut out, &rows, "finops_cost_total", "USD, of the requests whose price is known.", &[], |row| {
        let pico = row.get("cost").and_then(Value::as_str).and_then(|cost| cost.parse().ok()).unwrap_or_default();
        Some(Money(pico).to_string())
    });
    counter(&mut out, &rows, "finops_unpriced_requests_total", "Requests with tokens whose price is not known.", &[], whole("unpriced"));
    histogram(&mut out, &rows, "finops_upstream_latency_seconds", "From the request to the end of the answer.", &DURATIONS, |row| {
        Some((seconds(row, "duration_ms"), number(row, "requests")))
    });
    histogram(&mut out, &rows, "finops_stream_first_token_latency_seconds", "From the request to the beginning of a stream.", &FIRST_BYTES, |row| {
        (number(row, "stream") == 1).then(|| (seconds(row, "first_byte_ms"), number(row, "requests")))
    });
    summary(&mut out, &rows, "finops_stream_inter_token_latency_seconds", "Between two tokens of a stream.", &[], |row| {
        (number(row, "stream") == 1).then(|| (seconds(row, "token_ms"), number(row, "token_count")))
    });
    counter(&mut out, &rows, "finops_http_requests_total", "Requests, by the status of the answer.", &["http_status"], whole("requests"));
    histogram(&mut out, &rows, "finops_http_request_duration_seconds", "From the request to the end of the answer.", &DURATIONS, |row| {
        Some((seconds(row, "duration_ms"), number(row, "requests")))
    });
    let size = |bytes: &'static str, count: &'static str| move |row: &Map<String, Value>| Some((number(row, bytes).to_string(), number(row, count)));
    let status = &["http_status"];
    let [requests, responses] = ["finops_http_request_size_bytes", "finops_http_response_size_bytes"];
    summary(&mut out, &rows, requests, "Of the requests whose size is known.", status, size("request_bytes", "request_sizes"));
    summary(&mut out, &rows, responses, "Of the answers whose size is known.", status, size("bytes", "response_sizes"));
    out
}

fn number(row: &Map<String, Value>, column: &str) -> u64 {
    row.get(column).and_then(Value::as_u64).unwrap_or_default()
}

fn thousandth(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn labels(row: &Map<String, Value>, more: &[&str]) -> String {
    let mut out = String::new();
    let columns = LABELS.iter().copied().chain(more.iter().map(|column| (if *column == "http_status" { "status" } else { column }, *column)));
    for (label, column) in columns {
        let value = match row.get(column) {
            Some(Value::String(text)) => text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let comma = if out.is_empty() { "" } else { "," };
        let _ = write!(out, "{comma}{label}=\"{value}\"");
    }
    out
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Sums by labels; rows that differ only in what is no label here are one line.
fn grouped<T>(rows: &[Map<String, Value>], more: &[&str], value: impl Fn(&Map<String, Value>) -> Option<T>) -> Vec<(String, Vec<T>)> {
    let mut groups: Vec<(String, Vec<T>)> = Vec::new();
    let mut at = std::collections::HashMap::new();
    for row in rows {
        let Some(value) = value(row) else { continue };
        let labels = labels(row, more);
        let i = *at.entry(labels.clone()).or_insert_with(|| {
            groups.push((labels, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, values)) = groups.get_mut(i) {
            values.push(value);
        }
    }
    groups
}

/// Decimal numbers of at most twelve places, added without a float.
fn sum<'a>(values: impl Iterator<Item = &'a str>) -> String {
    const ONE: u128 = 1_000_000_000_000;
    let scaled = |value: &str| {
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        let fraction: u128 = format!("{fraction:0<12}").parse().unwrap_or_default();
        whole.parse::<u128>().unwrap_or_default().saturating_mul(ONE).saturating_add(fraction)
    };
    let total = values.map(scaled).fold(0, u128::saturating_add);
    let fraction = format!("{:012}", total % ONE);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { (total / ONE).to_string() } else { format!("{}.{fraction}", total / ONE) }
}

fn counter(
    out: &mut String,
    rows: &[Map<String, Value>],
    name: &str,
    help: &str,
    more: &[&str],
    value: impl Fn(&Map<String, Value>) -> Option<String>,
) {
    head(out, name, help, "counter");
    for (labels, values) in grouped(rows, more, value) {
        let _ = writeln!(out, "{name}{{{labels}}} {}", sum(values.iter().map(String::as_str)));
    }
}

fn summary(
    out: &mut String,
    rows: &[Map<String, Value>],
    name: &str,
    help: &str,
    more: &[&str],
    value: impl Fn(&Map<String, Value>) -> Option<(String, u64)>,
) {
    head(out, name, help, "summary");
    for (labels, values) in grouped(rows, more, value) {
        sum_and_count(out, name, &labels, &values);
    }
}

fn sum_and_count(out: &mut String, name: &str, labels: &str, values: &[(String, u64)]) {
    let count: u64 = values.iter().map(|(_, count)| count).sum();
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}", sum(values.iter().map(|(sum, _)| sum.as_str())));
}

fn histogram(
    out: &mut String,
    rows: &[Map<String, Value>],
    name: &str,
    help: &str,
    bounds: &[(&str, &str)],
    value: impl Fn(&Map<String, Value>) -> Option<(String, u64)>,
) {
    head(out, name, help, "histogram");
    let groups =
        grouped(rows, &[], |row| value(row).map(|value| (value, bounds.iter().map(|(column, _)| number(row, column)).collect::<Vec<u64>>())));
    for (labels, values) in groups {
        for (i, (_, bound)) in bounds.iter().enumerate() {
            let count: u64 = values.iter().filter_map(|(_, counts)| counts.get(i)).sum();
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
        }
        let (sums, _): (Vec<(String, u64)>, Vec<Vec<u64>>) = values.into_iter().unzip();
        let count: u64 = sums.iter().map(|(_, count)| count).sum();
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        sum_and_count(out, name, &labels, &sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_in_no_label_are_one_line_and_sums_are_exact() {
        let row = |status: &str, http: u64, cost: &str| {
            format!(
                r#"{{"object":"chat","provider":"openai","model":"a\"b","key_name":"main","virtual_key_id":"","team_id":"","customer_id":"","fallback_index":0,"stream":1,"status":"{status}","http_status":{http},"requests":2,"upstream":3,"input_tokens":10,"output_tokens":5,"cache_hits":1,"unpriced":0,"bytes":7,"response_sizes":2,"request_bytes":300,"request_sizes":2,"duration_ms":1500,"first_byte_ms":90,"token_ms":1000,"token_count":5,"d100":0,"d500":0,"d1000":2,"d5000":2,"d10000":2,"d30000":2,"d60000":2,"f100":2,"f250":2,"f500":2,"f1000":2,"f2500":2,"f5000":2,"f10000":2,"cost":"{cost}"}}"#
            )
        };
        let text = text(&[row("success", 200, "100000000000"), row("error", 503, "200000000000")]);
        let labels = r#"provider="openai",model="a\"b",method="chat",selected_key_name="main",virtual_key_id="",team_id="",customer_id="",fallback_index="0",stream="1""#;
        for line in [
            format!("finops_upstream_requests_total{{{labels}}} 6"),
            format!("finops_cost_total{{{labels}}} 0.3"),
            format!("finops_error_requests_total{{{labels},status=\"503\"}} 2"),
            format!("finops_upstream_latency_seconds_bucket{{{labels},le=\"1\"}} 4"),
            format!("finops_upstream_latency_seconds_bucket{{{labels},le=\"+Inf\"}} 4"),
            format!("finops_upstream_latency_seconds_sum{{{labels}}} 3"),
            format!("finops_stream_inter_token_latency_seconds_count{{{labels}}} 10"),
            format!("finops_http_request_size_bytes_sum{{{labels},status=\"200\"}} 300"),
            format!("finops_http_response_size_bytes_count{{{labels},status=\"503\"}} 2"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
    }
}
