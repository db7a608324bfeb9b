//! Stored responses in D1.

use js_sys::Array;
use wasm_bindgen::JsValue;
use worker::{D1Database, D1PreparedStatement};

use crate::base::text::pieces;
use crate::ports::{StoreError, StoredResponse};

/// A row of D1 holds 2 MB of UTF-8; this leaves room.
const PIECE: usize = 1_000_000;
/// How many expired responses one write takes out.
const SWEPT: &str = "(SELECT id FROM responses WHERE expires_at < ?1 ORDER BY expires_at LIMIT 20)";

pub(super) async fn keep(db: &D1Database, response: &StoredResponse) -> Result<(), StoreError> {
    let now = number(response.created_at);
    let row = [
        text(&response.id),
        text(&response.owner),
        response.previous.as_deref().map_or(JsValue::NULL, text),
        now.clone(),
        number(response.expires_at),
    ];
    let mut batch = vec![
        statement(db, &format!("DELETE FROM response_pieces WHERE response_id IN {SWEPT}"), std::slice::from_ref(&now))?,
        statement(db, &format!("DELETE FROM responses WHERE id IN {SWEPT}"), std::slice::from_ref(&now))?,
        statement(db, "INSERT INTO responses (id, owner, previous_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)", &row)?,
    ];
    for (part, whole) in [("input", &response.input), ("body", &response.body)] {
        for (seq, piece) in pieces(whole, PIECE).enumerate() {
            let row = [text(&response.id), text(part), number(seq as u64), text(piece)];
            batch.push(statement(db, "INSERT INTO response_pieces (response_id, part, seq, data) VALUES (?1, ?2, ?3, ?4)", &row)?);
        }
    }
    db.batch(batch).await.map_err(failed)?;
    Ok(())
}

pub(super) async fn chain(db: &D1Database, owner: &str, id: &str, now: u64) -> Result<Vec<StoredResponse>, StoreError> {
    const QUERY: &str = "WITH RECURSIVE chain (id, previous_id, created_at, expires_at, depth) AS (
          SELECT id, previous_id, created_at, expires_at, 0 FROM responses WHERE id = ?1 AND owner = ?2 AND expires_at >= ?3
          UNION ALL
          SELECT r.id, r.previous_id, r.created_at, r.expires_at, c.depth + 1 FROM chain c
            JOIN responses r ON r.id = c.previous_id AND r.owner = ?2 AND r.expires_at >= ?3 WHERE c.depth < 1000
        )
        SELECT c.id, c.previous_id, c.created_at, c.expires_at, p.part, p.data FROM chain c
          JOIN response_pieces p ON p.response_id = c.id ORDER BY c.depth DESC, p.part, p.seq";
    read(db, QUERY, owner, id, now).await
}

pub(super) async fn find(db: &D1Database, owner: &str, id: &str, now: u64) -> Result<Option<StoredResponse>, StoreError> {
    const QUERY: &str = "SELECT r.id, r.previous_id, r.created_at, r.expires_at, p.part, p.data FROM responses r
          JOIN response_pieces p ON p.response_id = r.id
        WHERE r.id = ?1 AND r.owner = ?2 AND r.expires_at >= ?3 ORDER BY p.part, p.seq";
    Ok(read(db, QUERY, owner, id, now).await?.pop())
}

async fn read(db: &D1Database, query: &str, owner: &str, id: &str, now: u64) -> Result<Vec<StoredResponse>, StoreError> {
    let rows = statement(db, query, &[text(id), text(owner), number(now)])?.raw_js_value().await.map_err(failed)?;
    let mut chain: Vec<StoredResponse> = Vec::new();
    for row in rows {
        let row: Array = row.into();
        let [id, previous, created, expires, part, data] = [0, 1, 2, 3, 4, 5].map(|column| row.get(column));
        let id = id.as_string().unwrap_or_default();
        if chain.last().is_none_or(|last| last.id != id) {
            chain.push(StoredResponse {
                id,
                owner: owner.to_owned(),
                previous: previous.as_string(),
                created_at: created.as_f64().unwrap_or_default() as u64,
                expires_at: expires.as_f64().unwrap_or_default() as u64,
                input: String::new(),
                body: String::new(),
            });
        }
        if let (Some(last), Some(data)) = (chain.last_mut(), data.as_string()) {
            match part.as_string().as_deref() {
                Some("input") => last.input.push_str(&data),
                _ => last.body.push_str(&data),
            }
        }
    }
    Ok(chain)
}

pub(super) async fn forget(db: &D1Database, owner: &str, id: &str) -> Result<(), StoreError> {
    let row = [text(id), text(owner)];
    let pieces = "DELETE FROM response_pieces WHERE response_id IN (SELECT id FROM responses WHERE id = ?1 AND owner = ?2)";
    let batch = vec![statement(db, pieces, &row)?, statement(db, "DELETE FROM responses WHERE id = ?1 AND owner = ?2", &row)?];
    db.batch(batch).await.map_err(failed)?;
    Ok(())
}

pub(super) fn statement(db: &D1Database, query: &str, values: &[JsValue]) -> Result<D1PreparedStatement, StoreError> {
    db.prepare(query).bind(values).map_err(failed)
}

pub(super) fn text(value: &str) -> JsValue {
    JsValue::from_str(value)
}

/// Exact up to 2^53.
pub(super) fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}

pub(super) fn failed(error: worker::Error) -> StoreError {
    StoreError(error.to_string())
}
