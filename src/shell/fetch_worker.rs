//! HTTP requests.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use js_sys::{ArrayBuffer, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, Response, ResponseInit};
use worker::{Context, Env, event};

use super::ffi;
use super::outside::{Body, JsHeaders, Runtime, change, random};
use crate::base::ids::Seed;
use crate::gateway::{self, Answer, Config, Gateway};
use crate::http::headers::Headers;
use crate::http::{Failure, Operation, Surface, cors, render, route};

thread_local! {
    /// Settings do not change while an isolate lives.
    static GATEWAY: OnceCell<Rc<Gateway>> = const { OnceCell::new() };
}

/// Methods that any operation takes.
const METHODS: [&str; 6] = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"];

/// Words that cross the border in every request, and would be decoded anew each time.
const EVERY_REQUEST: [&str; 8] =
    ["POST", "content-length", "content-type", "idempotency-key", "openai-beta", "openai-organization", "openai-project", "x-request-id"];

#[event(start)]
fn start() {
    console_error_panic_hook::set_once();
    ffi::hasten_microtasks();
    for text in EVERY_REQUEST {
        wasm_bindgen::intern(text);
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let gateway = gateway(&env);
    let url = request.url();
    let (path, query) = split_url(&url);
    let headers = JsHeaders::new(request.headers());
    let browser = (!gateway.config.settings.allowed_origins.is_empty()).then(|| headers.get("origin")).flatten();
    let method = request.method();
    if method == "OPTIONS" {
        let mut headers = cors::preflight(browser.as_deref(), &gateway.config.settings.allowed_origins);
        headers.push(("x-request-id", request_id()));
        return Ok(respond(204, None, &headers, None)?);
    }
    let id = request_id();
    let route = route(&method, path);
    let surface = gateway::surface_of(&route);
    let notes = RefCell::default();
    let answer = match route {
        Ok(route) => {
            let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("HEAD");
            // The handle; `request.clone()` would copy the body.
            let body = read(&gateway, Clone::clone(&request), route.operation.clone(), &headers);
            let runtime = Runtime { env, context: Rc::new(context), request };
            let call = gateway::Call { route, headers: &headers, id: id.clone(), method, path, query, notes: &notes, job: None };
            gateway.serve(&runtime, call, body).await
        }
        Err((_, failure)) => Err(failure),
    };
    let mut extra = gateway.cors(browser.as_deref());
    extra.append(&mut notes.borrow_mut());
    Ok(match answer {
        Ok(answer) => write(answer, extra, method == "HEAD", &id),
        Err(failure) => write_failure(&failure, &extra, surface, &id),
    }?)
}

/// The isolate's gateway.
pub(super) fn gateway(env: &Env) -> Rc<Gateway> {
    GATEWAY.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(Gateway::new(read_config(env))))))
}

fn read_config(env: &Env) -> Config {
    Config::read(&|name| Reflect::get(env.as_ref(), &JsValue::from_str(name)).ok()?.as_string())
}

/// The body, and its bytes where the operation reads them.
async fn read(gateway: &Gateway, request: Request, operation: Operation, headers: &JsHeaders) -> Result<(Body, Vec<u8>), Failure> {
    if !gateway.reads_body(&operation, headers) {
        return Ok((Body::Incoming(request), Vec::new()));
    }
    let buffer = read_body(&request, headers, gateway.config.settings.max_body_bytes).await?;
    let bytes = ffi::bytes(&buffer);
    Ok((Body::Buffer(buffer), bytes))
}

async fn read_body(request: &Request, headers: &JsHeaders, limit: usize) -> Result<ArrayBuffer, Failure> {
    let too_large = || Failure::BodyTooLarge { limit };
    if let Some(kind) = headers.get("content-type").filter(|kind| !gateway::is_json(kind)) {
        return Err(Failure::UnsupportedMediaType { content_type: kind });
    }
    if headers.get("content-length").and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let unreadable = |_| Failure::InvalidJson("the body could not be read".to_owned());
    let promise = request.array_buffer().map_err(unreadable)?;
    let buffer: ArrayBuffer = JsFuture::from(promise).await.map_err(unreadable)?.unchecked_into();
    if buffer.byte_length() as usize > limit { Err(too_large()) } else { Ok(buffer) }
}

/// The path as it was sent and the query, both without decoding.
fn split_url(url: &str) -> (&str, &str) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let from_path = after_scheme.find('/').and_then(|slash| after_scheme.get(slash..)).unwrap_or("/");
    let from_path = from_path.split('#').next().unwrap_or_default();
    from_path.split_once('?').unwrap_or((from_path, ""))
}

/// The answer, with `extra` headers besides its own.
fn write(answer: Answer<Body, JsHeaders>, mut extra: Vec<(&'static str, String)>, head: bool, id: &str) -> Result<Response, JsValue> {
    match answer {
        Answer::Json { status, headers, body } => {
            extra.extend(headers);
            extra.push(("content-type", "application/json".to_owned()));
            extra.push(("x-request-id", id.to_owned()));
            let body = JsValue::from_str(&body);
            respond(status, None, &extra, (!head).then_some(&body))
        }
        Answer::Text { headers, body } => {
            extra.extend(headers);
            let body = JsValue::from_str(&body);
            respond(200, None, &extra, (!head).then_some(&body))
        }
        Answer::Stream { headers, body } => {
            extra.extend(headers);
            extra.push(("content-type", "text/event-stream; charset=utf-8".to_owned()));
            extra.push(("cache-control", "no-cache".to_owned()));
            extra.push(("x-request-id", id.to_owned()));
            respond(200, None, &extra, stream_of(&body).as_ref())
        }
        Answer::Untouched { status, upstream, without, headers, body } => {
            extra.extend(headers);
            if !upstream.js.has("x-request-id")? {
                extra.push(("x-request-id", id.to_owned()));
            }
            let response = untouched(status, &upstream, &body)?;
            change(&response.headers(), without, &extra)?;
            Ok(response)
        }
    }
}

fn write_failure(failure: &Failure, extra: &[(&'static str, String)], surface: Surface, id: &str) -> Result<Response, JsValue> {
    let rendered = render(failure, surface.dialect(), id);
    let headers = web_sys::Headers::new()?;
    headers.set("content-type", "application/json")?;
    change(&headers, &[], &rendered.headers)?;
    respond(rendered.status, Some(headers), extra, Some(&JsValue::from_str(&rendered.body)))
}

fn respond(status: u16, headers: Option<web_sys::Headers>, extra: &[(&'static str, String)], body: Option<&JsValue>) -> Result<Response, JsValue> {
    let headers = match headers {
        Some(headers) => headers,
        None => web_sys::Headers::new()?,
    };
    change(&headers, &[], extra)?;
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(&headers);
    let body = body.filter(|_| has_body(status));
    ffi::new_response(body.unwrap_or(&JsValue::NULL), &init)
}

/// A copy of the provider's response, whose headers may be changed.
fn untouched(status: u16, upstream: &JsHeaders, body: &Body) -> Result<Response, JsValue> {
    if let Body::Reply(reply) = body {
        let stream = reply.body().map(JsValue::from).filter(|_| has_body(status));
        return ffi::new_response(stream.as_ref().unwrap_or(&JsValue::NULL), reply);
    }
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(&upstream.js);
    let response = ffi::new_response(stream_of(body).as_ref().unwrap_or(&JsValue::NULL), &init)?;
    if matches!(body, Body::Buffer(_)) {
        // Of what was read and is written again, the length is the runtime's to tell.
        response.headers().delete("content-length")?;
    }
    Ok(response)
}

/// These statuses have no body; the runtime throws when they are given one.
fn has_body(status: u16) -> bool {
    !matches!(status, 101 | 204 | 205 | 304)
}

fn stream_of(body: &Body) -> Option<JsValue> {
    match body {
        Body::Buffer(buffer) => Some(buffer.into()),
        other => other.clone().into_stream().map(JsValue::from),
    }
}

fn request_id() -> String {
    Seed(random()).id("req_")
}
