//! Jobs in the database, as statements. Times are milliseconds since 1970.

use serde::{Deserialize, Serialize};

use crate::base::sql::{Param, Statement};
use crate::base::text::pieces;

/// The longest piece of a body, in bytes: a row of D1 holds 2 MB at most, and the local one does not say so.
const PIECE: usize = 1_500_000;

/// How long a job lives that nobody comes to do.
pub const PENDING_MS: u64 = 24 * 3600 * 1000;

/// After how long a message of the queue is taken for lost.
const LOST_MS: u64 = 60_000;

/// How many jobs one sweep sends again, and how many it deletes.
const SWEPT: u64 = 100;
const DELETED: u64 = 200;

/// How often a callback is tried.
pub const CALLBACKS_MAX: u64 = 6;

/// What is to be done, as it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The path.
    pub path: String,
    /// The query.
    pub query: String,
    /// Headers that matter; never a credential.
    pub headers: Vec<(String, String)>,
    /// The model as it was named.
    pub model: String,
}

/// A job as it stands in the database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Its identifier.
    pub id: String,
    /// [`super::Kind`].
    pub kind: String,
    /// The hash of the virtual key; empty without one.
    pub owner: String,
    /// [`super::Status`].
    pub status: String,
    /// [`Call`], as JSON.
    pub call: String,
    /// How often it was begun.
    pub attempts: u64,
    /// When it was submitted.
    pub created_at: u64,
    /// When it was done.
    pub completed_at: Option<u64>,
    /// When it is deleted.
    pub expires_at: u64,
    /// How long its answer is kept, in seconds.
    pub ttl_s: u64,
    /// The status of the answer.
    pub http_status: Option<u16>,
    /// Headers of the answer, as JSON.
    pub headers: Option<String>,
    /// Who is told.
    pub callback: Option<String>,
    /// How often they were.
    pub callback_attempts: u64,
}

const COLUMNS: &str = "json_object('id', id, 'kind', kind, 'owner', owner, 'status', status, 'call', call, 'attempts', attempts, 'created_at', created_at, \
    'completed_at', completed_at, 'expires_at', expires_at, 'ttl_s', ttl_s, 'http_status', http_status, 'headers', headers, 'callback', callback)";
const CALLBACK: &str = "json_object('id', id, 'kind', kind, 'status', status, 'completed_at', completed_at, 'http_status', http_status, 'callback', callback, 'callback_attempts', callback_attempts)";

/// Reads what a statement gives back.
pub fn row(json: &str) -> Option<Row> {
    serde_json::from_str(json).ok()
}

/// Keeps a new job.
pub fn submit(row: &Row, call: &Call, body: &str) -> Vec<Statement> {
    let values = vec![
        row.id.as_str().into(),
        row.kind.as_str().into(),
        row.owner.as_str().into(),
        serde_json::to_string(call).unwrap_or_default().as_str().into(),
        row.created_at.into(),
        (row.created_at + PENDING_MS).into(),
        row.ttl_s.into(),
        row.callback.as_deref().unwrap_or_default().into(),
    ];
    let sql = "INSERT INTO jobs (id, kind, owner, status, call, created_at, sent_at, expires_at, ttl_s, callback) VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?5, ?6, ?7, nullif(?8, ''))";
    std::iter::once(Statement::new(sql, values)).chain(in_pieces(&row.id, "request", body, None)).collect()
}

/// A body in pieces that a row takes; with a claim, only for who still has it.
fn in_pieces<'a>(id: &'a str, part: &'static str, body: &'a str, claim: Option<&'a str>) -> impl Iterator<Item = Statement> + 'a {
    pieces(body, PIECE).zip(1_u64..).map(move |(piece, seq)| {
        let mut values: Vec<Param> = vec![id.into(), part.into(), seq.into(), piece.into()];
        let sql = match claim {
            None => "INSERT INTO job_pieces (job_id, part, seq, data) VALUES (?1, ?2, ?3, ?4)",
            Some(claim) => {
                values.push(claim.into());
                "INSERT INTO job_pieces (job_id, part, seq, data) SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND status = 'processing' AND claim = ?5)"
            }
        };
        Statement::new(sql, values)
    })
}

/// The job of that identifier, of that owner, if it has not expired.
pub fn find(id: &str, owner: &str, now: u64) -> Statement {
    Statement::new(format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1 AND owner = ?2 AND expires_at > ?3"), vec![id.into(), owner.into(), now.into()])
}

/// A body of a job, piece by piece.
pub fn body(id: &str, part: &str) -> Statement {
    Statement::new("SELECT data FROM job_pieces WHERE job_id = ?1 AND part = ?2 ORDER BY seq", vec![id.into(), part.into()])
}

/// Begins a job that nobody is at; gives it back to the one who won it.
pub fn claim(id: &str, claim: &str, now: u64, lease_until: u64) -> Statement {
    let sql = format!(
        "UPDATE jobs SET status = 'processing', attempts = attempts + 1, claim = ?2, lease_until = ?4 \
         WHERE id = ?1 AND expires_at > ?3 AND ((status = 'queued' AND not_before <= ?3) OR (status = 'processing' AND lease_until < ?3)) RETURNING {COLUMNS}"
    );
    Statement::new(sql, vec![id.into(), claim.into(), now.into(), lease_until.into()])
}

/// Ends a job with its answer, for who has claimed it; gives its identifier back if that was so.
pub fn finish(row: &Row, claim: &str, status: u16, headers: &str, body: &str, now: u64) -> Vec<Statement> {
    let word = if (200..300).contains(&status) { "completed" } else { "failed" };
    let values = vec![
        row.id.as_str().into(),
        claim.into(),
        word.into(),
        u64::from(status).into(),
        headers.into(),
        now.into(),
        (now + row.ttl_s * 1000).into(),
    ];
    let sql = "UPDATE jobs SET status = ?3, http_status = ?4, headers = ?5, completed_at = ?6, expires_at = ?7, callback_at = iif(callback IS NULL, NULL, ?6) \
         WHERE id = ?1 AND status = 'processing' AND claim = ?2 RETURNING id";
    let last = Statement::new(sql, values);
    // What was asked is not needed any more.
    let asked = Statement::new(
        "DELETE FROM job_pieces WHERE job_id = ?1 AND part = 'request' AND EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND status = 'processing' AND claim = ?2)",
        vec![row.id.as_str().into(), claim.into()],
    );
    in_pieces(&row.id, "result", body, Some(claim)).chain([asked, last]).collect()
}

/// Puts a job back that may succeed later.
pub fn put_back(id: &str, claim: &str, now: u64, not_before: u64) -> Statement {
    let sql = "UPDATE jobs SET status = 'queued', not_before = ?4, sent_at = ?3 WHERE id = ?1 AND status = 'processing' AND claim = ?2 RETURNING id";
    Statement::new(sql, vec![id.into(), claim.into(), now.into(), not_before.into()])
}

/// Takes a job away that nobody has begun; gives its identifier back if that was so.
pub fn cancel(id: &str, owner: &str, now: u64) -> Statement {
    let sql = "DELETE FROM jobs WHERE id = ?1 AND owner = ?2 AND expires_at > ?3 AND status = 'queued' RETURNING id";
    Statement::new(sql, vec![id.into(), owner.into(), now.into()])
}

/// Jobs whose message is lost, or whose consumer died: their identifiers, to be sent again.
pub fn lost(now: u64) -> Statement {
    let sql = "UPDATE jobs SET sent_at = ?1 WHERE id IN (SELECT id FROM jobs WHERE expires_at > ?1 AND sent_at < ?2 AND \
         ((status = 'queued' AND not_before <= ?1) OR (status = 'processing' AND lease_until < ?1)) ORDER BY sent_at LIMIT ?3) RETURNING id";
    Statement::new(sql, vec![now.into(), now.saturating_sub(LOST_MS).into(), SWEPT.into()])
}

/// Jobs whose message cannot be delivered any more, or that were tried too often: failed, with that answer. Gives the identifier back if
/// nobody is at it.
pub fn give_up(id: &str, now: u64, status: u16, body: &str) -> Vec<Statement> {
    let open = "status = 'queued' OR (status = 'processing' AND lease_until < ?3)";
    let piece =
        format!("INSERT OR REPLACE INTO job_pieces (job_id, part, seq, data) SELECT id, 'result', 1, ?2 FROM jobs WHERE id = ?1 AND ({open})");
    let row = format!(
        "UPDATE jobs SET status = 'failed', http_status = ?2, headers = '[]', completed_at = ?3, expires_at = ?3 + ttl_s * 1000, callback_at = iif(callback IS NULL, NULL, ?3) \
         WHERE id = ?1 AND ({open}) RETURNING id"
    );
    let asked = format!(
        "DELETE FROM job_pieces WHERE job_id = ?1 AND part = 'request' AND EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND ({open}) AND ?2 <> '')"
    );
    vec![
        Statement::new(asked, vec![id.into(), body.into(), now.into()]),
        Statement::new(piece, vec![id.into(), body.into(), now.into()]),
        Statement::new(row, vec![id.into(), u64::from(status).into(), now.into()]),
    ]
}

/// What a job makes.
pub fn kind(id: &str) -> Statement {
    Statement::new("SELECT kind FROM jobs WHERE id = ?1", vec![id.into()])
}

/// Deletes what has expired, unless somebody is still to be told of it.
pub fn expire(now: u64) -> Statement {
    const TOLD_WITHIN_MS: u64 = 3_600_000;
    let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE expires_at <= ?1 AND (callback_at IS NULL OR callback_attempts >= ?3 OR expires_at <= ?4) \
         ORDER BY expires_at LIMIT ?2) RETURNING id";
    Statement::new(sql, vec![now.into(), DELETED.into(), CALLBACKS_MAX.into(), now.saturating_sub(TOLD_WITHIN_MS).into()])
}

/// Takes the next attempt to tell somebody, if it is due: who, and of what. The attempt after this one is due at `next`.
pub fn claim_callback(id: &str, now: u64, next: u64) -> Statement {
    let sql = format!(
        "UPDATE jobs SET callback_attempts = callback_attempts + 1, callback_at = ?3 WHERE id = ?1 AND callback IS NOT NULL AND callback_at <= ?2 \
         AND callback_attempts < ?4 RETURNING {CALLBACK}"
    );
    Statement::new(sql, vec![id.into(), now.into(), next.into(), CALLBACKS_MAX.into()])
}

/// Nobody could be told; the next attempt is due then.
pub fn due_callback(id: &str, at: u64) -> Statement {
    Statement::new("UPDATE jobs SET callback_at = ?2 WHERE id = ?1 AND callback_at IS NOT NULL", vec![id.into(), at.into()])
}

/// Somebody was told.
pub fn called_back(id: &str) -> Statement {
    Statement::new("UPDATE jobs SET callback_at = NULL WHERE id = ?1", vec![id.into()])
}

/// Jobs of which somebody is to be told and was not, for a while.
pub fn lost_callbacks(now: u64) -> Statement {
    let sql = "SELECT id FROM jobs WHERE callback IS NOT NULL AND callback_at < ?1 AND callback_attempts < ?2 ORDER BY callback_at LIMIT ?3";
    Statement::new(sql, vec![now.saturating_sub(LOST_MS).into(), CALLBACKS_MAX.into(), SWEPT.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_between_characters_into_pieces_that_a_row_takes() {
        let body = "ä".repeat(PIECE);
        let statements: Vec<Statement> = in_pieces("j", "request", &body, None).collect();
        let texts: Vec<&str> = statements
            .iter()
            .filter_map(|statement| match &statement.params[3] {
                Param::Text(text) => Some(text.as_str()),
                Param::Number(_) => None,
            })
            .collect();
        assert_eq!((texts.len(), texts.concat() == body), (2, true));
        assert!(texts.iter().all(|text| text.len() <= PIECE));
        assert_eq!(in_pieces("j", "request", "", None).count(), 0);
    }
}
