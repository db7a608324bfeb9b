//! What the owner asks: records, sums over them, metrics. Every answer of it needs the owner's token.

use serde_json::{Value, json};

use super::{Answer, Gateway, Outside, Request};
use crate::accounting::metrics;
use crate::accounting::query::{self, told};
use crate::base::fields::Invalid;
use crate::base::sql::Statement;
use crate::http::{Failure, Owner};
use crate::ports::StoreError;

/// How many sweeps one call to delete makes at most; it is called again for the rest.
const SWEEPS_MAX: usize = 40;

impl Gateway {
    pub(super) async fn owner<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        asked: Owner,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        self.admit_owner(request)?;
        let answer = match asked {
            Owner::Logs => {
                let page = query::page(request.query)?;
                let rows = rows(outside, &page.rows).await?;
                let total = texts(outside, &page.total).await?;
                let total: u64 = total.first().and_then(|total| total.parse().ok()).unwrap_or_default();
                json!({"logs": rows, "total": total, "limit": page.limit, "offset": page.offset})
            }
            Owner::Log(id) => rows(outside, &query::one(&id)).await?.pop().ok_or(Failure::NoSuchLog { id })?,
            Owner::LogStats => rows(outside, &query::stats(request.query)?).await?.pop().unwrap_or_default(),
            Owner::LogHistogram => json!({"buckets": rows(outside, &query::histogram(request.query, outside.now_ms())?).await?}),
            Owner::Manage(governed, manage) => return self.manage(outside, request, governed, manage).await,
            Owner::DeleteLogs => return self.delete_logs(outside, request.query).await,
            Owner::Metrics => {
                let body = metrics::text(&texts(outside, &metrics::totals()).await?);
                return Ok(Answer::Text { headers: vec![("content-type", metrics::CONTENT_TYPE.to_owned())], body });
            }
        };
        Ok(super::json(answer.to_string()))
    }

    async fn delete_logs<O: Outside>(&self, outside: &O, asked: &str) -> Result<Answer<O::Body, O::Headers>, Failure> {
        // All of them only by that word: a filter that was forgotten must not empty the table.
        let members: Vec<&str> = asked.split('&').filter(|member| *member != "all=true").collect();
        let filter = query::filter(&members.join("&"))?;
        if filter.is_empty() && !asked.split('&').any(|member| member == "all=true") {
            return Err(Invalid::new("all", "name a filter, such as end_time=2026-01-01, or write all=true").into());
        }
        let (mut deleted, mut is_done) = (0, false);
        for _ in 0..SWEEPS_MAX {
            let found = sweep(outside, &filter).await.map_err(|error| failed(outside, &error))?;
            deleted += found;
            if found == 0 {
                is_done = true;
                break;
            }
        }
        Ok(super::json(json!({"deleted": deleted, "done": is_done}).to_string()))
    }

    /// Deletes some records that are older than `LOG_RETENTION_DAYS`; how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_old_logs<O: Outside>(&self, outside: &O) -> Result<u64, StoreError> {
        let kept_ms = u64::from(self.config.settings.log_retention_days) * 24 * 3600 * 1000;
        let filter = query::before(outside.now_ms().saturating_sub(kept_ms));
        let mut deleted = 0;
        for _ in 0..SWEEPS_MAX {
            match sweep(outside, &filter).await? {
                0 => break,
                found => deleted += found,
            }
        }
        Ok(deleted)
    }
}

/// Deletes one batch of what the filter chooses.
async fn sweep<O: Outside>(outside: &O, filter: &query::Filter) -> Result<u64, StoreError> {
    Ok(outside.texts(&query::delete(filter)).await?.len() as u64)
}

async fn texts<O: Outside>(outside: &O, statement: &Statement) -> Result<Vec<String>, Failure> {
    outside.texts(statement).await.map_err(|error| failed(outside, &error))
}

async fn rows<O: Outside>(outside: &O, statement: &Statement) -> Result<Vec<Value>, Failure> {
    Ok(texts(outside, statement).await?.iter().map(|row| told(row)).collect())
}

fn failed<O: Outside>(outside: &O, error: &StoreError) -> Failure {
    outside.warn(&format!("logs: {}", error.0));
    Failure::NoLogs
}
