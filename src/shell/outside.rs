//! The ports over the runtime's APIs.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, Request, RequestInit, RequestRedirect, Response};
use worker::{Context, Env};

use super::{ffi, pump};
use crate::http::Headers;
use crate::http::headers::BETA;
use crate::lanes::stream::Machine;
use crate::ports::{
    Background, BadKey, Clock, Ended, Ends, Entropy, GoesOn, LogEntry, LogSink, Metering, Outgoing, ReadError, SendError, Signer, Task, Upstream,
    UpstreamReply, UpstreamRequest,
};

/// The binding of the queue of records.
const LOGS: &str = "LOGS";

/// The runtime, with the bindings of the worker.
#[derive(Clone)]
pub(super) struct Runtime {
    pub(super) env: Env,
    pub(super) context: Rc<Context>,
    /// Asked for the signal that the caller has gone, where that matters: having one costs every request.
    pub(super) request: Request,
}

/// A body that nobody has read.
#[derive(Clone)]
pub(super) enum Body {
    /// The caller's, as it came.
    Buffer(ArrayBuffer),
    /// The caller's, as it comes.
    Incoming(Request),
    /// A provider's answer.
    Reply(Response),
    /// A translated stream.
    Stream(ReadableStream),
    /// A provider's answer whose beginning was looked at.
    Seen {
        /// All of it, still native, if it goes on as it came: a stream put together again would not be.
        whole: Option<ReadableStream>,
        /// A copy of that, or the answer itself.
        looked_at: ReadableStream,
        /// Its reader, which has not read further than `head`.
        reader: ffi::Reader,
        /// What was seen.
        head: Rc<[u8]>,
    },
}

impl Body {
    /// As a stream for a reader who wants nothing but the whole.
    pub(super) fn into_stream(self) -> Option<ReadableStream> {
        match self {
            Self::Reply(reply) => reply.body(),
            Self::Stream(stream) => Some(stream),
            Self::Seen { whole: Some(whole), reader, .. } => {
                ffi::give_up(&reader);
                Some(whole)
            }
            Self::Seen { whole: None, looked_at, reader, head } => {
                reader.release_lock();
                Some(ffi::joined(&head, &looked_at, None))
            }
            Self::Incoming(request) => request.body(),
            Self::Buffer(_) => None,
        }
    }
}

/// Cancels a stream. Its promise fails where there is nothing to cancel any more.
fn let_go(stream: &ReadableStream) {
    let cancelled = JsFuture::from(stream.cancel());
    wasm_bindgen_futures::spawn_local(async move {
        let _ = cancelled.await;
    });
}

/// Where SDKs put their keys; `headers.js` knows the same names.
const KEY_HEADERS: [&str; 4] = ["api-key", "authorization", "x-api-key", "x-goog-api-key"];

/// Headers, asked for one at a time: most are never looked at.
pub(super) struct JsHeaders {
    pub(super) js: web_sys::Headers,
    /// Those that speak to the gateway, and those with keys, once one of them was asked for.
    marked: OnceCell<Vec<(String, String)>>,
}

impl JsHeaders {
    pub(super) fn new(js: web_sys::Headers) -> Self {
        Self { js, marked: OnceCell::new() }
    }

    fn marked(&self) -> &[(String, String)] {
        self.marked.get_or_init(|| ffi::marked(&self.js).map(pairs).unwrap_or_default())
    }
}

/// Takes headers out and sets others.
pub(super) fn change<N: AsRef<str>>(headers: &web_sys::Headers, without: &'static [&'static str], set: &[(N, String)]) -> Result<(), JsValue> {
    thread_local! {
        /// Lists of names as JavaScript has them: there are two or three in all.
        static LISTS: RefCell<Vec<(&'static [&'static str], Array)>> = const { RefCell::new(Vec::new()) };
    }
    let without = LISTS.with_borrow_mut(|lists| match lists.iter().find(|(names, _)| std::ptr::eq(*names, without)) {
        Some((_, list)) => list.clone(),
        None => {
            let list: Array = without.iter().map(|name| JsValue::from_str(name)).collect();
            lists.push((without, list.clone()));
            list
        }
    });
    let mut lines = String::new();
    for (name, value) in set {
        let value = value.trim_matches(['\t', '\r', '\n', ' ']);
        // A line's end would make headers of its rest.
        if value.contains('\n') {
            return Err(js_sys::TypeError::new("a header holds a line's end").into());
        }
        [name.as_ref(), "\n", value, "\n"].into_iter().for_each(|part| lines.push_str(part));
    }
    ffi::change(headers, &without, &lines)
}

/// Names and values that stand one after the other.
fn pairs(list: Array) -> Vec<(String, String)> {
    let pair = |pair: &[JsValue]| match pair {
        [name, value] => Some((name.as_string()?, value.as_string()?)),
        _ => None,
    };
    list.to_vec().chunks(2).filter_map(pair).collect()
}

impl Headers for JsHeaders {
    fn get(&self, name: &str) -> Option<String> {
        if name.starts_with("x-bf-") || name == BETA || KEY_HEADERS.contains(&name) {
            return self.marked().iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        }
        self.js.get(name).ok().flatten()
    }

    fn with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        if prefix.starts_with("x-bf-") {
            return self.marked().iter().filter(|(name, _)| name.starts_with(prefix)).cloned().collect();
        }
        pairs(ffi::with_prefix(&self.js, prefix))
    }
}

impl Clock for Runtime {
    fn now_ms(&self) -> u64 {
        js_sys::Date::now() as u64
    }

    async fn sleep(&self, milliseconds: u64) {
        delay(u32::try_from(milliseconds).unwrap_or(u32::MAX)).await;
    }
}

impl Entropy for Runtime {
    fn bytes(&self) -> [u8; 16] {
        random()
    }
}

pub(super) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // The runtime's own generator does not fail; zeros would still be valid, only not unique.
    let _ = getrandom::fill(&mut bytes);
    bytes
}

impl Background for Runtime {
    type Stay = Stay;

    fn spawn(&self, task: Task) {
        self.context.wait_until(task);
    }

    fn stay(&self) -> Stay {
        let hold = ffi::Hold::new();
        self.wait_for(&hold.promise());
        Stay(hold)
    }
}

/// The runtime waits until it is dropped.
pub(super) struct Stay(ffi::Hold);

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Runtime {
    /// Has the runtime wait for a promise that does not fail. The crate would make a future of it first, which costs more than the rest.
    fn wait_for(&self, promise: &Promise) {
        // Fails only where the context is none.
        let _ = (*self.context).as_ref().wait_until(promise);
    }
}

impl LogSink for Runtime {
    fn warn(&self, line: &str) {
        ffi::console_warn(line);
    }

    fn log(&self, entry: LogEntry) {
        ffi::console_log(&entry.line);
        let queue = Reflect::get(self.env.as_ref(), &JsValue::from_str(LOGS)).unwrap_or_default();
        let span = entry.span.as_ref();
        let headers: Array = span.iter().flat_map(|span| &span.headers).map(|(name, value)| Array::of2(&name.into(), &value.into())).collect();
        let stored = entry.stored.as_ref().unwrap_or(&entry.line);
        let sent =
            ffi::gather(&queue, stored, stored.len() as u32, span.map(|span| span.json.as_str()), span.map(|span| span.endpoint.as_str()), &headers);
        if let Some(sent) = sent {
            self.wait_for(&sent);
        }
    }
}

impl Signer for Runtime {
    async fn sign_rs256(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, BadKey> {
        let sign = async {
            let algorithm = Object::new();
            Reflect::set(&algorithm, &"name".into(), &"RSASSA-PKCS1-v1_5".into())?;
            Reflect::set(&algorithm, &"hash".into(), &"SHA-256".into())?;
            let usages = Array::of1(&"sign".into());
            let key = JsFuture::from(ffi::import_key("pkcs8", key, &algorithm, false, &usages)?).await?;
            let signature = JsFuture::from(ffi::sign("RSASSA-PKCS1-v1_5", &key, data)?).await?;
            Ok::<_, JsValue>(ffi::bytes(&signature.unchecked_into()))
        };
        sign.await.map_err(|_| BadKey)
    }
}

impl Upstream for Runtime {
    type Body = Body;
    type Headers = JsHeaders;

    async fn send(&self, request: UpstreamRequest<Body>) -> Result<UpstreamReply<Body, JsHeaders>, SendError> {
        let unreachable = |_| SendError::Unreachable;
        let init = request_init(&request).map_err(unreachable)?;
        let answer = within(&ffi::fetch(&request.url, &init), request.timeout_ms).await.map_err(unreachable)?;
        // The runtime gives the connection up together with the request that it belongs to.
        let response: Response = answer.ok_or(SendError::TimedOut)?.unchecked_into();
        Ok(UpstreamReply { status: response.status(), headers: JsHeaders::new(response.headers()), body: Body::Reply(response) })
    }

    async fn read(&self, body: Body, limit: usize, timeout_ms: u32) -> Result<Vec<u8>, ReadError> {
        let buffer = match body {
            Body::Buffer(buffer) => buffer,
            Body::Reply(response) => {
                let length = response.headers().get("content-length").ok().flatten();
                if length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > limit) {
                    return Err(ReadError::TooLarge);
                }
                all_of(&response, timeout_ms).await?
            }
            Body::Incoming(_) => return Err(ReadError::Broken),
            stream => {
                let stream = stream.into_stream().map(JsValue::from).unwrap_or(JsValue::NULL);
                let response = ffi::new_response(&stream, &JsValue::UNDEFINED).map_err(|_| ReadError::Broken)?;
                all_of(&response, timeout_ms).await?
            }
        };
        if buffer.byte_length() as usize > limit { Err(ReadError::TooLarge) } else { Ok(ffi::bytes(&buffer)) }
    }

    async fn peek(&self, body: Body, limit: usize, timeout_ms: u32, enough: &mut dyn FnMut(&[u8]) -> bool) -> Result<(Vec<u8>, Body), ReadError> {
        let Body::Incoming(request) = body else { return Err(ReadError::Broken) };
        let Some(stream) = request.body() else { return Ok((Vec::new(), Body::Incoming(request))) };
        let reader = ffi::reader_of(&stream);
        let head = beginning(&reader, Vec::new(), limit, timeout_ms, enough).await?;
        reader.release_lock();
        Ok((head, Body::Stream(stream)))
    }

    async fn glance(
        &self,
        body: Body,
        goes_on: GoesOn,
        limit: usize,
        timeout_ms: u32,
        enough: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(Vec<u8>, Body), ReadError> {
        let (whole, looked_at, reader, seen) = match body {
            Body::Buffer(_) | Body::Incoming(_) => return Ok((Vec::new(), body)),
            Body::Seen { whole, looked_at, reader, head } => (whole, looked_at, reader, head.to_vec()),
            Body::Reply(_) | Body::Stream(_) => {
                let Some(stream) = body.clone().into_stream() else { return Ok((Vec::new(), body)) };
                let (whole, looked_at) = match goes_on {
                    GoesOn::Translated => (None, stream),
                    GoesOn::Untouched => {
                        let branches = stream.tee();
                        (Some(branches.get(0).unchecked_into()), branches.get(1).unchecked_into())
                    }
                };
                let reader = ffi::reader_of(&looked_at);
                (whole, looked_at, reader, Vec::new())
            }
        };
        match beginning(&reader, seen, limit, timeout_ms, enough).await {
            Ok(head) => {
                let body = Body::Seen { whole, looked_at, reader, head: head.as_slice().into() };
                Ok((head, body))
            }
            Err(error) => {
                whole.iter().for_each(let_go);
                Err(error)
            }
        }
    }

    async fn whole(&self, body: Body, limit: usize, timeout_ms: u32) -> Result<(Option<Vec<u8>>, Body), ReadError> {
        let length = match &body {
            Body::Buffer(buffer) => return Ok((Some(ffi::bytes(buffer)), body)),
            Body::Reply(reply) if reply.body().is_none() => return Ok((None, body)),
            Body::Reply(reply) => reply.headers().get("content-length").ok().flatten().and_then(|length| length.parse::<usize>().ok()),
            _ => None,
        };
        match (length, body) {
            (Some(length), body) if length > limit => Ok((None, body)),
            (Some(_), Body::Reply(reply)) => {
                let buffer = all_of(&reply, timeout_ms).await?;
                Ok((Some(ffi::bytes(&buffer)), Body::Buffer(buffer)))
            }
            // How long it will be nobody said: a copy is read as far as the limit.
            (_, body) => {
                let (head, body) = self.glance(body, GoesOn::Untouched, limit, timeout_ms, &mut |_| false).await?;
                Ok((Some(head).filter(|head| head.len() < limit), body))
            }
        }
    }

    fn discard(&self, body: Body) {
        if let (false, Some(stream)) = (matches!(body, Body::Incoming(_)), body.into_stream()) {
            let_go(&stream);
        }
    }

    fn body_of(&self, bytes: Vec<u8>) -> Body {
        Body::Buffer(Uint8Array::from(bytes.as_slice()).buffer())
    }

    fn meter(&self, body: Body, metering: Metering) -> Body {
        let Metering { limit, length, stream, at_end } = metering;
        // What is encoded here is longer or shorter there.
        let is_plain = |reply: &Response| !reply.headers().has("content-encoding").unwrap_or(true);
        let length = if let Body::Reply(reply) = &body { length.filter(|_| is_plain(reply)) } else { None };
        let (source, copy, head) = match body.clone() {
            Body::Seen { whole: Some(whole), reader, head, .. } => (Some(whole), Some(reader), head),
            plain @ (Body::Reply(_) | Body::Stream(_) | Body::Seen { .. }) => (plain.into_stream(), None, Rc::default()),
            Body::Buffer(_) | Body::Incoming(_) => (None, None, Rc::default()),
        };
        let Some(source) = source else {
            at_end(None, 0, Ended::Whole);
            return body;
        };
        let tell = Closure::once_into_js(move |pieces: Option<Array>, size: f64, how: u8| {
            let ended = match how {
                0 => Ended::Whole,
                1 => Ended::Left,
                _ => Ended::Broken,
            };
            at_end(pieces.as_ref().map(ffi::joined_bytes), size as u64, ended);
        });
        let length = length.map(|length| length as f64);
        let metered = ffi::meter(&source, copy.as_ref(), &head, length, limit as u32, stream, &self.request.signal(), &tell);
        self.wait_for(&metered.done());
        Body::Stream(metered.readable())
    }

    fn translate(&self, body: Body, machine: Box<dyn Machine>, idle_ms: u32, mut ends: Ends) -> Body {
        if let Some(told) = ends.after.take() {
            // Of a caller who leaves, the runtime lets nobody know whom nothing is waiting for.
            let staying = self.stay();
            ends.after = Some(Box::new(move |tally, ended| {
                told(tally, ended);
                drop(staying);
            }));
        }
        match body {
            Body::Buffer(_) | Body::Incoming(_) => body,
            Body::Seen { whole: None, reader, head, .. } => Body::Stream(pump::start(&head, Some(&reader), machine, idle_ms, ends)),
            body => {
                let reader = body.into_stream().map(|stream| ffi::reader_of(&stream));
                Body::Stream(pump::start(&[], reader.as_ref(), machine, idle_ms, ends))
            }
        }
    }
}

/// Reads on after `head` until `enough` says so of the bytes so far, the end, or at least `limit` bytes. On failure the stream is
/// given up.
async fn beginning(
    reader: &ffi::Reader,
    mut head: Vec<u8>,
    limit: usize,
    timeout_ms: u32,
    enough: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<Vec<u8>, ReadError> {
    let until = js_sys::Date::now() + f64::from(timeout_ms);
    while head.is_empty() || !(enough(&head) || head.len() >= limit) {
        let left_ms = (until - js_sys::Date::now()) as u32;
        let Some(read) = within(&ffi::some(reader), left_ms).await.map_err(|_| ReadError::Broken)? else {
            ffi::give_up(reader);
            return Err(ReadError::TimedOut);
        };
        let read: ffi::ReadResult = read.unchecked_into();
        if let Some(chunk) = read.value() {
            head.extend_from_slice(&chunk.to_vec());
        }
        if read.done() {
            break;
        }
    }
    Ok(head)
}

/// All of an answer.
async fn all_of(response: &Response, timeout_ms: u32) -> Result<ArrayBuffer, ReadError> {
    let promise = response.array_buffer().map_err(|_| ReadError::Broken)?;
    let buffer = within(&promise, timeout_ms).await.map_err(|_| ReadError::Broken)?;
    buffer.map(JsCast::unchecked_into).ok_or(ReadError::TimedOut)
}

/// What a promise of something resolves to; `None` when the time is over before.
async fn within(promise: &Promise, timeout_ms: u32) -> Result<Option<JsValue>, JsValue> {
    // One wait and not a race of two: the timer stays in JS.
    let value = JsFuture::from(ffi::within(promise, timeout_ms)).await?;
    Ok(Some(value).filter(|value| !value.is_undefined()))
}

fn delay(milliseconds: u32) -> worker::Delay {
    worker::Delay::from(std::time::Duration::from_millis(u64::from(milliseconds)))
}

fn request_init(request: &UpstreamRequest<Body>) -> Result<RequestInit, JsValue> {
    let headers = web_sys::Headers::new()?;
    change(&headers, &[], &request.headers)?;
    let init = RequestInit::new();
    init.set_method(request.method);
    init.set_headers(&headers);
    // Credentials must not follow a redirect to another host.
    init.set_redirect(RequestRedirect::Manual);
    match &request.body {
        Outgoing::Bytes(bytes) => init.set_body(&Uint8Array::from(bytes.as_slice())),
        Outgoing::Untouched(Body::Buffer(buffer)) => init.set_body(buffer),
        Outgoing::Untouched(Body::Incoming(request)) => init.set_body_opt_readable_stream(request.body().as_ref()),
        Outgoing::Continued { head, rest: Body::Stream(rest), length } => {
            init.set_body(&ffi::joined(head, rest, length.map(|length| length as f64)));
        }
        Outgoing::Continued { head, .. } => init.set_body(&Uint8Array::from(head.as_slice())),
        Outgoing::Nothing | Outgoing::Untouched(_) => {}
    }
    Ok(init)
}
