//! The floors of the house: a module imports only what lies below it. docs/architecture.md shows the picture.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

/// Each room with the rooms that it may use.
const FLOORS: [(&str, &[&str]); 14] = [
    ("base", &[]),
    ("ir", &["base"]),
    ("dialects", &["base", "ir"]),
    ("lanes", &["base", "ir", "dialects"]),
    ("providers", &["base", "ir"]),
    ("routing", &["base"]),
    ("passthrough", &["base"]),
    ("accounting", &["base", "ir"]),
    ("governance", &["base"]),
    ("jobs", &["base"]),
    ("http", &["base", "ir", "dialects", "governance"]),
    ("ports", &["base", "http", "lanes", "governance"]),
    ("gateway", &["base", "ir", "dialects", "lanes", "providers", "routing", "passthrough", "accounting", "governance", "jobs", "http", "ports"]),
    ("shell", &["base", "http", "lanes", "accounting", "governance", "ports", "gateway"]),
];

#[test]
fn every_module_uses_only_the_floors_below_it() {
    let mut wrong = Vec::new();
    for (room, below) in FLOORS {
        for (file, text) in sources(room) {
            for used in text.split("crate::").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()) {
                let known = FLOORS.iter().any(|(other, _)| *other == used);
                if known && used != room && !below.contains(&used) {
                    wrong.push(format!("{file} uses {used}, which is not below {room}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_shell_knows_the_worker() {
    for (room, _) in FLOORS.iter().filter(|(room, _)| *room != "shell") {
        for (file, text) in sources(room) {
            for word in ["worker::", "web_sys::", "js_sys::", "wasm_bindgen"] {
                assert!(!text.contains(word), "{file} says {word}");
            }
        }
    }
}

#[test]
fn no_dialect_knows_another_and_no_provider_is_named_in_one() {
    for dialect in ["openai_chat", "openai_responses", "anthropic", "gemini"] {
        for (file, text) in sources(&format!("dialects/{dialect}")) {
            for other in ["openai_chat", "openai_responses", "anthropic", "gemini"].iter().filter(|other| **other != dialect) {
                assert!(!text.contains(&format!("dialects::{other}")), "{file} uses {other}");
            }
        }
    }
}

/// The files of a room, without comments.
fn sources(room: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.join(room)];
    if root.join(format!("{room}.rs")).exists() {
        files.push(root.join(format!("{room}.rs")));
    }
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
        }
    }
    assert!(!files.is_empty(), "no room {room}");
    let strip = |text: String| text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    files.into_iter().map(|file| (file.display().to_string(), strip(fs::read_to_string(&file).unwrap()))).collect()
}
