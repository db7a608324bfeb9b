//! Recorded traffic through both lanes: nothing panics, nothing is silently lost, streams end as they must.
//!
//! `REPLAY_DUMP=<folder>` writes what callers receive, for the SDKs' own types to judge (`tests/e2e/sdk_types.py`).

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, clippy::string_slice, missing_docs, unreachable_pub)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;

use finops_gateway::base::fields::Invalid;
use finops_gateway::base::scan::TopLevel;
use finops_gateway::dialects::{Unreadable, embeddings};
use finops_gateway::ir::{Dialect, EmbeddingDialect, NameMap, Refused};
use finops_gateway::lanes::stream::Ending;
use finops_gateway::lanes::{hub, identity};
use serde_json::Value;
use support::{PLAIN, STREAMED, callers, context, exchanges, terminals, translate};

/// Leaves whose value another dialect says in another word, by the end of their path without indices. The translations of
/// these are checked one by one in the dialects' golden files.
const OTHER_WORDS: [&str; 27] = [
    "role",
    "type",
    "model",
    "stream",
    "include_usage",
    "reasoning_effort",
    "effort",
    "budget_tokens",
    "tool_choice",
    "detail",
    "is_error",
    "format",
    "disable_parallel_tool_use",
    "parallel_tool_calls",
    "enabled",
    "logprobs",
    "media_type",
    "mode",
    "strict",
    "url",
    "image_url",
    "file_data",
    "arguments",
    "store",
    "filename",
    "tool_call_id",
    "index",
];

/// What says only what is so anyway.
const DEFAULTS: [(&str, &str); 12] = [
    ("n", "1"),
    ("top_logprobs", "0"),
    ("service_tier", "default"),
    ("service_tier", "auto"),
    ("moderation", "auto"),
    ("include[]", "reasoning.encrypted_content"),
    ("include_reasoning", "true"),
    ("truncation", "disabled"),
    ("text.verbosity", "medium"),
    ("stream_options.include_obfuscation", "false"),
    ("reasoning.summary", "auto"),
    // Named in other words: `logprobs: true`.
    ("include[]", "message.output_text.logprobs"),
];

/// OpenAI's own bookkeeping of the items that it gave out, which says nothing to another model, and what the gateway itself
/// looks up before it translates.
const BOOKKEEPING: [&str; 6] =
    ["input[].id", "input[].status", "input[].phase", "input[].caller.type", "previous_response_id", "reasoning.max_tokens"];

#[test]
fn every_leaf_of_a_recorded_request_is_in_the_output_or_in_the_losses() {
    let mut counts: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    let mut silent = Vec::new();
    for (file, from) in PLAIN.into_iter().chain(STREAMED) {
        // Nobody calls in Gemini's dialect yet.
        if from == Dialect::Gemini {
            continue;
        }
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.request.is_object()) {
            for to in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini].into_iter().filter(|to| *to != from) {
                let model = match to {
                    Dialect::Anthropic => "claude-sonnet-4-5",
                    Dialect::Gemini => "gemini-2.5-flash",
                    _ => "gpt-4o",
                };
                let count = counts.entry(format!("{from:?} → {to:?}")).or_default();
                count.0 += 1;
                let mut request = exchange.request.clone();
                // Claude on Vertex names its model in the address.
                request.as_object_mut().map(|body| body.entry("model").or_insert_with(|| "claude".into()));
                let translated = match hub::translate_request(from, to, request.clone(), model) {
                    Ok(translated) => translated,
                    Err(error) => {
                        count.1 += 1;
                        let (Unreadable::Invalid(Invalid { path, message }) | Unreadable::Refused(Refused { path, message })) = error;
                        *refusals.entry(format!("{from:?} → {to:?}: {}: {message}", without_indices(&path))).or_default() += 1;
                        continue;
                    }
                };
                count.2 += translated.losses.iter().count();
                let mut found = Found::default();
                found.collect(&Value::Object(translated.body));
                // The answer repeats it, which is all that it is for.
                translated.echo.get("metadata").iter().for_each(|metadata| found.collect(metadata));
                let losses: Vec<String> = translated.losses.iter().map(|loss| without_indices(&loss.path)).collect();
                let mut leaves = Vec::new();
                collect_leaves(&request, "", &mut leaves);
                let is_lost = |path: &str| {
                    losses.iter().any(|loss| path.strip_prefix(loss.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
                };
                let leaves: Vec<(String, String)> = leaves.into_iter().map(|(path, leaf)| (without_indices(&path), leaf)).collect();
                // Some clients say a thing twice; naming it once is enough.
                let lost: HashSet<&str> = leaves.iter().filter(|(path, _)| is_lost(path)).map(|(_, leaf)| leaf.as_str()).collect();
                for (path, leaf) in &leaves {
                    let other_words = path.rsplit(['.', ']']).next().is_some_and(|end| OTHER_WORDS.contains(&end));
                    let other_words = other_words || BOOKKEEPING.contains(&path.as_str());
                    let is_default = DEFAULTS.contains(&(path.as_str(), leaf.as_str()));
                    // Ids may hold characters that the target refuses; call and result keep the same one.
                    let as_id = || path.ends_with("id") && found.has(&leaf.replace(|c: char| !c.is_ascii_alphanumeric(), "_"));
                    if !other_words && !is_default && !lost.contains(leaf.as_str()) && !found.has(leaf) && !as_id() {
                        silent.push(format!("{} {from:?} → {to:?}: {path} = {}", exchange.id, leaf.chars().take(60).collect::<String>()));
                    }
                }
            }
        }
    }
    for (pair, (requests, refused, losses)) in &counts {
        println!("requests {pair}: {requests} translated or refused by name, {refused} refused, {losses} named losses");
    }
    refusals.iter().for_each(|(reason, count)| println!("refused {reason}: {count}"));
    assert!(silent.is_empty(), "{} silent losses:\n{}", silent.len(), silent.iter().take(40).cloned().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_identity_lane_changes_nothing_but_the_model() {
    for (file, from) in PLAIN.into_iter().chain(STREAMED).filter(|(_, from)| *from != Dialect::Gemini) {
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.request.get("model").is_some()) {
            let body = exchange.request.to_string();
            let top = TopLevel::scan(body.as_bytes()).unwrap();
            let mut changed = exchange.request.clone();
            changed["model"] = "other".into();
            identity::GATEWAY_FIELDS.iter().for_each(|key| drop(changed.as_object_mut().unwrap().shift_remove(*key)));
            let out = String::from_utf8(top.apply(&identity::patch(&top, "other"))).unwrap();
            assert_eq!(out, changed.to_string(), "{from:?} {}", exchange.id);
        }
    }
}

#[test]
fn every_recorded_reply_reaches_callers_of_the_other_dialects() {
    let mut dump = Dump::new();
    for (file, from) in PLAIN {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.status == 200 && exchange.response.is_object()) {
            for to in callers(from) {
                let body = exchange.response.to_string();
                if exchange.response.get("error").is_some_and(|error| !error.is_null()) {
                    // An error under status 200, which a proxy made of it; told as what it is.
                    assert!(hub::translate_reply(from, to, body.as_bytes(), &NameMap::default(), &context()).is_err());
                    continue;
                }
                let (reply, _) = hub::translate_reply(from, to, body.as_bytes(), &NameMap::default(), &context())
                    .unwrap_or_else(|error| panic!("{file} {} to {to:?}: {error:?}", exchange.id));
                *counts.entry(format!("{to:?} <- {file}")).or_default() += 1;
                dump.line(to, "reply", &reply);
            }
        }
        counts.iter().for_each(|(pair, count)| println!("replies {pair}: {count}"));
    }
}

#[test]
fn every_recorded_stream_ends_in_exactly_one_terminal_event() {
    let mut dump = Dump::new();
    for (file, from) in STREAMED {
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.status == 200) {
            let Some(stream) = exchange.response.as_str() else { continue };
            for to in callers(from) {
                let out = String::from_utf8(translate(from, to, [stream.as_bytes()], &Ending::Closed)).unwrap();
                let count = counts.entry(format!("{to:?} <- {file}")).or_default();
                let (clean, failed) = terminals(to, &out);
                assert_eq!(clean + failed, 1, "{file} {} to {to:?}:\n{out}", exchange.id);
                assert!(clean == 1 || stream.contains("\"error\""), "{file} {} to {to:?} failed though the provider did not:\n{out}", exchange.id);
                count.0 += 1;
                count.1 += failed;
                for event in out.lines().filter_map(|line| line.strip_prefix("data: {")) {
                    dump.line(to, "event", &serde_json::from_str(&format!("{{{event}")).unwrap());
                }
            }
        }
        counts
            .iter()
            .for_each(|(pair, (streams, failed))| println!("streams {pair}: {streams}, of them {failed} that the provider itself ended in an error"));
    }
}

#[test]
fn every_recorded_embeddings_request_reaches_google_in_its_order_or_is_refused_by_name() {
    let (mut reached, mut refused) = (0, 0);
    for file in
        ["openai.embeddings.json", "azure.embeddings.json", "openrouter.embeddings.json", "mistral.embeddings.json", "llamacpp.embeddings.json"]
    {
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.request.is_object()) {
            let (request, losses) = match embeddings::decode_request(exchange.request.clone()) {
                Ok(decoded) => decoded,
                Err(error) => {
                    println!("embeddings {} refused: {error:?}", exchange.id);
                    refused += 1;
                    continue;
                }
            };
            for dialect in [EmbeddingDialect::BatchEmbedContents, EmbeddingDialect::EmbedContent, EmbeddingDialect::Predict { at_once: 5 }] {
                let mut sent = Vec::new();
                let bodies = Value::Array(embeddings::encode_bodies(&request, dialect, "m"));
                collect_leaves(&bodies, "", &mut sent);
                let texts: Vec<&String> =
                    sent.iter().filter(|(path, _)| path.ends_with(".text") || path.ends_with(".content")).map(|(_, text)| text).collect();
                let mut asked = Vec::new();
                collect_leaves(&exchange.request["input"], "", &mut asked);
                assert_eq!(texts, asked.iter().map(|(_, text)| text).collect::<Vec<_>>(), "{file} {}", exchange.id);
                let mut said: Vec<&str> = exchange.request.as_object().unwrap().keys().map(String::as_str).collect();
                said.retain(|key| !["model", "input", "dimensions", "encoding_format"].contains(key) && !losses.iter().any(|loss| loss.path == *key));
                assert!(said.is_empty(), "{file} {}: {said:?} are lost in silence", exchange.id);
            }
            reached += 1;
        }
    }
    println!("embeddings requests: {reached} translated, {refused} refused by name");
}

#[derive(Default)]
struct Found {
    leaves: HashSet<String>,
    long: Vec<String>,
}

impl Found {
    fn collect(&mut self, value: &Value) {
        let mut leaves = Vec::new();
        collect_leaves(value, "", &mut leaves);
        for (_, leaf) in leaves {
            if leaf.len() > 3 {
                self.long.push(leaf.clone());
            }
            // Arguments and results travel as text in one dialect and as objects in another.
            if let Ok(inner) = serde_json::from_str::<Value>(&leaf)
                && inner.is_object()
            {
                self.collect(&inner);
            }
            self.leaves.insert(leaf);
        }
    }

    fn has(&self, leaf: &str) -> bool {
        let text = leaf.trim();
        text.is_empty() || self.leaves.contains(leaf) || self.long.iter().any(|long| long.contains(text)) || {
            serde_json::from_str::<Value>(leaf).is_ok_and(|inner| {
                let mut inner_leaves = Vec::new();
                collect_leaves(&inner, "", &mut inner_leaves);
                (inner.is_object() || inner.is_array()) && inner_leaves.iter().all(|(_, leaf)| self.has(leaf))
            })
        }
    }
}

fn collect_leaves(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect_leaves(value, &path, out);
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| collect_leaves(item, &format!("{path}[{i}]"), out)),
        Value::Null => {}
        Value::String(text) => out.push((path.to_owned(), text.clone())),
        other => out.push((path.to_owned(), other.to_string())),
    }
}

fn without_indices(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = (inside || c == '[') && c != ']';
        if !inside || c == '[' {
            out.push(c);
        }
    }
    out
}

struct Dump(Option<std::path::PathBuf>);

impl Dump {
    fn new() -> Self {
        Self(std::env::var_os("REPLAY_DUMP").map(Into::into))
    }

    fn line(&mut self, to: Dialect, kind: &str, value: &Value) {
        let Some(folder) = &self.0 else { return };
        let path = folder.join(format!("{to:?}.{kind}.jsonl"));
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{value}").unwrap();
    }
}
