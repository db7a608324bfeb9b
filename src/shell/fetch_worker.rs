//! HTTP requests.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::{ArrayBuffer, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, Response, ResponseInit};
use worker::{Context, Env, event};

use super::ffi;
use super::outside::{Body, JsHeaders, Runtime, random};
use crate::base::ids::Seed;
use crate::gateway::{self, Answer, Config, Gateway};
use crate::http::headers::{Headers, NOT_TO_CALLER};
use crate::http::{Failure, Operation, Surface, cors, render, route};

thread_local! {
    /// Settings do not change while an isolate lives.
    static GATEWAY: OnceCell<Rc<Gateway>> = const { OnceCell::new() };
}

/// Header names and words that every request needs as JavaScript strings.
const EVERY_REQUEST: [&str; 18] = [
    "POST",
    "api-key",
    "authorization",
    "cache-control",
    "content-length",
    "content-type",
    "application/json",
    "idempotency-key",
    "no-cache",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "text/event-stream; charset=utf-8",
    "x-api-key",
    "x-bf-attempts",
    "x-bf-model",
    "x-bf-provider",
    "x-request-id",
];

#[event(start)]
fn start() {
    console_error_panic_hook::set_once();
    // What crosses the border in every request.
    for text in NOT_TO_CALLER.into_iter().chain(EVERY_REQUEST) {
        wasm_bindgen::intern(text);
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    let gateway = GATEWAY.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(Gateway::new(read_config(&env))))));
    let url = request.url();
    let (path, query) = split_url(&url);
    let headers = JsHeaders(request.headers());
    let browser = (!gateway.config.settings.allowed_origins.is_empty()).then(|| headers.get("origin")).flatten();
    let method = request.method();
    if method == "OPTIONS" {
        let mut headers = cors::preflight(browser.as_deref(), &gateway.config.settings.allowed_origins);
        headers.push(("x-request-id", request_id()));
        return Ok(respond(204, None, &headers, None)?);
    }
    let route = route(&method, path);
    let surface = gateway::surface_of(&route);
    let answer = match route {
        Ok(route) => serve(&gateway, Runtime(env), request, &method, route, &headers, query).await,
        Err((_, failure)) => Err(failure),
    };
    let response = match answer {
        Ok(answer) => write(&gateway, answer, method == "HEAD", browser.as_deref()),
        Err(failure) => write_failure(&gateway, &failure, surface, browser.as_deref()),
    };
    Ok(response?)
}

fn read_config(env: &Env) -> Config {
    Config::read(&|name| Reflect::get(env.as_ref(), &JsValue::from_str(name)).ok()?.as_string())
}

async fn serve(
    gateway: &Gateway,
    runtime: Runtime,
    request: Request,
    method: &str,
    route: crate::http::Route,
    headers: &JsHeaders,
    query: &str,
) -> Result<Answer<Body, JsHeaders>, Failure> {
    let method = ["GET", "POST", "DELETE"].into_iter().find(|known| *known == method).unwrap_or("HEAD");
    let is_native = matches!(route.operation, Operation::Native(_));
    // What is no JSON goes through as it comes.
    let takes_json = route.operation.takes_json() || (is_native && headers.get("content-type").is_some_and(|kind| is_json(&kind)));
    let (body, bytes) = if takes_json {
        let buffer = read_body(&request, headers, gateway.config.settings.max_body_bytes).await?;
        let bytes = ffi::bytes(&buffer);
        (Body::Buffer(buffer), bytes)
    } else {
        (Body::Incoming(request), Vec::new())
    };
    gateway.serve(&runtime, gateway::Request { route, headers, method, query, body, bytes: &bytes }).await
}

async fn read_body(request: &Request, headers: &JsHeaders, limit: usize) -> Result<ArrayBuffer, Failure> {
    let too_large = || Failure::BodyTooLarge { limit };
    if let Some(kind) = headers.get("content-type").filter(|kind| !is_json(kind)) {
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

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// The path as it was sent and the query, both without decoding.
fn split_url(url: &str) -> (&str, &str) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let from_path = after_scheme.find('/').and_then(|slash| after_scheme.get(slash..)).unwrap_or("/");
    let from_path = from_path.split('#').next().unwrap_or_default();
    from_path.split_once('?').unwrap_or((from_path, ""))
}

fn write(gateway: &Gateway, answer: Answer<Body, JsHeaders>, head: bool, browser: Option<&str>) -> Result<Response, JsValue> {
    let mut extra = gateway.cors(browser);
    match answer {
        Answer::Json { status, headers, body } => {
            extra.extend(headers);
            extra.push(("content-type", "application/json".to_owned()));
            extra.push(("x-request-id", request_id()));
            let body = JsValue::from_str(&body);
            respond(status, None, &extra, (!head).then_some(&body))
        }
        Answer::Stream { headers, body } => {
            extra.extend(headers);
            extra.push(("content-type", "text/event-stream; charset=utf-8".to_owned()));
            extra.push(("cache-control", "no-cache".to_owned()));
            extra.push(("x-request-id", request_id()));
            respond(200, None, &extra, stream_of(&body).as_ref())
        }
        Answer::Untouched { status, upstream, headers, body } => {
            extra.extend(headers);
            if !upstream.0.has("x-request-id")? {
                extra.push(("x-request-id", request_id()));
            }
            let response = untouched(status, &body)?;
            let headers = response.headers();
            for name in NOT_TO_CALLER {
                headers.delete(name)?;
            }
            for (name, value) in &extra {
                headers.set(name, value)?;
            }
            Ok(response)
        }
    }
}

fn write_failure(gateway: &Gateway, failure: &Failure, surface: Surface, browser: Option<&str>) -> Result<Response, JsValue> {
    let rendered = render(failure, surface.dialect(), &request_id());
    let headers = web_sys::Headers::new()?;
    headers.set("content-type", "application/json")?;
    for (name, value) in &rendered.headers {
        headers.set(name, value)?;
    }
    respond(rendered.status, Some(headers), &gateway.cors(browser), Some(&JsValue::from_str(&rendered.body)))
}

fn respond(status: u16, headers: Option<web_sys::Headers>, extra: &[(&'static str, String)], body: Option<&JsValue>) -> Result<Response, JsValue> {
    let headers = match headers {
        Some(headers) => headers,
        None => web_sys::Headers::new()?,
    };
    for (name, value) in extra {
        headers.set(name, value)?;
    }
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(&headers);
    let body = body.filter(|_| has_body(status));
    ffi::new_response(body.unwrap_or(&JsValue::NULL), &init)
}

/// A copy of the provider's response, whose headers may be changed.
fn untouched(status: u16, body: &Body) -> Result<Response, JsValue> {
    match body {
        Body::Reply(reply) => {
            let stream = reply.body().map(JsValue::from).filter(|_| has_body(status));
            ffi::new_response(stream.as_ref().unwrap_or(&JsValue::NULL), reply)
        }
        other => ffi::new_response(stream_of(other).as_ref().unwrap_or(&JsValue::NULL), &JsValue::UNDEFINED),
    }
}

/// These statuses have no body; the runtime throws when they are given one.
fn has_body(status: u16) -> bool {
    !matches!(status, 101 | 204 | 205 | 304)
}

fn stream_of(body: &Body) -> Option<JsValue> {
    match body {
        Body::Reply(response) => response.body().map(JsValue::from),
        Body::Stream(stream) => Some(stream.into()),
        Body::Buffer(buffer) => Some(buffer.into()),
        Body::Incoming(request) => request.body().map(JsValue::from),
    }
}

fn request_id() -> String {
    Seed(random()).id("req_")
}
