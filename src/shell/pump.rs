//! Moving a stream through a [`Translator`], one write for each read.
//!
//! Two closures that call each other through promises instead of an `async` loop: a promise awaited in Rust costs several
//! microseconds more than one chained in place, twice a chunk (`docs/benchmarks.md`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, ReadableStreamDefaultReader, WritableStreamDefaultWriter};

use super::ffi;
use crate::lanes::stream::{Ending, Translator};

type Callback = Closure<dyn FnMut(JsValue)>;

struct Pump {
    reader: ReadableStreamDefaultReader,
    writer: WritableStreamDefaultWriter,
    translator: RefCell<Translator>,
    idle_ms: u32,
    /// When the read that is under way began, in milliseconds; `None` while the caller is being written to.
    reading_since: Cell<Option<f64>>,
    timer: RefCell<JsValue>,
    input: RefCell<Vec<u8>>,
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
        reading_since: Cell::new(None),
        timer: RefCell::new(JsValue::UNDEFINED),
        input: RefCell::default(),
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
    pump.arm(idle_ms);
    pump.read();
    readable
}

impl Pump {
    fn read(&self) {
        if let Some(callbacks) = &*self.callbacks.borrow() {
            self.reading_since.set(Some(js_sys::Date::now()));
            let _ = self.reader.read().then2(&callbacks.on_read, &callbacks.on_read_failed);
        }
    }

    fn read_done(&self, result: &JsValue) {
        let result: &ffi::ReadResult = result.unchecked_ref();
        // Only the end comes without a value.
        let Some(chunk) = result.value() else { return self.finish(&Ending::Closed) };
        self.reading_since.set(None);
        {
            let mut input = self.input.borrow_mut();
            input.resize(chunk.length() as usize, 0);
            chunk.copy_to(&mut input);
            self.translator.borrow_mut().push(&input, &mut self.output.borrow_mut());
        }
        self.write();
    }

    /// The bytes have ended, one way or another: the translator says the last word.
    fn finish(&self, ending: &Ending) {
        self.reading_since.set(None);
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

    fn arm(&self, milliseconds: u32) {
        if let Some(callbacks) = &*self.callbacks.borrow() {
            *self.timer.borrow_mut() = ffi::set_timeout(callbacks.on_timer.as_ref(), milliseconds);
        }
    }

    /// One timer for the whole stream: it looks how long the read under way has waited, and comes back when its time is up.
    fn tick(&self) {
        let waited = self.reading_since.get().map_or(0.0, |since| js_sys::Date::now() - since);
        let left = f64::from(self.idle_ms) - waited;
        if left > 1.0 { self.arm(left as u32) } else { self.finish(&Ending::Idle(self.idle_ms)) }
    }
}
