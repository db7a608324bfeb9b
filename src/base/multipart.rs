//! Finding a field of a form (`multipart/form-data`, RFC 7578) without reading the files beside it.

use std::ops::Range;

use memchr::memmem;

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
    let mut pieces = content_type.split(';').map(str::trim);
    if !pieces.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = pieces.find_map(|piece| piece.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary")))?.1.trim();
    Some(value.trim_matches('"')).filter(|value| !value.is_empty())
}

/// Looks for the field in the beginning of a form.
pub fn find(form: &[u8], boundary: &str, field: &str) -> Found {
    let delimiter = format!("--{boundary}");
    let separator = memmem::Finder::new(delimiter.as_bytes());
    let mut at = 0;
    loop {
        let Some(start) = form.get(at..).and_then(|rest| separator.find(rest)).map(|found| at + found + delimiter.len()) else {
            return Found::NotYet;
        };
        let rest = form.get(start..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Found::Never;
        }
        let Some(head_length) = memmem::find(rest, b"\r\n\r\n") else { return Found::NotYet };
        let head = rest.get(..head_length).unwrap_or_default();
        let value = start + head_length + 4;
        if is_field(head, field) {
            let ending = format!("\r\n{delimiter}");
            let length = form.get(value..).and_then(|rest| memmem::find(rest, ending.as_bytes()));
            return length.map_or(Found::NotYet, |length| Found::At(value..value + length));
        }
        at = value;
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
        let Found::At(range) = find(FORM, "b", "model") else { panic!("not found") };
        assert_eq!(&FORM[range], b"openai/whisper-1");
        assert_eq!(find(FORM, "b", "prompt"), Found::Never);
    }

    #[test]
    fn before_the_whole_value_is_there_nothing_is_found() {
        let Found::At(range) = find(FORM, "b", "model") else { panic!("not found") };
        for end in 0..range.end + 5 {
            assert_eq!(find(&FORM[..end], "b", "model"), Found::NotYet, "{end}");
        }
    }

    #[test]
    fn the_boundary_is_read_with_and_without_quotes() {
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("multipart/form-data; charset=utf-8; boundary=xyz"), Some("xyz"));
        assert_eq!(boundary("application/json"), None);
    }
}
