//! Patterns of names: `gpt-4o*`, `*`.

/// Whether `text` fits `pattern`, in which each `*` stands for any text.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let tail = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = text.get(at + piece.len()..).unwrap_or_default();
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [("*", ""), ("gpt-4o*", "gpt-4o"), ("gpt-4o*", "gpt-4o-mini"), ("*-mini", "o3-mini"), ("a*b*c", "aXbYbZc"), ("a", "a")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("gpt-4o", "gpt-4o-mini"), ("gpt-4o*", "gpt-4"), ("*-mini", "mini"), ("a*b", "ab-"), ("a*ba", "aba-")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
