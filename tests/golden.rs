//! Whole translations of requests: one file a case, written by hand from the vendors' pages.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use finops_gateway::base::ids::short_hash;
use finops_gateway::ir::Dialect;
use finops_gateway::lanes::hub;
use serde_json::Value;

#[test]
fn a_golden_request_is_translated_to_the_letter_with_its_losses_named() {
    for name in ["chat_to_anthropic", "chat_to_gemini", "anthropic_to_chat"] {
        let text = std::fs::read_to_string(format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
        // The one part of an output that is no constant to be read off a page.
        let text = text.replace("HASH", &short_hash("mcp.tools/now"));
        let case: Value = serde_json::from_str(&text).unwrap();
        let dialect = |key: &str| match case[key].as_str().unwrap() {
            "openai_chat" => Dialect::OpenAiChat,
            "anthropic" => Dialect::Anthropic,
            "gemini" => Dialect::Gemini,
            other => panic!("{other}"),
        };
        let out = hub::translate_request(dialect("from"), dialect("to"), case["request"].clone(), case["model"].as_str().unwrap()).unwrap();
        // As text, since the order of keys and the digits of numbers are behaviour.
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
        assert_eq!(pretty(&Value::Object(out.body)), pretty(&case["sent"]), "{name}");
        let losses: Vec<&str> = out.losses.iter().map(|loss| loss.path.as_str()).collect();
        let expected: Vec<&str> = case["losses"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
        assert_eq!(losses, expected, "{name}");
    }
}
