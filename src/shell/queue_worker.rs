//! Messages of the queues. This never fails as a whole: each message is acknowledged or put back by itself.

use std::rc::Rc;

use js_sys::Array;
use serde_json::value::RawValue;
use wasm_bindgen::prelude::*;
use worker::{Context, D1Database, Env};

use super::fetch_worker::gateway;
use super::outside::Runtime;
use super::stores::{DATABASE, prepared};
use super::{d1_responses, ffi};
use crate::accounting::query;
use crate::gateway::Gateway;
use crate::gateway::job_runs::{self, Handled};
use crate::ports::StoreError;

/// How many bytes of records one statement inserts: a parameter has two million at most.
const TOGETHER: usize = 1_000_000;

/// As many deliveries as `max_retries` in wrangler.toml allows: after the last nobody would hear of the message again.
const DELIVERIES_MAX: f64 = 50.0;

#[wasm_bindgen]
extern "C" {
    /// A batch of messages.
    pub type Batch;

    #[wasm_bindgen(method, getter)]
    fn messages(this: &Batch) -> Array;

    #[wasm_bindgen(method, getter)]
    fn queue(this: &Batch) -> String;

    /// One of them.
    type Message;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Message) -> JsValue;

    #[wasm_bindgen(method, getter)]
    fn attempts(this: &Message) -> f64;

    #[wasm_bindgen(method)]
    fn ack(this: &Message);

    #[wasm_bindgen(method)]
    fn retry(this: &Message, options: &JsValue);
}

/// The queue event. worker-build wraps an exported function of this name.
#[wasm_bindgen]
#[allow(unreachable_pub)] // wasm-bindgen exports it.
pub async fn queue(batch: Batch, env: Env, context: JsValue) {
    let messages: Vec<Message> = batch.messages().iter().map(JsCast::unchecked_into).collect();
    let name = batch.queue();
    if name.ends_with("jobs-dlq") {
        dead_jobs(&messages, env, context).await;
    } else if name.ends_with("jobs") {
        jobs(&messages, env, context).await;
    } else {
        logs(&messages, &env).await;
    }
}

/// Jobs to be done, or to be told of.
async fn jobs(messages: &[Message], env: Env, context: JsValue) {
    let Some((gateway, runtime)) = runtime(env, context) else { return };
    for message in messages {
        let Some(job) = message.body().as_string().and_then(|text| job_runs::Message::parse(&text)) else {
            ffi::console_warn("a message of the queue of jobs is none, and is dropped");
            message.ack();
            continue;
        };
        match gateway.handle(&runtime, job).await {
            Handled::Done => message.ack(),
            Handled::Again(seconds) => retry_after(message, seconds as f64),
        }
    }
}

/// Messages that were delivered too often.
async fn dead_jobs(messages: &[Message], env: Env, context: JsValue) {
    let Some((gateway, runtime)) = runtime(env, context) else { return };
    for message in messages {
        if let Some(job_runs::Message::Do(id)) = message.body().as_string().and_then(|text| job_runs::Message::parse(&text)) {
            ffi::console_warn(&format!("the job {id} is given up: its message was delivered too often"));
            gateway.give_up_job(&runtime, &id).await;
        }
        message.ack();
    }
}

/// The gateway, and the runtime without a caller.
pub(super) fn runtime(env: Env, context: JsValue) -> Option<(Rc<Gateway>, Runtime)> {
    let gateway = gateway(&env);
    let request = web_sys::Request::new_with_str("https://nobody.invalid/").ok()?;
    Some((gateway, Runtime { env, context: Rc::new(Context::new(context.unchecked_into())), request }))
}

/// Records of requests.
async fn logs(messages: &[Message], env: &Env) {
    let bodies: Vec<Option<String>> = messages.iter().map(|message| message.body().as_string()).collect();
    let mut good = Vec::new();
    for (message, body) in messages.iter().zip(&bodies) {
        match body.as_deref().and_then(|body| serde_json::from_str::<Vec<&RawValue>>(body).ok()) {
            Some(records) => good.push((message, records)),
            None => {
                ffi::console_warn("a message of the queue of records is none, and is dropped");
                message.ack();
            }
        }
    }
    let all: Vec<&RawValue> = good.iter().flat_map(|(_, records)| records.iter().copied()).collect();
    if insert(env, &all).await.is_ok() {
        good.iter().for_each(|(message, _)| message.ack());
        return;
    }
    // One bad message must not keep the others out.
    for (message, records) in good {
        let Err(error) = insert(env, &records).await else {
            message.ack();
            continue;
        };
        let attempts = message.attempts();
        if attempts < DELIVERIES_MAX {
            ffi::console_warn(&format!("{} records are tried again later: {}", records.len(), error.0));
            put_back(message, attempts);
            continue;
        }
        ffi::console_warn(&format!("records did not get into the table after {attempts} attempts: {}", error.0));
        records.iter().for_each(|record| ffi::console_log(record.get()));
        message.ack();
    }
}

/// Tried again after a second, two, four …, ten minutes at most.
fn put_back(message: &Message, attempts: f64) {
    retry_after(message, 2_f64.powf((attempts - 1.0).clamp(0.0, 12.0)).min(600.0));
}

fn retry_after(message: &Message, seconds: f64) {
    let options = js_sys::Object::new();
    // Fails for what is no object only.
    let _ = js_sys::Reflect::set(&options, &"delaySeconds".into(), &seconds.into());
    message.retry(&options);
}

/// Inserts records; those that are there already stay as they are.
async fn insert(env: &Env, records: &[&RawValue]) -> Result<(), StoreError> {
    let db: D1Database = env.d1(DATABASE).map_err(d1_responses::failed)?;
    let mut rest = records;
    while !rest.is_empty() {
        let (mut size, mut count) = (0, 0);
        for record in rest {
            size += record.get().len() + 1;
            if count > 0 && size > TOGETHER {
                break;
            }
            count += 1;
        }
        let (now, later) = rest.split_at(count);
        rest = later;
        let list = format!("[{}]", now.iter().map(|record| record.get()).collect::<Vec<_>>().join(","));
        let statements = query::insert(&list).iter().map(|statement| prepared(&db, statement)).collect::<Result<Vec<_>, _>>()?;
        let results = db.batch(statements).await.map_err(d1_responses::failed)?;
        if let Some(error) = results.iter().find_map(worker::D1Result::error) {
            return Err(StoreError(error));
        }
    }
    Ok(())
}
