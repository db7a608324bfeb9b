//! The grammar of a Responses stream, over every recorded stream of the other dialects: what the events tell one by one is
//! what the last one holds.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, clippy::string_slice, missing_docs, unreachable_pub)]

mod support;

use std::collections::BTreeMap;

use finops_gateway::base::sse;
use finops_gateway::dialects::{DecodeStream, anthropic, gemini, openai_chat, openai_responses};
use finops_gateway::ir::{Collector, Dialect, NameMap};
use finops_gateway::lanes::stream::Ending;
use serde_json::{Value, json};
use support::{STREAMED, context, exchanges, translate};

fn events(stream: &str) -> Vec<Value> {
    stream.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).expect("an event of JSON")).collect()
}

/// What a client holds that adds up the events, as OpenAI's SDKs do.
#[derive(Default)]
struct Client {
    items: BTreeMap<u64, Value>,
    done: BTreeMap<u64, Value>,
}

impl Client {
    fn take(&mut self, event: &Value) {
        let at = event["output_index"].as_u64().unwrap_or(u64::MAX);
        let item = self.items.get_mut(&at);
        let append = |slot: &mut Value| *slot = json!(slot.as_str().unwrap().to_owned() + event["delta"].as_str().unwrap());
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => assert!(self.items.insert(at, event["item"].clone()).is_none(), "added twice: {event}"),
            "response.output_item.done" => assert!(self.done.insert(at, event["item"].clone()).is_none(), "done twice: {event}"),
            "response.content_part.added" => {
                let parts = item.unwrap()["content"].as_array_mut().unwrap();
                assert_eq!(event["content_index"], parts.len());
                parts.push(event["part"].clone());
            }
            "response.output_text.delta" => append(&mut item.unwrap()["content"][event["content_index"].as_u64().unwrap() as usize]["text"]),
            "response.refusal.delta" => append(&mut item.unwrap()["content"][event["content_index"].as_u64().unwrap() as usize]["refusal"]),
            "response.output_text.done" => {
                assert_eq!(item.unwrap()["content"][event["content_index"].as_u64().unwrap() as usize]["text"], event["text"]);
            }
            "response.output_text.annotation.added" => {
                let part = &mut item.unwrap()["content"][event["content_index"].as_u64().unwrap() as usize];
                part["annotations"].as_array_mut().unwrap().push(event["annotation"].clone());
            }
            "response.reasoning_summary_part.added" => item.unwrap()["summary"].as_array_mut().unwrap().push(event["part"].clone()),
            "response.reasoning_summary_text.delta" => append(&mut item.unwrap()["summary"][0]["text"]),
            "response.function_call_arguments.delta" => append(&mut item.unwrap()["arguments"]),
            "response.function_call_arguments.done" => {
                let told = item.unwrap()["arguments"].as_str().unwrap().to_owned();
                assert_eq!(if told.is_empty() { "{}" } else { &told }, event["arguments"], "arguments");
            }
            _ => {}
        }
    }
}

#[test]
fn the_events_of_a_response_stream_add_up_to_its_last_one() {
    let mut streams = 0;
    for (file, from) in STREAMED.into_iter().filter(|(_, from)| *from != Dialect::OpenAiResponses) {
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.status == 200) {
            let Some(stream) = exchange.response.as_str() else { continue };
            let out = String::from_utf8(translate(from, Dialect::OpenAiResponses, [stream.as_bytes()], &Ending::Closed)).unwrap();
            let events = events(&out);
            let mut client = Client::default();
            for (n, event) in events.iter().enumerate() {
                assert_eq!(event["sequence_number"], n, "{file} {}: a gap", exchange.id);
                client.take(event);
            }
            let last = events.last().unwrap();
            if !["response.completed", "response.incomplete"].iter().any(|kind| last["type"] == *kind) {
                continue;
            }
            assert_eq!(events[0]["type"], "response.created");
            assert_eq!(events[0]["response"]["id"], last["response"]["id"]);
            assert!(last["response"]["usage"]["total_tokens"].is_u64());
            let output = last["response"]["output"].as_array().unwrap();
            assert_eq!(client.items.len(), output.len(), "{file} {}", exchange.id);
            for (at, item) in output.iter().enumerate() {
                assert_eq!(Some(item), client.done.get(&(at as u64)), "{file} {}: item {at} is told otherwise when done", exchange.id);
                let heard = &client.items[&(at as u64)];
                for member in ["id", "type", "content", "summary", "name", "call_id"] {
                    let without_logprobs = |value: &Value| {
                        let mut value = value.clone();
                        for part in value.as_array_mut().into_iter().flatten() {
                            part.as_object_mut().map(|part| part.shift_remove("logprobs"));
                        }
                        value
                    };
                    assert_eq!(without_logprobs(&heard[member]), without_logprobs(&item[member]), "{file} {}: {member} of {at}", exchange.id);
                }
            }
            streams += 1;
        }
    }
    println!("streams whose events add up: {streams}");
}

/// Arguments are told as the model wrote them, white space included, only in a stream.
fn without_spaces(output: &Value) -> Value {
    let mut output = output.clone();
    for item in output.as_array_mut().into_iter().flatten() {
        if let Some(arguments) = item["arguments"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            item["arguments"] = arguments;
        }
    }
    output
}

#[test]
fn a_response_says_the_same_streamed_and_whole() {
    let mut compared = 0;
    for (file, from) in STREAMED.into_iter().filter(|(_, from)| *from != Dialect::OpenAiResponses) {
        for exchange in exchanges(file).into_iter().filter(|exchange| exchange.status == 200) {
            let Some(stream) = exchange.response.as_str() else { continue };
            let mut decoder: Box<dyn DecodeStream> = match from {
                Dialect::Anthropic => Box::new(anthropic::Decoder::default()),
                Dialect::Gemini => Box::new(gemini::Decoder::default()),
                _ => Box::new(openai_chat::Decoder::default()),
            };
            let (mut collector, mut parser) = (Collector::default(), sse::Parser::default());
            parser.push(stream.as_bytes(), |event| decoder.event(event, &mut |event| collector.event(event)));
            parser.finish(|event| decoder.event(event, &mut |event| collector.event(event)));
            decoder.finish(&mut |event| collector.event(event));
            let Ok(reply) = collector.finish() else { continue };
            let (whole, _) = openai_responses::encode_reply(reply, &NameMap::default(), &context());
            let out = String::from_utf8(translate(from, Dialect::OpenAiResponses, [stream.as_bytes()], &Ending::Closed)).unwrap();
            let last = events(&out).pop().unwrap();
            for member in ["id", "status", "usage", "incomplete_details", "output"] {
                assert_eq!(without_spaces(&last["response"][member]), without_spaces(&whole[member]), "{file} {}: {member}", exchange.id);
            }
            compared += 1;
        }
    }
    println!("responses that say the same streamed and whole: {compared}");
}
