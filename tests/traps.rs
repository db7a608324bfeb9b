//! Places where gateways get translation and streaming wrong, each with the right output. What is about whole requests is in
//! the golden files, about framing in `base/sse.rs`, about errors and connections in `tests/e2e`.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod support;

use finops_gateway::dialects::Unreadable;
use finops_gateway::ir::{Dialect, NameMap};
use finops_gateway::lanes::hub::{self, HubRequest};
use finops_gateway::lanes::stream::Ending;
use serde_json::{Value, json};
use support::{context, translate};

const CHAT: Dialect = Dialect::OpenAiChat;
const MESSAGES: Dialect = Dialect::Anthropic;
const GEMINI: Dialect = Dialect::Gemini;

/// The events that a caller receives for these chunks.
fn stream(from: Dialect, to: Dialect, chunks: &[Value]) -> Vec<Value> {
    let mut text: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    if from == CHAT {
        text.push_str("data: [DONE]\n\n");
    }
    let out = String::from_utf8(translate(from, to, [text.as_bytes()], &Ending::Closed)).unwrap();
    out.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]})
}

fn parts(parts: Value, finish: Option<&str>) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}],
        "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 3}})
}

fn reply(from: Dialect, to: Dialect, body: Value) -> Value {
    hub::translate_reply(from, to, body.to_string().as_bytes(), &NameMap::default(), &context()).unwrap().0
}

fn message(content: Value, stop: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 20}})
}

fn request(from: Dialect, to: Dialect, model: &str, body: Value) -> HubRequest {
    hub::translate_request(from, to, body, model).unwrap()
}

/// The blocks that a stream of message events builds, checked for their grammar on the way.
fn blocks(events: &[Value]) -> Vec<Value> {
    let (mut blocks, mut open): (Vec<Value>, Option<u64>) = (Vec::new(), None);
    for event in events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, event["index"].as_u64()), (None, Some(blocks.len() as u64)), "one block at a time, in order");
                open = event["index"].as_u64();
                blocks.push(event["content_block"].clone());
                blocks.last_mut().unwrap()["json"] = "".into();
            }
            "content_block_delta" => {
                assert_eq!(open, event["index"].as_u64(), "a delta of the open block");
                let (delta, block) = (&event["delta"], blocks.last_mut().unwrap());
                let (kind, key, from) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", "text", "text"),
                    "thinking_delta" => ("thinking", "thinking", "thinking"),
                    "signature_delta" => ("thinking", "signature", "signature"),
                    _ => ("tool_use", "json", "partial_json"),
                };
                assert_eq!(block["type"], kind, "{event}");
                block[key] = format!("{}{}", block[key].as_str().unwrap(), delta[from].as_str().unwrap()).into();
            }
            "content_block_stop" => assert_eq!(open.take(), event["index"].as_u64()),
            "message_delta" => assert_eq!(open, None),
            _ => {}
        }
    }
    blocks
}

#[test]
fn trap_1_parallel_calls_count_tools_and_not_blocks() {
    let events = stream(
        MESSAGES,
        CHAT,
        &[
            json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "a", "name": "x", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "b", "name": "y", "input": {}}}),
            json!({"type": "content_block_stop", "index": 2}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ],
    );
    let calls: Vec<&Value> = events.iter().filter_map(|event| event.pointer("/choices/0/delta/tool_calls/0")).collect();
    assert_eq!(calls.iter().map(|call| call["index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!(calls[3]["function"]["arguments"], "{}", "no arguments are an empty object, not an empty text");
    assert_eq!((&calls[0]["id"], &calls[1].get("id"), &calls[2]["function"]["name"]), (&json!("a"), &None, &json!("y")));
}

#[test]
fn trap_2_interleaved_calls_become_blocks_one_after_the_other() {
    let events = stream(
        CHAT,
        MESSAGES,
        &[
            chunk(call(0, Some("a"), Some("x"), "{\"k\""), None),
            chunk(call(1, Some("b"), Some("y"), "{\"l\":"), None),
            chunk(call(0, None, None, ":1}"), None),
            chunk(call(1, None, None, "2}"), None),
            chunk(json!({}), Some("tool_calls")),
        ],
    );
    let blocks = blocks(&events);
    assert_eq!(
        blocks.iter().map(|block| (block["id"].as_str().unwrap(), block["json"].as_str().unwrap())).collect::<Vec<_>>(),
        [("a", "{\"k\":1}"), ("b", "{\"l\":2}")]
    );
}

#[test]
fn traps_3_and_4_everything_in_one_chunk_comes_out_whole() {
    let all = json!({"reasoning_content": "hm", "content": "hi", "tool_calls": [{"index": 0, "id": "a", "function": {"name": "x", "arguments": "{\"k\":1}"}}]});
    let events = stream(CHAT, MESSAGES, &[chunk(all, Some("tool_calls"))]);
    let blocks = blocks(&events);
    assert_eq!(blocks.iter().map(|block| block["type"].as_str().unwrap()).collect::<Vec<_>>(), ["thinking", "text", "tool_use"]);
    assert_eq!((&blocks[0]["thinking"], &blocks[1]["text"], &blocks[2]["json"]), (&json!("hm"), &json!("hi"), &json!("{\"k\":1}")));
    assert_eq!(events.iter().find(|event| event["type"] == "message_delta").unwrap()["delta"]["stop_reason"], "tool_use");
}

#[test]
fn trap_5_usage_after_the_finish_and_usage_before_the_text_both_count() {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20}}});
    for chunks in [[chunk(json!({"content": "hi"}), Some("stop")), usage.clone()], [usage, chunk(json!({"content": "hi"}), Some("stop"))]] {
        let events = stream(CHAT, MESSAGES, &chunks);
        assert_eq!(blocks(&events)[0]["text"], "hi");
        let usage = &events.iter().find(|event| event["type"] == "message_delta").unwrap()["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["cache_read_input_tokens"], &usage["cache_creation_input_tokens"]),
            (&json!(70), &json!(30), &json!(20))
        );
    }
}

#[test]
fn trap_7_anthropics_numbers_are_cumulative_and_caches_are_part_of_the_prompt() {
    let usage = &reply(MESSAGES, CHAT, message(json!([]), "end_turn"))["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]), (&json!(115), &json!(20), &json!(135)));
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 100);
    let start = json!({"type": "message_start", "message": {"usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1}}});
    let delta = |tokens| json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": tokens}});
    let events = stream(MESSAGES, CHAT, &[start, delta(5), delta(9), json!({"type": "message_stop"})]);
    let usage = &events.last().unwrap()["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(110), &json!(9)));
}

#[test]
fn traps_8_9_and_10_geminis_finish_end_and_usage() {
    let called = [parts(json!([{"functionCall": {"name": "x", "args": {"k": 1}}}]), None), parts(json!([]), Some("STOP"))];
    let chat = stream(GEMINI, CHAT, &called);
    assert!(chat.iter().any(|event| event.pointer("/choices/0/finish_reason") == Some(&json!("tool_calls"))));
    let usage = &chat.last().unwrap()["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["completion_tokens_details"]["reasoning_tokens"]),
        (&json!(20), &json!(10), &json!(3))
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 5);
    let messages = stream(GEMINI, MESSAGES, &called);
    assert_eq!(messages.iter().find(|event| event["type"] == "message_delta").unwrap()["delta"]["stop_reason"], "tool_use");
    assert_eq!(messages.last().unwrap()["type"], "message_stop");
}

#[test]
fn trap_11_a_thought_signature_comes_back_with_its_call_through_either_dialect() {
    let body =
        parts(json!([{"text": "why", "thought": true}, {"functionCall": {"name": "x", "args": {}}, "thoughtSignature": "S/+="}]), Some("STOP"));
    let sent_back = |dialect: Dialect, assistant: Value, result: Value| {
        let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}, assistant, result]});
        let contents = request(dialect, GEMINI, "gemini-3-pro-preview", body).body["contents"].clone();
        contents[1]["parts"].as_array().unwrap().iter().find(|part| part.get("functionCall").is_some()).unwrap()["thoughtSignature"].clone()
    };
    let chat = reply(GEMINI, CHAT, body.clone())["choices"][0]["message"].clone();
    let id = chat["tool_calls"][0]["id"].clone();
    assert_eq!(sent_back(CHAT, chat, json!({"role": "tool", "tool_call_id": id, "content": "1"})), "S/+=");
    let messages = reply(GEMINI, MESSAGES, body)["content"].clone();
    let id = messages.as_array().unwrap().last().unwrap()["id"].clone();
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "1"}]});
    assert_eq!(sent_back(MESSAGES, json!({"role": "assistant", "content": messages}), result), "S/+=");
}

#[test]
fn trap_12_a_result_without_its_call_is_a_clear_400() {
    let body = json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "nowhere", "content": "1"}]});
    let Err(Unreadable::Refused(refused)) = hub::translate_request(CHAT, GEMINI, body, "gemini-2.5-flash") else { panic!("went through") };
    assert!(refused.message.contains("nowhere"), "{refused:?}");
}

#[test]
fn trap_14_thinking_goes_back_to_its_signer_byte_for_byte_even_when_empty_or_redacted() {
    let content = json!([
        {"type": "thinking", "thinking": "", "signature": "Eq+/="}, {"type": "redacted_thinking", "data": "R3d"},
        {"type": "thinking", "thinking": "Then.", "signature": "Zz"}, {"type": "tool_use", "id": "toolu_1", "name": "x", "input": {}},
    ]);
    let assistant = reply(MESSAGES, CHAT, message(content.clone(), "tool_use"))["choices"][0]["message"].clone();
    assert_eq!(assistant["reasoning_content"], "Then.");
    let tools = json!([{"type": "function", "function": {"name": "x"}}]);
    let body = json!({"model": "m", "reasoning_effort": "low", "tools": tools, "messages": [{"role": "user", "content": "hi"}, assistant, {"role": "tool", "tool_call_id": "toolu_1", "content": "1"}]});
    let sent = request(CHAT, MESSAGES, "claude-sonnet-4-5", body).body;
    assert_eq!(sent["messages"][1]["content"], content);
    assert_eq!(sent["thinking"], json!({"type": "enabled", "budget_tokens": 1024}));
    // Without the thinking of the open tool loop the API would refuse to go on thinking.
    let body = json!({"model": "m", "reasoning_effort": "low", "tools": tools, "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "x", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "a", "content": "1"}]});
    let sent = request(CHAT, MESSAGES, "claude-sonnet-4-5", body);
    assert_eq!(sent.body.get("thinking"), None);
    assert!(sent.losses.iter().any(|loss| loss.path == "reasoning_effort"));
}

#[test]
fn trap_15_an_effort_becomes_a_budget_that_fits_and_takes_what_excludes_it_along() {
    let ask = |model: &str, more: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.2, "top_k": 5});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request(CHAT, MESSAGES, model, body)
    };
    let fits = ask("claude-sonnet-4-5", json!({"reasoning_effort": "medium", "max_tokens": 4096}));
    assert_eq!(fits.body["thinking"]["budget_tokens"], 4095);
    assert!(fits.body.get("temperature").is_none() && fits.body.get("top_k").is_none());
    let no_room = ask("claude-sonnet-4-5", json!({"reasoning_effort": "high", "max_tokens": 1000}));
    assert!(no_room.body.get("thinking").is_none() && no_room.losses.iter().any(|loss| loss.path == "reasoning_effort"));
    let adaptive = ask("claude-opus-4-6", json!({"reasoning_effort": "high"}));
    assert_eq!((&adaptive.body["thinking"]["type"], &adaptive.body["output_config"]["effort"]), (&json!("adaptive"), &json!("high")));
    let forced = ask(
        "claude-sonnet-4-5",
        json!({"reasoning_effort": "high", "tools": [{"type": "function", "function": {"name": "x"}}], "tool_choice": "required"}),
    );
    assert_eq!((forced.body.get("thinking"), &forced.body["tool_choice"]["type"]), (None, &json!("any")));
    let gemini = |model: &str| {
        request(CHAT, GEMINI, model, json!({"model": "m", "reasoning_effort": "high", "messages": [{"role": "user", "content": "hi"}]})).body["generationConfig"]["thinkingConfig"].clone()
    };
    assert_eq!(gemini("gemini-2.5-flash"), json!({"includeThoughts": true, "thinkingBudget": 16384}));
    assert_eq!(gemini("gemini-3-pro-preview"), json!({"includeThoughts": true, "thinkingLevel": "high"}));
}

#[test]
fn trap_16_messages_always_has_a_limit_and_it_is_the_models_own() {
    for (model, expected) in [("claude-3-haiku-20240307", 4096), ("claude-sonnet-4-5", 64_000), ("claude-opus-5-5", 128_000)] {
        let sent = request(CHAT, MESSAGES, model, json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}));
        assert_eq!(sent.body["max_tokens"], expected, "{model}");
    }
}

#[test]
fn traps_17_and_18_every_stop_has_its_word() {
    for (stop, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ] {
        let choice = reply(MESSAGES, CHAT, message(json!([{"type": "text", "text": "x"}]), stop))["choices"][0].clone();
        assert_eq!((&choice["finish_reason"], &choice["native_finish_reason"]), (&json!(expected), &json!(stop)));
    }
    for (stop, chat, messages) in [
        ("STOP", "stop", "end_turn"),
        ("MAX_TOKENS", "length", "max_tokens"),
        ("SAFETY", "content_filter", "refusal"),
        ("RECITATION", "content_filter", "refusal"),
        ("MALFORMED_FUNCTION_CALL", "content_filter", "refusal"),
    ] {
        let body = parts(json!([{"text": "x"}]), Some(stop));
        assert_eq!(reply(GEMINI, CHAT, body.clone())["choices"][0]["finish_reason"], chat);
        assert_eq!(reply(GEMINI, MESSAGES, body)["stop_reason"], messages);
    }
    let with_calls = json!({"choices": [{"message": {"content": null, "tool_calls": [{"id": "a", "function": {"name": "x", "arguments": "{}"}}]}, "finish_reason": "stop"}]});
    assert_eq!(reply(CHAT, MESSAGES, with_calls)["stop_reason"], "tool_use");
}

#[test]
fn trap_19_a_blocked_prompt_and_a_candidate_without_content_are_answers() {
    let blocked = reply(GEMINI, CHAT, json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}));
    assert_eq!((&blocked["choices"][0]["finish_reason"], &blocked["choices"][0]["message"]["content"]), (&json!("content_filter"), &Value::Null));
    let empty = reply(GEMINI, MESSAGES, json!({"candidates": [{"finishReason": "MAX_TOKENS"}]}));
    assert_eq!((&empty["stop_reason"], &empty["content"]), (&json!("max_tokens"), &json!([])));
}

#[test]
fn traps_20_and_21_empty_texts_go_and_turns_of_one_speaker_join() {
    let sent = request(
        CHAT,
        MESSAGES,
        "claude-sonnet-4-5",
        json!({"model": "m", "messages": [
            {"role": "user", "content": [{"type": "text", "text": " "}, {"type": "text", "text": "hi"}]}, {"role": "user", "content": ""},
            {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b \n"},
        ]}),
    );
    assert_eq!(
        sent.body["messages"],
        json!([{"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])
    );
}

#[test]
fn trap_22_twenty_thousand_system_turns_take_no_longer_than_they_must() {
    let mut messages: Vec<Value> = (0..20_000).map(|i| json!({"role": "system", "content": i.to_string()})).collect();
    messages.push(json!({"role": "user", "content": "hi"}));
    let sent = request(CHAT, MESSAGES, "claude-sonnet-4-5", json!({"model": "m", "messages": messages}));
    assert_eq!(sent.body["system"].as_array().unwrap().len(), 20_000);
}

#[test]
fn trap_23_a_data_url_that_is_no_base64_is_an_error_and_no_panic() {
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/svg+xml;charset=utf-8,<svg/>"}}]);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": image}]});
    assert!(matches!(hub::translate_request(CHAT, MESSAGES, body, "claude"), Err(Unreadable::Invalid(error)) if error.path.contains("image_url")));
}

#[test]
fn trap_25_the_fifth_breakpoint_is_named_and_foreign_upstreams_get_none() {
    let text = |i: usize| json!({"type": "text", "text": i.to_string(), "cache_control": {"type": "ephemeral", "ttl": "1h"}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": (0..5).map(text).collect::<Vec<_>>()}]});
    let sent = request(CHAT, MESSAGES, "claude-sonnet-4-5", body.clone());
    assert_eq!(sent.body["messages"].to_string().matches("\"ttl\":\"1h\"").count(), 4);
    assert_eq!(sent.losses.iter().map(|loss| loss.path.as_str()).collect::<Vec<_>>(), ["messages[0].content[4].cache_control"]);
    assert!(!Value::Object(request(CHAT, GEMINI, "gemini-2.5-flash", body).body).to_string().contains("cache_control"));
}

#[test]
fn trap_26_a_history_of_calls_gets_definitions_and_allowed_tools_are_the_only_ones_offered() {
    let sent = request(
        CHAT,
        MESSAGES,
        "claude-sonnet-4-5",
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "x", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "a", "content": "1"}]}),
    );
    assert_eq!((&sent.body["tools"][0]["name"], &sent.body["tool_choice"]), (&json!("x"), &json!({"type": "none"})));
    let tools = json!([{"type": "function", "function": {"name": "x"}}, {"type": "function", "function": {"name": "y"}}]);
    let choice = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "y"}}]}});
    let sent = request(
        CHAT,
        MESSAGES,
        "claude-sonnet-4-5",
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools, "tool_choice": choice}),
    );
    assert_eq!(
        (sent.body["tools"].as_array().unwrap().len(), &sent.body["tools"][0]["name"], &sent.body["tool_choice"]["type"]),
        (1, &json!("y"), &json!("any"))
    );
}

#[test]
fn trap_27_broken_arguments_are_kept_and_never_a_failure() {
    let broken = json!({"choices": [{"message": {"tool_calls": [{"id": "a", "function": {"name": "x", "arguments": "{\"k\": \"v"}}]}, "finish_reason": "length"}]});
    let message = reply(CHAT, MESSAGES, broken);
    assert_eq!((&message["content"][0]["input"], &message["stop_reason"]), (&json!({"_raw": "{\"k\": \"v"}), &json!("max_tokens")));
    let events = stream(CHAT, MESSAGES, &[chunk(call(0, Some("a"), Some("x"), "{\"k\": \"v"), None), chunk(json!({}), Some("length"))]);
    assert_eq!(blocks(&events)[0]["json"], "{\"k\": \"v");
    let numbers = message_with_input("{\"big\":12345678901234567890123,\"z\":1.50,\"a\":1}");
    assert_eq!(
        reply(MESSAGES, CHAT, numbers)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        "{\"big\":12345678901234567890123,\"z\":1.50,\"a\":1}"
    );
}

fn message_with_input(input: &str) -> Value {
    let input: Value = serde_json::from_str(input).unwrap();
    message(json!([{"type": "tool_use", "id": "a", "name": "x", "input": input}]), "tool_use")
}

#[test]
fn trap_29_azures_chunks_without_choices_or_delta_open_no_block() {
    let events = stream(
        CHAT,
        MESSAGES,
        &[
            json!({"choices": [], "prompt_filter_results": [{}]}),
            json!({"choices": [{"index": 0, "content_filter_offsets": {}, "finish_reason": null}]}),
            chunk(json!({"role": "assistant", "content": ""}), None),
            chunk(json!({"content": "hi"}), Some("stop")),
        ],
    );
    assert_eq!(blocks(&events).len(), 1);
}

#[test]
fn trap_30_a_stream_has_one_identity_and_begins_with_a_role() {
    let events = stream(GEMINI, CHAT, &[parts(json!([{"text": "a"}]), None), parts(json!([{"text": "b"}]), Some("STOP"))]);
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    for key in ["id", "created", "model", "object"] {
        assert!(events.iter().all(|event| event[key] == events[0][key] && !event[key].is_null()), "{key}");
    }
    let start = &stream(CHAT, MESSAGES, &[chunk(json!({"content": "x"}), Some("stop"))])[0];
    assert!(start["message"]["id"].as_str().unwrap().starts_with("msg_"));
    assert_eq!(start["message"]["model"], "asked/model");
}

#[test]
fn several_candidates_stay_apart_in_a_stream() {
    let candidate = |index: u32, text: &str, finish: Value| json!({"candidates": [{"index": index, "content": {"parts": [{"text": text}]}, "finishReason": finish}]});
    let events = stream(GEMINI, CHAT, &[candidate(0, "a", Value::Null), candidate(1, "b", json!("STOP")), candidate(0, "c", json!("MAX_TOKENS"))]);
    let said = |index: u64| {
        let mine = events.iter().filter_map(|event| event["choices"].get(0)).filter(move |choice| choice["index"] == index);
        let text: String = mine.clone().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        let finish: Vec<&str> = mine.filter_map(|choice| choice["finish_reason"].as_str()).collect();
        (text, finish)
    };
    assert_eq!((said(0), said(1)), (("ac".to_owned(), vec!["length"]), ("b".to_owned(), vec!["stop"])));
}

#[test]
fn instructions_between_results_wait_until_all_results_are_told() {
    let call = |id: &str| json!({"id": id, "function": {"name": "x", "arguments": "{}"}});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call("a"), call("b")]},
        result("a"), {"role": "system", "content": "s"}, result("b")]});
    let sent = request(CHAT, MESSAGES, "claude-sonnet-4-5", body.clone()).body;
    let roles: Vec<&str> = sent["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "system"]);
    let sent = request(CHAT, GEMINI, "gemini-2.5-flash", body).body;
    assert!(sent["contents"][2]["parts"][1].get("functionResponse").is_some() && sent["contents"][2]["parts"][2].get("text").is_some());
}

#[test]
fn an_answer_without_choices_is_no_answer() {
    let none = |from: Dialect, body: Value| hub::translate_reply(from, CHAT, body.to_string().as_bytes(), &NameMap::default(), &context()).is_err();
    assert!(none(GEMINI, json!({"usageMetadata": {"promptTokenCount": 1}})) && none(CHAT, json!({"choices": []})));
    let out = translate(CHAT, MESSAGES, [&b"data: [DONE]\n\n"[..]], &Ending::Closed);
    assert!(String::from_utf8(out).unwrap().starts_with("event: error"));
}

#[test]
fn a_chunk_with_a_delta_and_a_message_is_read_once() {
    let both =
        json!({"choices": [{"index": 0, "delta": {"content": "a"}, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]});
    assert_eq!(blocks(&stream(CHAT, MESSAGES, &[both]))[0]["text"], "a");
}

#[test]
fn members_of_an_unexpected_type_do_not_end_a_stream() {
    let odd = json!({"id": 5, "model": null, "choices": [{"index": 0, "finish_reason": null,
        "delta": {"content": "a", "reasoning": {}, "annotations": "x", "refusal": [], "reasoning_details": {"a": 1}}}]});
    let events = stream(CHAT, MESSAGES, &[odd, chunk(json!({"content": "b"}), Some("stop"))]);
    assert_eq!(blocks(&events)[0]["text"], "ab");
}

#[test]
fn what_a_documents_content_holds_besides_text_is_named() {
    let body = json!({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "content",
        "content": [{"type": "text", "text": "a"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}]}}]}]});
    let translated = request(MESSAGES, CHAT, "gpt-4o", body);
    let paths: Vec<&str> = translated.losses.iter().map(|loss| loss.path.as_str()).collect();
    assert_eq!(paths, ["messages[0].content[0].source.content[1]"]);
}
