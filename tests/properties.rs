//! Properties of the state machines: where the bytes are cut changes nothing, and no bytes whatever make them panic.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, clippy::string_slice, missing_docs, unreachable_pub)]

mod support;

use finops_gateway::base::scan::{Patch, TopLevel};
use finops_gateway::ir::{Dialect, NameMap};
use finops_gateway::lanes::hub;
use finops_gateway::lanes::stream::Ending;
use proptest::prelude::*;
use support::{STREAMED, callers, context, exchanges, terminals, translate};

const DIALECTS: [Dialect; 4] = [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Gemini];

#[test]
fn any_cut_of_a_recorded_stream_gives_the_same_output() {
    for (file, from) in STREAMED {
        for (n, exchange) in exchanges(file).into_iter().enumerate() {
            let Some(stream) = exchange.response.as_str().map(str::as_bytes) else { continue };
            for to in callers(from) {
                let whole = translate(from, to, [stream], &Ending::Closed);
                // Byte by byte covers every cut; a few sizes more cover what happens at the seams between events.
                for size in [1, 7, 64 + n % 61, 1000] {
                    assert!(translate(from, to, stream.chunks(size), &Ending::Closed) == whole, "{file} {} in pieces of {size}", exchange.id);
                }
            }
        }
    }
}

#[test]
fn a_stream_that_breaks_off_anywhere_ends_in_one_error_or_in_its_own_end() {
    for (file, from) in STREAMED {
        for exchange in exchanges(file).into_iter().step_by(9) {
            let Some(stream) = exchange.response.as_str().map(str::as_bytes) else { continue };
            for to in callers(from) {
                for cut in (0..stream.len()).step_by(stream.len() / 40 + 1) {
                    for ending in [Ending::Closed, Ending::Broken, Ending::Idle(5)] {
                        let out = String::from_utf8(translate(from, to, [&stream[..cut]], &ending)).unwrap();
                        let (clean, failed) = terminals(to, &out);
                        assert_eq!(clean + failed, 1, "{file} {} cut at {cut}, {ending:?}:\n{out}", exchange.id);
                    }
                }
            }
        }
    }
}

/// Bytes that look like a stream far more often than random ones do.
fn nearly_a_stream() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "data: ",
        "event: ",
        "\n",
        "\r\n",
        "\r",
        "\n\n",
        "[DONE]",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "null",
        "true",
        "1e999",
        "-1",
        "\"\\ud800\"",
        "\u{feff}",
        "\"choices\"",
        "\"delta\"",
        "\"content\"",
        "\"tool_calls\"",
        "\"index\"",
        "\"function\"",
        "\"arguments\"",
        "\"finish_reason\"",
        "\"usage\"",
        "\"type\"",
        "\"message_start\"",
        "\"content_block_delta\"",
        "\"content_block_start\"",
        "\"candidates\"",
        "\"parts\"",
        "\"functionCall\"",
        "4294967295",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}",
        "{\"type\":\"message_stop\"}",
        "{\"choices\":[{\"index\":99,\"delta\":{\"tool_calls\":[{\"index\":7,\"id\":\"a\",\"function\":{\"name\":\"n\",\"arguments\":\"{\"}}]}}]}",
        "{\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"n\",\"input\":{\"a\":1}}}",
        "{\"candidates\":[{\"index\":5,\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"n\"},\"thoughtSignature\":\"s\"}]},\"finishReason\":9}]}",
    ]);
    let piece = prop_oneof![8 => word.prop_map(|word| word.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..6)];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        prop::sample::select(vec!["", "user", "assistant", "tool", "system", "text", "tool_use", "tool_result", "image_url", "data:,x", "é"])
            .prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = prop::sample::select(vec![
            "model",
            "messages",
            "role",
            "content",
            "type",
            "text",
            "tools",
            "tool_choice",
            "tool_calls",
            "function",
            "name",
            "arguments",
            "id",
            "stop",
            "tool_call_id",
            "image_url",
            "url",
            "file",
            "source",
            "max_tokens",
            "thinking",
            "system",
            "choices",
            "message",
            "usage",
            "candidates",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
            prop::collection::vec((key, inner), 0..8).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_stream_panic_and_no_cut_changes_them(bytes in nearly_a_stream(), cut in 1_usize..9) {
        for from in DIALECTS {
            for to in [Dialect::OpenAiChat, Dialect::Anthropic] {
                let whole = translate(from, to, [bytes.as_slice()], &Ending::Closed);
                prop_assert_eq!(&translate(from, to, bytes.chunks(cut), &Ending::Closed), &whole);
            }
        }
    }

    #[test]
    fn no_json_makes_a_translation_panic(body in any_json()) {
        let bytes = body.to_string();
        for from in DIALECTS {
            for to in DIALECTS {
                let _ = hub::translate_request(from, to, body.clone(), "m");
                let _ = hub::translate_reply(from, to, bytes.as_bytes(), &NameMap::default(), &context());
            }
            let _ = hub::decode_error(from, bytes.as_bytes());
        }
    }

    #[test]
    fn a_patched_body_is_the_same_json_with_the_patch(body in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = TopLevel::scan(&bytes);
        let text = serde_json::to_string_pretty(&body).unwrap();
        if let (Ok(top), Some(map)) = (TopLevel::scan(text.as_bytes()), body.as_object()) {
            let mut patch = Patch::default();
            patch.set("model", "\"m\"".into());
            patch.remove("tools");
            patch.rename("stop", "halt");
            patch.insert("first", "1".into());
            let mut expected = serde_json::Map::from_iter([("first".to_owned(), 1.into())]);
            for (key, value) in map.iter().filter(|(key, _)| *key != "tools") {
                let key = if key == "stop" { "halt" } else { key };
                expected.insert(key.to_owned(), if key == "model" { "m".into() } else { value.clone() });
            }
            let out: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&top.apply(&patch)).unwrap();
            prop_assert_eq!(out, expected);
        }
    }
}
