//! Server-sent events: bytes in, events out, however the bytes are cut.
//!
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>. Lines end in LF, CRLF or CR; a byte order mark, comments
//! and unknown fields are skipped; an event that the end of the stream cuts off is still delivered, since some servers end
//! without the blank line.

/// Splits a byte stream into events.
#[derive(Debug, Default)]
pub struct Parser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    event: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    started: bool,
    /// The last byte was CR: a following LF belongs to it.
    after_cr: bool,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field, empty when there was none.
    pub name: &'a [u8],
    /// The `data:` lines, joined by LF.
    pub data: &'a [u8],
}

/// Calls `on_event` for each event of a text that has come to its end.
pub fn each(text: &[u8], mut on_event: impl FnMut(Event<'_>)) {
    let mut parser = Parser::default();
    parser.push(text, &mut on_event);
    parser.finish(&mut on_event);
}

/// Where the event ends that begins the text, the blank line after it included; `None` where that is not there yet.
pub fn end_of_event(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = memchr::memchr2(b'\n', b'\r', text.get(at..)?)?;
        let is_blank = length == 0 && at > 0;
        let ending = match text.get(at + length..)? {
            [b'\r', b'\n', ..] => 2,
            // Its other half may be still to come.
            [b'\r'] => return None,
            _ => 1,
        };
        at += length + ending;
        if is_blank {
            return Some(at);
        }
    }
}

impl Parser {
    /// Feeds bytes; calls `on_event` for each event that they complete.
    pub fn push(&mut self, bytes: &[u8], mut on_event: impl FnMut(Event<'_>)) {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let (line, tail) = rest.split_at(end);
            let (ending, tail) = tail.split_at(1);
            rest = tail;
            if ending == b"\r" {
                match rest.first() {
                    Some(b'\n') => rest = rest.split_at(1).1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if self.line.is_empty() {
                self.end_of_line(line, &mut on_event);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.end_of_line(&whole, &mut on_event);
                whole.clear();
                self.line = whole;
            }
        }
        self.line.extend_from_slice(rest);
    }

    /// The stream has ended: delivers what an absent blank line held back.
    pub fn finish(&mut self, mut on_event: impl FnMut(Event<'_>)) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.end_of_line(&line, &mut on_event);
        }
        self.dispatch(&mut on_event);
    }

    fn end_of_line(&mut self, line: &[u8], on_event: &mut impl FnMut(Event<'_>)) {
        let line = if self.started { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
        self.started = true;
        if line.is_empty() {
            return self.dispatch(on_event);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.split_at(1).1;
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => {
                self.event.clear();
                self.event.extend_from_slice(value);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(Event<'_>)) {
        if self.has_data {
            on_event(Event { name: &self.event, data: &self.data });
        }
        self.has_data = false;
        self.data.clear();
        self.event.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        let mut out = Vec::new();
        let mut keep = |event: Event<'_>| out.push((String::from_utf8_lossy(event.name).into(), String::from_utf8_lossy(event.data).into()));
        pieces.iter().for_each(|piece| parser.push(piece, &mut keep));
        parser.finish(&mut keep);
        out
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.into(), data.into())
    }

    #[test]
    fn all_line_endings_mean_the_same() {
        for text in ["event: a\ndata: 1\n\ndata: 2\n\n", "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", "event: a\rdata: 1\r\rdata: 2\r\r"] {
            assert_eq!(events(&[text.as_bytes()]), [pair("a", "1"), pair("", "2")], "{text:?}");
        }
    }

    #[test]
    fn a_cut_at_any_byte_changes_nothing() {
        let text = "\u{feff}: hello\r\nevent:x\r\ndata:{\"a\":\"é\"}\r\ndata: more\r\n\r\nid: 7\ndata: [DONE]\n\nevent: ping\n\ndata: end".as_bytes();
        let whole = events(&[text]);
        assert_eq!(whole, [pair("x", "{\"a\":\"é\"}\nmore"), pair("", "[DONE]"), pair("", "end")]);
        for i in 0..text.len() {
            for j in i..text.len() {
                assert_eq!(events(&[&text[..i], &text[i..j], &text[j..]]), whole, "cut at {i} and {j}");
            }
        }
    }

    #[test]
    fn an_event_of_two_megabytes_arrives_whole() {
        let data = "x".repeat(2 << 20);
        let text = format!("data: {data}\n\n");
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1000).collect();
        assert_eq!(events(&pieces), [pair("", &data)]);
    }
}
