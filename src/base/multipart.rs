//! Finding a field of a form (`multipart/form-data`, RFC 7578) without reading the files beside it.

use std::ops::Range;

use memchr::memmem;

/// A longer head of a part, or a longer value, is none that is looked for; so nothing is looked at more than a few times.
const HEAD_MAX: usize = 16 << 10;
const VALUE_MAX: usize = 4 << 10;

/// What the beginning of a form says about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Its value stands there.
    At(Range<usize>),
    /// It does not come up to where the bytes end.
    NotYet,
    /// The form has ended without it.
    Never,
}

/// The boundary that a content type names.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, mut rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    while let Some((name, value)) = rest.split_once('=') {
        let value = value.trim_start();
        // In quotes, a semicolon is a part of it.
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => value.split_once(';').map_or((value, ""), |(value, after)| (value.trim(), after)),
        };
        if name.trim_matches([';', ' ', '\t']).eq_ignore_ascii_case("boundary") {
            return Some(value).filter(|value| !value.is_empty());
        }
        rest = after;
    }
    None
}

/// How many fields of that name a whole form has.
pub fn count(form: &[u8], boundary: &str, field: &str) -> usize {
    let mut search = Search::new(boundary, field);
    let mut count = 0;
    while let Found::At(range) = search.look(form) {
        count += 1;
        search.at = range.end;
    }
    count
}

/// Looks for a field in a form that grows, and reads no byte of it twice.
#[derive(Debug)]
pub struct Search<'a> {
    delimiter: String,
    field: &'a str,
    /// No delimiter that is not looked at begins before.
    at: usize,
}

impl<'a> Search<'a> {
    /// A search for `field`.
    pub fn new(boundary: &str, field: &'a str) -> Self {
        Self { delimiter: format!("--{boundary}"), field, at: 0 }
    }

    /// Looks in what has come so far, from the form's beginning.
    pub fn look(&mut self, form: &[u8]) -> Found {
        let delimiter = self.delimiter.as_bytes();
        loop {
            let Some(found) = form.get(self.at..).and_then(|rest| memmem::find(rest, delimiter)) else {
                self.at = self.at.max(form.len().saturating_sub(delimiter.len()));
                return Found::NotYet;
            };
            self.at += found;
            let start = self.at + delimiter.len();
            let rest = form.get(start..).unwrap_or_default();
            // A delimiter has a line of its own; what looks like one in the middle of another is text.
            let begins_line = self.at == 0 || form.get(..self.at).is_some_and(|before| before.ends_with(b"\r\n"));
            if !begins_line {
                self.at = start;
                continue;
            }
            match rest.iter().position(|byte| !matches!(byte, b' ' | b'\t')) {
                _ if rest.starts_with(b"--") => return Found::Never,
                Some(blanks) if rest.get(blanks..).is_some_and(|rest| rest.starts_with(b"\r\n")) => {}
                Some(blanks) if rest.len() > blanks + 1 => {
                    self.at = start;
                    continue;
                }
                _ => return Found::NotYet,
            }
            let Some(head_length) = memmem::find(rest.get(..HEAD_MAX.min(rest.len())).unwrap_or_default(), b"\r\n\r\n") else {
                if rest.len() < HEAD_MAX {
                    return Found::NotYet;
                }
                // No head of a part is that long: it is something in a file that looks like one.
                self.at = start;
                continue;
            };
            let value = start + head_length + 4;
            if is_field(rest.get(..head_length).unwrap_or_default(), self.field) {
                let ending = [b"\r\n", delimiter].concat();
                let said = form.get(value..).unwrap_or_default();
                let length = memmem::find(said.get(..VALUE_MAX.min(said.len())).unwrap_or_default(), &ending);
                return match length {
                    Some(length) => Found::At(value..value + length),
                    None if said.len() < VALUE_MAX => Found::NotYet,
                    None => Found::Never,
                };
            }
            self.at = value;
        }
    }
}

fn is_field(head: &[u8], field: &str) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let disposition = head.lines().find(|line| line.starts_with("content-disposition:"));
    let is_named = |piece: &str| {
        let (name, value) = piece.split_once('=').unwrap_or_default();
        name.trim() == "name" && value.trim().trim_matches('"') == field
    };
    disposition.is_some_and(|line| line.split(';').any(is_named) && !line.contains("filename"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\nname=\"model\"\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/whisper-1\r\n--b--\r\n";

    #[test]
    fn a_field_is_found_wherever_it_stands_and_not_in_a_file() {
        let Found::At(range) = Search::new("b", "model").look(FORM) else { panic!("not found") };
        assert_eq!(&FORM[range], b"openai/whisper-1");
        assert_eq!(Search::new("b", "prompt").look(FORM), Found::Never);
    }

    #[test]
    fn before_the_whole_value_is_there_nothing_is_found() {
        let Found::At(range) = Search::new("b", "model").look(FORM) else { panic!("not found") };
        let mut search = Search::new("b", "model");
        for end in 0..range.end + 5 {
            assert_eq!(search.look(&FORM[..end]), Found::NotYet, "{end}");
        }
        assert_eq!(search.look(FORM), Found::At(range));
    }

    #[test]
    fn what_looks_like_a_delimiter_in_a_text_is_none_and_fields_are_counted() {
        let form = b"--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nallowed\r\n--b \r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nother\r\n--b--\r\n";
        let Found::At(range) = Search::new("b", "model").look(form) else { panic!("not found") };
        assert_eq!(&form[range], b"other");
        assert_eq!((count(form, "b", "model"), count(FORM, "b", "model")), (1, 1));
        let twice =
            b"--b\r\nContent-Disposition: form-data; name=model\r\n\r\na\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nb\r\n--b--";
        assert_eq!(count(twice, "b", "model"), 2);
        let text = b"--b\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\nx\r\n--bc\r\ny\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--";
        let Found::At(range) = Search::new("b", "model").look(text) else { panic!("not found") };
        assert_eq!(&text[range], b"m");
    }

    #[test]
    fn the_boundary_is_read_with_and_without_quotes() {
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("multipart/form-data; charset=utf-8; boundary=xyz"), Some("xyz"));
        assert_eq!(boundary("multipart/form-data; a=\"x;y\"; boundary=\"a;b\"; c=d"), Some("a;b"));
        assert_eq!(boundary("application/json"), None);
    }
}
