//! Who gave an identifier out, in D1.

use js_sys::Array;
use worker::D1Database;

use super::d1_responses::{failed, number, statement, text};
use crate::ports::StoreError;

/// Notes the issuer; some of what has expired goes when others come.
pub(super) async fn note(db: &D1Database, provider: &str, ids: &[String], now: u64, expires_at: u64) -> Result<(), StoreError> {
    const SWEEP: &str = "DELETE FROM issued_ids WHERE id IN (SELECT id FROM issued_ids WHERE expires_at < ?1 ORDER BY expires_at LIMIT 100)";
    const NOTE: &str = "INSERT INTO issued_ids (id, provider, expires_at) SELECT value, ?2, ?3 FROM json_each(?1) WHERE true
        ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, expires_at = excluded.expires_at";
    let batch = vec![
        statement(db, SWEEP, &[number(now)])?,
        statement(db, NOTE, &[text(&serde_json::json!(ids).to_string()), text(provider), number(expires_at)])?,
    ];
    db.batch(batch).await.map_err(failed)?;
    Ok(())
}

pub(super) async fn issuers(db: &D1Database, ids: &[String]) -> Result<Vec<(String, String)>, StoreError> {
    const QUERY: &str = "SELECT id, provider FROM issued_ids WHERE id IN (SELECT value FROM json_each(?1))";
    let rows = statement(db, QUERY, &[text(&serde_json::json!(ids).to_string())])?.raw_js_value().await.map_err(failed)?;
    let pair = |row: wasm_bindgen::JsValue| {
        let row: Array = row.into();
        Some((row.get(0).as_string()?, row.get(1).as_string()?))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}
