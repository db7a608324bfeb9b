//! Asynchronous jobs, without clock or I/O: their states as statements for the database, what their callers hear, and who is told.
//!
//! ```text
//!            submitted                   claimed                     answered
//!  caller ─────────────► queued ─────────────────────► processing ─────────────► completed
//!                          ▲  │ cancelled                 │   │ │                   failed
//!                          │  ▼                           │   │ └── refused for good ──► ▲
//!                          │ (gone)    may pass: later    │   │
//!                          └──────────────────────────────┘   └── its lease ended: claimed again
//! ```
//!
//! The row is the outbox: a message of the queue only names it, may be lost, and may come twice. A job is claimed by one statement, which one
//! consumer alone can win; the claim's own name has to be shown by whoever ends the job.

pub mod callback;
pub mod skeleton;
pub mod store;

use crate::base::fields::Invalid;

/// What a job makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A chat completion.
    Chat,
    /// A message of Anthropic's API.
    Messages,
    /// A response.
    Responses,
    /// Vectors.
    Embeddings,
}

impl Kind {
    /// As it stands in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
        }
    }

    /// The kind of that name.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Chat, Self::Messages, Self::Responses, Self::Embeddings].into_iter().find(|kind| kind.word() == word)
    }
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has begun.
    Queued,
    /// Somebody is at it.
    Processing,
    /// Its answer is there.
    Completed,
    /// It came to an error.
    Failed,
}

impl Status {
    /// The status of that name.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "queued" => Some(Self::Queued),
            "processing" => Some(Self::Processing),
            "completed" => Some(Self::Completed),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }

    /// What callers hear.
    pub fn told(self) -> &'static str {
        match self {
            Self::Queued => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// The header that makes a request a job: any value but none, `false` and `0`.
pub const ASYNC: &str = "x-bf-async";

/// The header that asks for a job's answer.
pub const ASYNC_ID: &str = "x-bf-async-id";

/// How long an answer may be kept, in seconds: `x-bf-async-job-result-ttl`.
pub const TTL: &str = "x-bf-async-job-result-ttl";

/// The longest, in seconds: a week.
pub const TTL_MAX: u64 = 604_800;

/// How often a job is tried.
pub const ATTEMPTS_MAX: u64 = 5;

/// Whether a request is to be a job.
pub fn is_asked(value: Option<&str>) -> bool {
    value.map(str::trim).is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case("false") && value != "0")
}

/// Reads how long an answer is to be kept.
///
/// # Errors
/// [`Invalid`] names the header.
pub fn ttl(value: Option<&str>, default: u64) -> Result<u64, Invalid> {
    let Some(value) = value else { return Ok(default.clamp(1, TTL_MAX)) };
    let seconds = value.trim().parse::<u64>().ok().filter(|seconds| (1..=TTL_MAX).contains(seconds));
    seconds.ok_or_else(|| Invalid::new(TTL, format!("expected a whole number of seconds from 1 to {TTL_MAX}")))
}

/// How long to wait before the next attempt, in seconds: what the provider says, else five, ten, twenty …, five minutes at most.
pub fn delay_s(attempts: u64, retry_after_s: Option<u64>) -> u64 {
    retry_after_s.unwrap_or_else(|| 5_u64.saturating_mul(1 << attempts.saturating_sub(1).min(10))).clamp(1, 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_the_documents_say() {
        for (value, expected) in
            [(None, false), (Some(""), false), (Some("false"), false), (Some("0"), false), (Some("true"), true), (Some("yes"), true)]
        {
            assert_eq!(is_asked(value), expected, "{value:?}");
        }
        assert_eq!(ttl(None, 3600), Ok(3600));
        assert_eq!(ttl(Some("60"), 3600), Ok(60));
        for value in ["0", "-1", "604801", "1.5", "soon", ""] {
            assert_eq!(ttl(Some(value), 3600).unwrap_err().path, TTL, "{value}");
        }
        assert_eq!([1, 2, 3, 9].map(|attempts| delay_s(attempts, None)), [5, 10, 20, 300]);
        assert_eq!(delay_s(1, Some(7)), 7);
    }
}
