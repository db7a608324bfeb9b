//! Identifiers that providers give out: of files, batches, responses and the like. They do not tell whose they are, so what
//! passes by is remembered; see `gateway/issued.rs`.

use std::collections::BTreeSet;

use memchr::memchr_iter;

/// How OpenAI's and Azure's identifiers begin.
const BEGINNINGS: [&str; 18] = [
    "assistant-",
    "batch_",
    "chatcmpl-",
    "cntr_",
    "conv_",
    "eval_",
    "evalrun_",
    "file-",
    "file_",
    "ft:",
    "ftckpt",
    "ftjob-",
    "resp_",
    "upload_",
    "vector_store",
    "video_",
    "vs_",
    "vsfb_",
];

/// The longest that is taken for one, in bytes.
const ID_MAX: usize = 200;

/// The most that are looked for in one body.
const IDS_MAX: usize = 500;

/// The identifiers among a path's segments: `batches/batch_1/cancel` has one.
pub fn ids_in_path(path: &str) -> Vec<String> {
    let is_known =
        |segment: &&str| BEGINNINGS.iter().any(|beginning| segment.starts_with(beginning)) || segment.bytes().any(|byte| byte.is_ascii_digit());
    path.split('/').skip(1).filter(is_known).map(str::to_owned).collect()
}

/// The identifiers among a JSON text's strings, each once. It is not parsed: a text that quotes one counts, too, and does no harm.
pub fn ids_in_json(body: &[u8]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for quote in memchr_iter(b'"', body) {
        let rest = body.get(quote + 1..).unwrap_or_default();
        if !BEGINNINGS.iter().any(|beginning| rest.starts_with(beginning.as_bytes())) {
            continue;
        }
        let Some(end) = rest.iter().take(ID_MAX).position(|byte| *byte == b'"') else { continue };
        let id = std::str::from_utf8(rest.get(..end).unwrap_or_default()).ok();
        let is_plain = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.'));
        found.extend(id.filter(is_plain).map(str::to_owned));
        if found.len() >= IDS_MAX {
            break;
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_in_paths_and_bodies_and_words_are_not() {
        assert_eq!(ids_in_path("batches/batch_1/cancel"), ["batch_1"]);
        assert_eq!(ids_in_path("vector_stores/vs_a/files/file-b"), ["vs_a", "file-b"]);
        assert!(ids_in_path("fine_tuning/jobs").is_empty());
        let body = br#"{"id":"batch_1","input_file_id": "file-abc","list":["vs_1","file-abc"],"text":"a \"file-x y\" is no id","object":"file"}"#;
        assert_eq!(ids_in_json(body), ["batch_1", "file-abc", "vs_1"]);
    }
}
