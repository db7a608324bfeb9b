//! What the request depends on that only the model's name tells.
//!
//! <https://docs.anthropic.com/en/docs/about-claude/models/overview>, November 2026.

/// What a Claude model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The most tokens it can write: the default of `max_tokens`, since callers of other dialects mean "no limit" by none.
    pub(super) max_output: u64,
    /// Whether it thinks by `thinking.type: adaptive` and `output_config.effort` instead of a budget.
    pub(super) adaptive: bool,
    /// Whether it can think at all.
    pub(super) thinks: bool,
}

/// The facts of the model of that name, dated, aliased or as a platform writes it.
pub(super) fn facts(model: &str) -> Facts {
    let (major, minor) = version(model);
    let opus = model.contains("opus");
    let max_output = match (major, minor) {
        (3, 7) => 64_000,
        (3, 5) => 8192,
        (0..=3, _) => 4096,
        (4, 0 | 1) if opus => 32_000,
        (4, 0..=5) => 64_000,
        _ => 128_000,
    };
    Facts { max_output, adaptive: (major, minor) >= (4, 6), thinks: (major, minor) >= (3, 7) }
}

/// `claude-3-5-sonnet-20241022` is (3, 5), `claude-opus-4-20250514` is (4, 0), `claude-sonnet-4-5@20250929` is (4, 5). A name
/// without version is of the newest kind.
fn version(model: &str) -> (u32, u32) {
    let mut numbers = model.split(['-', '@', '.', '_', ':']).filter(|piece| piece.len() <= 2).filter_map(|piece| piece.parse::<u32>().ok());
    match numbers.next() {
        Some(major) => (major, numbers.next().unwrap_or(0)),
        None => (u32::MAX, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_version_however_it_is_written() {
        for (name, expected) in [
            ("claude-3-sonnet-20240229", (3, 0)),
            ("claude-3-5-sonnet-20241022", (3, 5)),
            ("claude-sonnet-4-5@20250929", (4, 5)),
            ("claude-opus-4-20250514", (4, 0)),
            ("claude-opus-4.6", (4, 6)),
            ("claude-fable-5", (5, 0)),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
        assert_eq!(facts("claude-3-sonnet-20240229").max_output, 4096);
        assert!(facts("claude-opus-5-5").adaptive && !facts("claude-sonnet-4-5").adaptive);
    }
}
