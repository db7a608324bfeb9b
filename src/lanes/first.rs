//! The first event of a stream: whether it is an error, while another can still be asked.

use memchr::memmem;

use crate::base::sse;
use crate::dialects::DecodeStream;
use crate::ir::{Event, StreamFault};

/// What the beginning of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// Not a whole event yet.
    NotYet,
    /// The beginning of an answer, or of nothing that could be told.
    Good,
    /// An error.
    Fault(StreamFault),
}

/// Looks at the beginning of a stream. What comes before its first event (comments that keep the connection alive) is for the
/// caller, too.
pub fn look(head: &[u8], mut decoder: Box<dyn DecodeStream>) -> First {
    // In every dialect an error says so, and most beginnings are none: those need not be decoded.
    let is_whole = || [b"\n\n".as_slice(), b"\r\n\r\n", b"\r\r"].iter().any(|blank| memmem::find(head, blank).is_some());
    if memmem::find(head, b"error").is_none() && is_whole() {
        return First::Good;
    }
    let mut first = None;
    sse::Parser::default().push(head, |event| {
        if first.is_some() {
            return;
        }
        let mut fault = None;
        decoder.event(event, &mut |event| {
            if let Event::Fault(found) = event {
                fault = Some(found);
            }
        });
        first = Some(fault.map_or(First::Good, First::Fault));
    });
    let is_comment = || head.first() == Some(&b':') && head.contains(&b'\n');
    first.unwrap_or_else(|| if is_comment() { First::Good } else { First::NotYet })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Dialect;
    use crate::lanes::hub;

    #[test]
    fn an_error_as_the_first_event_is_seen_in_every_dialect_and_nothing_else_is() {
        let cases: [(Dialect, &str, Option<u16>); 8] = [
            (Dialect::OpenAiChat, "data: {\"error\":{\"message\":\"no\",\"code\":503}}\n\n", Some(503)),
            (Dialect::OpenAiChat, "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"error\"}}]}\n\n", None),
            (
                Dialect::Anthropic,
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no\"}}\n\n",
                Some(529),
            ),
            (
                Dialect::Anthropic,
                "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":{}}}\n\nevent: error\ndata: {}\n\n",
                None,
            ),
            (Dialect::Gemini, "data: {\"error\":{\"code\":503,\"message\":\"no\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n", Some(503)),
            (
                Dialect::OpenAiResponses,
                "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"no\",\"sequence_number\":0}\n\n",
                Some(502),
            ),
            (Dialect::OpenAiChat, ": keep-alive\n\n", None),
            (Dialect::OpenAiChat, "data: [DONE]\n\n", None),
        ];
        for (dialect, stream, status) in cases {
            let found = look(stream.as_bytes(), hub::decoder(dialect));
            match status {
                Some(status) => assert!(matches!(&found, First::Fault(fault) if fault.status == status), "{stream}: {found:?}"),
                None => assert_eq!(found, First::Good, "{stream}"),
            }
            assert_eq!(look(stream.get(..1).unwrap().as_bytes(), hub::decoder(dialect)), First::NotYet);
        }
    }
}
