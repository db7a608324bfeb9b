//! Moving a stream through a [`Translator`], one write for each read.
//!
//! Two closures that call each other through promises instead of an `async` loop: see `docs/architecture.md`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, ReadableStreamDefaultReader, WritableStreamDefaultWriter};

use super::ffi;
use crate::lanes::stream::{Ending, Translator};

/// Ticks of the timer in the time that a stream may be silent.
const TICKS: u32 = 4;

type Callback = Closure<dyn FnMut(JsValue)>;

struct Pump {
    reader: ReadableStreamDefaultReader,
    writer: WritableStreamDefaultWriter,
    translator: RefCell<Translator>,
    idle_ms: u32,
    /// Counts the steps. A read that is under way for some ticks of the timer without one has waited too long.
    steps: Cell<u32>,
    seen: Cell<u32>,
    silent_ticks: Cell<u32>,
    reading: Cell<bool>,
    timer: RefCell<JsValue>,
    output: RefCell<Vec<u8>>,
    callbacks: RefCell<Option<Callbacks>>,
}

struct Callbacks {
    on_read: Callback,
    on_read_failed: Callback,
    on_written: Callback,
    on_caller_gone: Callback,
    on_timer: Callback,
}

/// The stream that `translator` makes of `source`.
pub(super) fn start(source: Option<ReadableStream>, translator: Translator, idle_ms: u32) -> ReadableStream {
    let pipe = ffi::IdentityTransformStream::new();
    let readable = pipe.readable();
    let writer = pipe.writable().get_writer();
    let reader = source.and_then(|source| ReadableStreamDefaultReader::new(&source).ok());
    let (Some(reader), Ok(writer)) = (reader, writer) else { return readable };
    let pump = Rc::new(Pump {
        reader,
        writer,
        translator: RefCell::new(translator),
        idle_ms,
        steps: Cell::new(0),
        seen: Cell::new(0),
        silent_ticks: Cell::new(0),
        reading: Cell::new(false),
        timer: RefCell::new(JsValue::UNDEFINED),
        output: RefCell::default(),
        callbacks: RefCell::new(None),
    });
    let callback = |act: fn(&Rc<Pump>, JsValue)| {
        let pump = Rc::clone(&pump);
        Closure::new(move |value| act(&pump, value))
    };
    // The closures hold the pump and the pump holds them: `release` breaks the ring on every way out.
    *pump.callbacks.borrow_mut() = Some(Callbacks {
        on_read: callback(|pump, result| pump.read_done(&result)),
        on_read_failed: callback(|pump, _| pump.finish(&Ending::Broken)),
        on_written: callback(|pump, _| pump.written()),
        on_caller_gone: callback(|pump, reason| pump.caller_gone(&reason)),
        on_timer: callback(|pump, _| pump.tick()),
    });
    if let Some(callbacks) = &*pump.callbacks.borrow() {
        let _ = pump.writer.closed().catch(&callbacks.on_caller_gone);
    }
    pump.arm();
    pump.read();
    readable
}

impl Pump {
    fn read(&self) {
        if let Some(callbacks) = &*self.callbacks.borrow() {
            self.reading.set(true);
            let _ = self.reader.read().then2(&callbacks.on_read, &callbacks.on_read_failed);
        }
    }

    fn read_done(&self, result: &JsValue) {
        let result: &ffi::ReadResult = result.unchecked_ref();
        // Only the end comes without a value.
        let Some(chunk) = result.value() else { return self.finish(&Ending::Closed) };
        self.reading.set(false);
        self.steps.set(self.steps.get().wrapping_add(1));
        self.translator.borrow_mut().push(&chunk.to_vec(), &mut self.output.borrow_mut());
        self.write();
    }

    /// The bytes have ended, one way or another: the translator says the last word.
    fn finish(&self, ending: &Ending) {
        self.reading.set(false);
        self.translator.borrow_mut().finish(ending, &mut self.output.borrow_mut());
        self.write();
    }

    /// One write for what one read became; nothing to write is the same as written.
    fn write(&self) {
        let chunk = {
            let mut output = self.output.borrow_mut();
            let chunk = (!output.is_empty()).then(|| Uint8Array::new_from_slice(&output));
            output.clear();
            chunk
        };
        let Some(chunk) = chunk else { return self.written() };
        if let Some(callbacks) = &*self.callbacks.borrow() {
            let _ = self.writer.write_with_chunk(&chunk).then2(&callbacks.on_written, &callbacks.on_caller_gone);
        }
    }

    fn written(&self) {
        if self.translator.borrow().is_done() {
            let _ = self.writer.close();
            self.release(&JsValue::from_str("the answer is whole"));
        } else {
            self.read();
        }
    }

    fn caller_gone(&self, reason: &JsValue) {
        self.release(reason);
    }

    /// Lets go of everything; the upstream is cancelled, which does nothing to one that has ended.
    fn release(&self, reason: &JsValue) {
        if let Some(callbacks) = self.callbacks.borrow_mut().take() {
            ffi::clear_timeout(&self.timer.borrow());
            let _ = self.reader.cancel_with_reason(reason);
            // The runtime keeps a closure alive while it runs.
            drop(callbacks);
        }
    }

    fn arm(&self) {
        if let Some(callbacks) = &*self.callbacks.borrow() {
            *self.timer.borrow_mut() = ffi::set_timeout(callbacks.on_timer.as_ref(), self.idle_ms.div_ceil(TICKS));
        }
    }

    /// One timer for the whole stream, and no look at the clock for each chunk: silence ends it after `TICKS` to `TICKS` + 1 ticks.
    fn tick(&self) {
        let silent = self.reading.get() && self.seen.replace(self.steps.get()) == self.steps.get();
        self.silent_ticks.set(if silent { self.silent_ticks.get() + 1 } else { 0 });
        if self.silent_ticks.get() < TICKS { self.arm() } else { self.finish(&Ending::Idle(self.idle_ms)) }
    }
}
