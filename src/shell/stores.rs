//! The stores: key-value, database, and the objects that count.

use js_sys::{Array, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{D1Database, D1PreparedStatement};

use super::outside::Runtime;
use super::{d1_ids, d1_responses, ffi};
use crate::base::sql::{Param, Statement};
use crate::governance::message::{Message, Reply};
use crate::ports::{Budgets, Database, IssuedIds, JobQueue, KeyStore, ResponseStore, StoreError, StoredResponse};

/// D1's binding.
pub(super) const DATABASE: &str = "DB";

/// The key-value store's.
const KEYS: &str = "KEYS";

/// The binding of the queue of jobs.
const JOBS: &str = "JOBS";

/// The binding of the nodes that count.
const BUDGETS: &str = "BUDGETS";

impl ResponseStore for Runtime {
    fn has_store(&self) -> bool {
        self.env.d1(DATABASE).is_ok()
    }

    async fn keep(&self, response: StoredResponse) -> Result<(), StoreError> {
        d1_responses::keep(&self.database()?, &response).await
    }

    async fn chain(&self, owner: &str, id: &str, now: u64) -> Result<Vec<StoredResponse>, StoreError> {
        d1_responses::chain(&self.database()?, owner, id, now).await
    }

    async fn find(&self, owner: &str, id: &str, now: u64) -> Result<Option<StoredResponse>, StoreError> {
        d1_responses::find(&self.database()?, owner, id, now).await
    }

    async fn forget(&self, owner: &str, id: &str) -> Result<(), StoreError> {
        d1_responses::forget(&self.database()?, owner, id).await
    }
}

impl IssuedIds for Runtime {
    async fn note_issuer(&self, provider: &'static str, ids: &[String], now: u64, expires_at: u64) -> Result<(), StoreError> {
        d1_ids::note(&self.database()?, provider, ids, now, expires_at).await
    }

    async fn issuers(&self, ids: &[String]) -> Result<Vec<(String, String)>, StoreError> {
        d1_ids::issuers(&self.database()?, ids).await
    }
}

impl KeyStore for Runtime {
    async fn value(&self, name: &str) -> Result<Option<String>, StoreError> {
        /// How long Cloudflare's edge may remember it, in seconds; the least that there is.
        const FRESH: u64 = 30;
        let Ok(store) = self.env.kv(KEYS) else { return Ok(None) };
        store.get(name).cache_ttl(FRESH).text().await.map_err(|error| StoreError(error.to_string()))
    }

    async fn values(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        /// How many values one read brings.
        const TOGETHER: usize = 100;
        let failed = |error: worker::kv::KvError| StoreError(error.to_string());
        let store = self.keys()?;
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let mut list = store.list().prefix(prefix.to_owned());
            if let Some(cursor) = cursor {
                list = list.cursor(cursor);
            }
            let page = list.execute().await.map_err(failed)?;
            let names: Vec<String> = page.keys.into_iter().map(|key| key.name).collect();
            for names in names.chunks(TOGETHER) {
                let values = store.get_bulk(names).text().await.map_err(failed)?;
                found.extend(values.into_iter().filter_map(|(name, value)| Some((name, value?))));
            }
            cursor = page.cursor.filter(|_| !page.list_complete);
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    async fn put(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let failed = |error: worker::kv::KvError| StoreError(error.to_string());
        self.keys()?.put(name, value).map_err(failed)?.execute().await.map_err(failed)
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.keys()?.delete(name).await.map_err(|error| StoreError(error.to_string()))
    }
}

impl Budgets for Runtime {
    async fn tell(&self, node: &str, message: &Message) -> Result<Reply, StoreError> {
        let failed = |error: worker::Error| StoreError(error.to_string());
        let stub = self.env.durable_object(BUDGETS).and_then(|nodes| nodes.get_by_name(node)).map_err(failed)?;
        let body = serde_json::to_string(message).map_err(|error| StoreError(error.to_string()))?;
        let mut init = worker::RequestInit::new();
        init.with_method(worker::Method::Post).with_body(Some(JsValue::from_str(&body)));
        let request = worker::Request::new_with_init("https://node.invalid/", &init).map_err(failed)?;
        let mut response = stub.fetch_with_request(request).await.map_err(failed)?;
        let text = response.text().await.map_err(failed)?;
        serde_json::from_str(&text).map_err(|_| StoreError(format!("it answered {}", response.status_code())))
    }
}

impl Database for Runtime {
    async fn texts(&self, statement: &Statement) -> Result<Vec<String>, StoreError> {
        let rows = prepared(&self.database()?, statement)?.raw_js_value().await.map_err(d1_responses::failed)?;
        Ok(rows.into_iter().map(|row| text(&Array::from(&row).get(0))).collect())
    }

    async fn together(&self, statements: &[Statement]) -> Result<(), StoreError> {
        let db = self.database()?;
        let prepared = statements.iter().map(|statement| prepared(&db, statement)).collect::<Result<Vec<_>, _>>()?;
        let results = db.batch(prepared).await.map_err(d1_responses::failed)?;
        results.iter().find_map(worker::D1Result::error).map_or(Ok(()), |error| Err(StoreError(error)))
    }
}

fn text(cell: &JsValue) -> String {
    cell.as_string().or_else(|| cell.as_f64().map(|number| number.to_string())).unwrap_or_default()
}

impl JobQueue for Runtime {
    fn has_queue(&self) -> bool {
        self.queue().is_some()
    }

    async fn enqueue(&self, messages: &[String], delay_s: u64) -> Result<(), StoreError> {
        let failed = |error: JsValue| StoreError(ffi::words(&error));
        let queue = self.queue().ok_or_else(|| StoreError("no queue JOBS is bound".to_owned()))?;
        let texts: js_sys::Array = messages.iter().map(|text| JsValue::from_str(text)).collect();
        let sent = ffi::enqueue(&queue, &texts, delay_s as f64);
        JsFuture::from(sent).await.map(drop).map_err(failed)
    }
}

/// A statement, ready to be carried out.
pub(super) fn prepared(db: &D1Database, statement: &Statement) -> Result<D1PreparedStatement, StoreError> {
    let params: Vec<JsValue> = statement
        .params
        .iter()
        .map(|param| match param {
            Param::Text(text) => d1_responses::text(text),
            Param::Number(number) => d1_responses::number(*number),
        })
        .collect();
    d1_responses::statement(db, &statement.sql, &params)
}

impl Runtime {
    fn queue(&self) -> Option<JsValue> {
        let queue = Reflect::get(self.env.as_ref(), &JsValue::from_str(JOBS)).ok()?;
        (!queue.is_undefined()).then_some(queue)
    }

    fn keys(&self) -> Result<worker::kv::KvStore, StoreError> {
        self.env.kv(KEYS).map_err(|error| StoreError(error.to_string()))
    }

    fn database(&self) -> Result<D1Database, StoreError> {
        self.env.d1(DATABASE).map_err(|error| StoreError(error.to_string()))
    }
}
