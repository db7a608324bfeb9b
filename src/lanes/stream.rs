//! Translating a streamed answer: bytes in, bytes out.
//!
//! The law: the same output however the input is cut, even inside a character; exactly one terminal event; an upstream that
//! breaks off, errs or falls silent ends as an error event of the caller's dialect, never as a clean end. No clock, no
//! randomness, no I/O.

use serde_json::Value;

use super::tally::Tally;
use crate::base::sse;
use crate::dialects::{DecodeStream, EncodeStream};
use crate::ir::{Event, StreamFault};

/// More than this in one event is no answer but an attack on memory.
const EVENT_MAX: usize = 64 << 20;

/// Drives one dialect's reader into another's writer.
pub struct Translator {
    parser: sse::Parser,
    pending: usize,
    decoder: Box<dyn DecodeStream>,
    encoder: Box<dyn EncodeStream>,
    done: bool,
    tally: Tally,
}

/// How the bytes ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The upstream closed.
    Closed,
    /// The upstream's connection failed.
    Broken,
    /// The upstream was silent for this many milliseconds.
    Idle(u32),
}

/// Makes of a stream of bytes another one.
pub trait Machine {
    /// Feeds bytes; appends what they become.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>);

    /// The bytes have ended; appends the last word unless it is out.
    fn finish(&mut self, ending: &Ending, out: &mut Vec<u8>);

    /// Whether the last word is out: more input changes nothing.
    fn is_done(&self) -> bool;

    /// What the stream has told so far.
    fn tally(&mut self) -> Tally;

    /// The whole answer, once and after its clean end, where callers may come back to it.
    fn told(&mut self) -> Option<Value>;
}

impl Translator {
    pub(crate) fn new(decoder: Box<dyn DecodeStream>, encoder: Box<dyn EncodeStream>) -> Self {
        Self { parser: sse::Parser::default(), pending: 0, decoder, encoder, done: false, tally: Tally::default() }
    }

    /// Keeps what the model writes, too.
    pub fn keep_what_is_said(&mut self) {
        self.tally = Tally::keeping(true);
    }
}

impl Machine for Translator {
    fn tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.done {
            return;
        }
        self.pending = self.pending.saturating_add(bytes.len());
        let Self { parser, pending, decoder, encoder, done, tally } = self;
        parser.push(bytes, |event| {
            *pending = 0;
            step(event, decoder.as_mut(), encoder.as_mut(), done, tally, out);
        });
        if !self.done && self.pending > EVENT_MAX {
            self.fault(&StreamFault { status: 502, code: None, message: "the provider sent an event without end".to_owned() }, out);
        }
    }

    fn finish(&mut self, ending: &Ending, out: &mut Vec<u8>) {
        let Self { parser, decoder, encoder, done, tally, .. } = self;
        if *ending == Ending::Closed {
            parser.finish(|event| step(event, decoder.as_mut(), encoder.as_mut(), done, tally, out));
        }
        if self.done {
            return;
        }
        let fault = match ending {
            Ending::Closed => {
                self.decoder.finish(&mut |event| {
                    self.tally.event(&event);
                    self.encoder.event(event, out);
                });
                if self.decoder.is_complete(true) {
                    self.done = true;
                    return self.encoder.end(out);
                }
                StreamFault::cut()
            }
            Ending::Broken => StreamFault::cut(),
            Ending::Idle(milliseconds) => StreamFault::idle(*milliseconds),
        };
        self.fault(&fault, out);
    }

    fn told(&mut self) -> Option<Value> {
        self.encoder.told()
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

impl Translator {
    fn fault(&mut self, fault: &StreamFault, out: &mut Vec<u8>) {
        self.done = true;
        self.tally.event(&Event::Fault(fault.clone()));
        self.encoder.fault(fault, out);
    }
}

fn step(
    event: sse::Event<'_>,
    decoder: &mut dyn DecodeStream,
    encoder: &mut dyn EncodeStream,
    done: &mut bool,
    tally: &mut Tally,
    out: &mut Vec<u8>,
) {
    if *done {
        return;
    }
    let mut fault = None;
    decoder.event(event, &mut |event| {
        if fault.is_some() {
            return;
        }
        tally.event(&event);
        match event {
            Event::Fault(found) => fault = Some(found),
            event => encoder.event(event, out),
        }
    });
    if let Some(fault) = fault {
        *done = true;
        encoder.fault(&fault, out);
    } else if decoder.is_complete(false) {
        *done = true;
        encoder.end(out);
    }
}
