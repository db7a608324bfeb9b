//! The runtime's functions that no crate declares, or declares at a price per call.
#![allow(unsafe_code)] // wasm-bindgen's externs expand to it.

use js_sys::{Array, ArrayBuffer, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, ReadableStream, RequestInit, Response};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    pub(super) fn fetch(url: &str, init: &RequestInit) -> Promise;

    #[wasm_bindgen(js_namespace = console, js_name = log)]
    pub(super) fn console_log(line: &str);

    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    pub(super) fn console_warn(line: &str);

    /// `Response` with a constructor for any kind of body.
    #[wasm_bindgen(js_name = Response)]
    pub(super) type AnyResponse;

    #[wasm_bindgen(constructor, js_class = "Response", catch)]
    pub(super) fn new_any(body: &JsValue, init: &JsValue) -> Result<AnyResponse, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    pub(super) fn import_key(format: &str, key: &[u8], algorithm: &Object, extractable: bool, usages: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = sign, catch)]
    pub(super) fn sign(algorithm: &str, key: &JsValue, data: &[u8]) -> Result<Promise, JsValue>;
}

#[wasm_bindgen]
extern "C" {
    /// What a reader's `read` resolves to.
    pub(super) type ReadResult;

    #[wasm_bindgen(method, getter)]
    pub(super) fn value(this: &ReadResult) -> Option<Uint8Array>;

    #[wasm_bindgen(method, getter)]
    pub(super) fn done(this: &ReadResult) -> bool;
}

#[wasm_bindgen(module = "/src/shell/reader.js")]
extern "C" {
    /// A reader of bytes into buffers of one's own.
    #[derive(Clone)]
    pub(super) type Reader;

    #[wasm_bindgen(js_name = readerOf)]
    pub(super) fn reader_of(stream: &ReadableStream) -> Reader;

    /// Some bytes: a promise of a [`ReadResult`].
    pub(super) fn some(reader: &Reader) -> Promise;

    /// Gives the stream up that it reads.
    #[wasm_bindgen(js_name = giveUp)]
    pub(super) fn give_up(reader: &Reader);

    /// Leaves the stream to others.
    #[wasm_bindgen(method, js_name = releaseLock)]
    pub(super) fn release_lock(this: &Reader);

    /// What was read of a stream, and the rest of it; both have `length` bytes, if that is known.
    pub(super) fn joined(head: &[u8], rest: &ReadableStream, length: Option<f64>) -> ReadableStream;
}

#[wasm_bindgen(module = "/src/shell/headers.js")]
extern "C" {
    /// Names and values, one after the other.
    #[wasm_bindgen(js_name = withPrefix)]
    pub(super) fn with_prefix(headers: &web_sys::Headers, prefix: &str) -> Array;

    /// The same of the headers that speak to the gateway.
    pub(super) fn marked(headers: &web_sys::Headers) -> Option<Array>;

    /// Takes out the headers of those names and sets others, given as lines: a name, its value, and so on.
    #[wasm_bindgen(catch)]
    pub(super) fn change(headers: &web_sys::Headers, without: &Array, lines: &str) -> Result<(), JsValue>;
}

#[wasm_bindgen(module = "/src/shell/promises.js")]
extern "C" {
    /// What the other promise comes to, or undefined when the time is over before.
    pub(super) fn within(promise: &Promise, milliseconds: u32) -> Promise;

    /// Once in an isolate's life.
    #[wasm_bindgen(js_name = hastenMicrotasks)]
    pub(super) fn hasten_microtasks();

    /// A promise that lasts until it is released.
    pub(super) type Hold;

    #[wasm_bindgen(constructor)]
    pub(super) fn new() -> Hold;

    #[wasm_bindgen(method, getter)]
    pub(super) fn promise(this: &Hold) -> Promise;

    #[wasm_bindgen(method)]
    pub(super) fn release(this: &Hold);
}

#[wasm_bindgen(module = "/src/shell/logs.js")]
extern "C" {
    /// A promise when there is something to wait for that nobody waits for yet.
    pub(super) fn gather(queue: &JsValue, line: &str, length: u32, span: Option<&str>, endpoint: Option<&str>, headers: &Array) -> Option<Promise>;
}

#[wasm_bindgen(module = "/src/shell/queue.js")]
extern "C" {
    /// Sends texts to a queue: a promise.
    pub(super) fn enqueue(queue: &JsValue, texts: &Array, delay_s: f64) -> Promise;

    /// What an error says.
    pub(super) fn words(error: &JsValue) -> String;
}

#[wasm_bindgen(module = "/src/shell/meter.js")]
extern "C" {
    /// What `meter` returns.
    pub(super) type Metered;

    pub(super) fn meter(
        source: &ReadableStream,
        copy: Option<&Reader>,
        head: &[u8],
        length: Option<f64>,
        limit: u32,
        is_stream: bool,
        signal: &AbortSignal,
        tell: &JsValue,
    ) -> Metered;

    #[wasm_bindgen(method, getter)]
    pub(super) fn readable(this: &Metered) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    pub(super) fn done(this: &Metered) -> Promise;
}

#[wasm_bindgen(module = "/src/shell/pump.js")]
extern "C" {
    pub(super) fn pump(head: &[u8], reader: Option<&Reader>, translate: &JsValue, idle_ms: u32) -> ReadableStream;

    pub(super) fn emit(bytes: &[u8]);
}

/// The bytes of pieces, copied once.
pub(super) fn joined_bytes(pieces: &Array) -> Vec<u8> {
    let pieces: Vec<Uint8Array> = pieces.iter().map(JsCast::unchecked_into).collect();
    let mut whole = vec![0; pieces.iter().map(|piece| piece.length() as usize).sum()];
    let mut rest = whole.as_mut_slice();
    for piece in pieces {
        let (here, after) = rest.split_at_mut(piece.length() as usize);
        piece.copy_to(here);
        rest = after;
    }
    whole
}

/// The bytes of a buffer, copied once.
pub(super) fn bytes(buffer: &ArrayBuffer) -> Vec<u8> {
    Uint8Array::new(buffer).to_vec()
}

/// `new Response(body, init)`, where another response may stand for `init`.
pub(super) fn new_response(body: &JsValue, init: &JsValue) -> Result<Response, JsValue> {
    AnyResponse::new_any(body, init).map(|response| response.unchecked_into())
}
