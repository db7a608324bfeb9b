//! The runtime's functions that no crate declares, or declares at a price per call.
#![allow(unsafe_code)] // wasm-bindgen's externs expand to it.

use js_sys::{ArrayBuffer, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, RequestInit, Response, WritableStream};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = fetch)]
    pub(super) fn fetch(url: &str, init: &RequestInit) -> Promise;

    #[wasm_bindgen(js_name = setTimeout)]
    pub(super) fn set_timeout(callback: &JsValue, milliseconds: u32) -> JsValue;

    #[wasm_bindgen(js_name = clearTimeout)]
    pub(super) fn clear_timeout(timer: &JsValue);

    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    pub(super) fn console_warn(line: &str);

    /// `Response` with a constructor for any kind of body.
    #[wasm_bindgen(js_name = Response)]
    pub(super) type AnyResponse;

    #[wasm_bindgen(constructor, js_class = "Response", catch)]
    pub(super) fn new_any(body: &JsValue, init: &JsValue) -> Result<AnyResponse, JsValue>;

    /// What a reader's `read` resolves to.
    pub(super) type ReadResult;

    #[wasm_bindgen(method, getter)]
    pub(super) fn value(this: &ReadResult) -> Option<Uint8Array>;

    /// A pipe that the runtime moves natively: <https://developers.cloudflare.com/workers/runtime-apis/streams/transformstream/>.
    pub(super) type IdentityTransformStream;

    #[wasm_bindgen(constructor)]
    pub(super) fn new() -> IdentityTransformStream;

    #[wasm_bindgen(method, getter)]
    pub(super) fn readable(this: &IdentityTransformStream) -> ReadableStream;

    #[wasm_bindgen(method, getter)]
    pub(super) fn writable(this: &IdentityTransformStream) -> WritableStream;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    pub(super) fn import_key(format: &str, key: &[u8], algorithm: &Object, extractable: bool, usages: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = sign, catch)]
    pub(super) fn sign(algorithm: &str, key: &JsValue, data: &[u8]) -> Result<Promise, JsValue>;
}

/// The bytes of a buffer, copied once.
pub(super) fn bytes(buffer: &ArrayBuffer) -> Vec<u8> {
    Uint8Array::new(buffer).to_vec()
}

/// `new Response(body, init)`, where another response may stand for `init`.
pub(super) fn new_response(body: &JsValue, init: &JsValue) -> Result<Response, JsValue> {
    AnyResponse::new_any(body, init).map(|response| response.unchecked_into())
}
