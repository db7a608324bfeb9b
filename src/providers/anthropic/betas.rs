//! `anthropic-beta`: what a body needs and does not say itself. <https://docs.anthropic.com/en/api/beta-headers>

use memchr::memmem;

/// Where in a body the need for a beta shows.
enum Sign {
    /// A member at the top.
    Top(&'static str),
    /// A member at the top that has this text.
    TopWith(&'static str, &'static str),
    /// A member, or a text that is this word, anywhere.
    Anywhere(&'static str),
}
use Sign::{Anywhere, Top, TopWith};

/// The betas with their signs. Those without any are known all the same.
const BETAS: [(&str, &[Sign]); 15] = [
    ("advanced-tool-use-2025-11-20", &[Anywhere("\"defer_loading\""), Anywhere("\"input_examples\""), Anywhere("\"allowed_callers\"")]),
    ("compact-2026-01-12", &[TopWith("context_management", "\"compact_")]),
    ("computer-use-2025-01-24", &[TopWith("tools", "\"computer_20250124\"")]),
    ("computer-use-2025-11-24", &[TopWith("tools", "\"computer_20251124\"")]),
    ("context-1m-2025-08-07", &[]),
    ("context-management-2025-06-27", &[Top("context_management")]),
    ("fast-mode-2026-02-01", &[TopWith("speed", "\"fast\"")]),
    ("files-api-2025-04-14", &[Anywhere("\"file_id\"")]),
    ("interleaved-thinking-2025-05-14", &[TopWith("thinking", "\"enabled\"")]),
    ("mcp-client-2025-11-20", &[Top("mcp_servers")]),
    ("prompt-caching-scope-2026-01-05", &[Anywhere("\"scope\"")]),
    ("redact-thinking-2026-02-12", &[]),
    ("skills-2025-10-02", &[TopWith("container", "\"skills\"")]),
    ("structured-outputs-2025-11-13", &[Top("output_format"), TopWith("tools", "\"strict\"")]),
    ("structured-outputs-2025-12-15", &[]),
];

/// The betas that a body needs; `top` gives the raw text of its members. What only looks like a sign (a tool's parameter of
/// that name) brings a beta that changes nothing.
pub fn needed_betas<'a>(body: &[u8], top: impl Fn(&str) -> Option<&'a str>) -> Vec<&'static str> {
    let has = |text: &[u8], word: &str| memmem::find(text, word.as_bytes()).is_some();
    let shows = |sign: &Sign| match sign {
        Top(member) => top(member).is_some_and(|raw| raw != "null"),
        TopWith(member, word) => top(member).is_some_and(|raw| has(raw.as_bytes(), word)),
        Anywhere(word) => has(body, word),
    };
    BETAS.iter().filter(|(_, signs)| signs.iter().any(shows)).map(|(beta, _)| *beta).collect()
}

/// Whether it is one of these, in any version.
pub(crate) fn is_known_beta(beta: &str) -> bool {
    BETAS.iter().any(|(known, _)| family(known) == family(beta))
}

/// A beta's name without its date.
pub fn family(beta: &str) -> &str {
    beta.char_indices().rev().filter(|(_, c)| *c == '-').nth(2).and_then(|(at, _)| beta.get(..at)).unwrap_or(beta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::scan::TopLevel;

    #[test]
    fn a_body_tells_the_betas_that_it_needs() {
        for (body, expected) in [
            (r#"{"messages":[{"content":"speed \"file_id\" scope"}],"thinking":{"type":"adaptive"}}"#, vec![]),
            (r#"{"thinking":{"type":"enabled","budget_tokens":2000}}"#, vec!["interleaved-thinking-2025-05-14"]),
            (r#"{"context_management":{"edits":[{"type":"compact_20260112"}]}}"#, vec!["compact-2026-01-12", "context-management-2025-06-27"]),
            (r#"{"speed":"fast","mcp_servers":[]}"#, vec!["fast-mode-2026-02-01", "mcp-client-2025-11-20"]),
            (
                r#"{"tools":[{"type":"computer_20250124"},{"name":"a","strict":true}]}"#,
                vec!["computer-use-2025-01-24", "structured-outputs-2025-11-13"],
            ),
            (r#"{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"f"}}]}]}"#, vec!["files-api-2025-04-14"]),
        ] {
            let top = TopLevel::scan(body.as_bytes()).unwrap();
            assert_eq!(needed_betas(body.as_bytes(), |key| top.raw(key)), expected, "{body}");
        }
    }

    #[test]
    fn a_beta_is_known_in_any_version() {
        assert!(is_known_beta("computer-use-2024-10-22") && is_known_beta("context-1m-2025-08-07"));
        assert!(!is_known_beta("claude-code-20250219") && !is_known_beta("x"));
        assert_eq!(family("interleaved-thinking-2025-05-14"), "interleaved-thinking");
    }
}
