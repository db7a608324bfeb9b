//! What an isolate and a node say to each other.

use serde::{Deserialize, Serialize};

use super::amount::{Amount, Dimension, Limits};

/// What an isolate tells a node. Each thing may be told twice and counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The node's limits, as the key-value store says them.
    pub limits: Limits,
    /// What happened, in order.
    pub ops: Vec<Op>,
}

/// One thing that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Op {
    /// A request asks for what it may need.
    Reserve {
        /// The request's own name.
        id: String,
        /// What it may need.
        need: Amount,
        /// Whether the isolate has use for a lease.
        may_lease: bool,
        /// How long the reservation lives if nobody settles it.
        ttl_ms: u64,
    },
    /// A request is over.
    Settle {
        /// The request's name.
        id: String,
        /// What it took.
        used: Amount,
    },
    /// What became of a lease since the last time.
    Report {
        /// The lease.
        lease: String,
        /// Which report this is, from 1.
        seq: u64,
        /// What was spent and settled.
        used: Amount,
        /// Requests that still run on it; each is a reservation of its own from now on.
        begun: Vec<(String, Amount)>,
        /// What the isolate keeps for further requests; what it does not is free again.
        keep: Amount,
        /// How long those reservations live.
        ttl_ms: u64,
    },
    /// Somebody looks.
    Look,
}

/// What a node answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// To a reservation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// To a report: what of the lease is kept. Less than was asked where the limits have changed or the report came late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Amount>,
    /// To a look, and to who is refused: each limited dimension.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub meters: Vec<Reading>,
}

/// The answer to a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// It may go.
    Granted {
        /// Something to spend without asking.
        lease: Option<Granted>,
    },
    /// The limit is reached.
    Refused(Reading),
    /// What is left is reserved by others; some of that will come back.
    Busy(Reading),
}

/// A lease as it was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Its name.
    pub id: String,
    /// How much.
    pub amount: Amount,
    /// How long it lives, in milliseconds.
    pub ms: u64,
}

/// How a limited dimension stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Which.
    pub dimension: Dimension,
    /// The limit.
    pub max: u64,
    /// What is settled in this period.
    pub used: u64,
    /// What is reserved besides.
    pub reserved: u64,
    /// When the next period begins, in milliseconds since 1970.
    pub resets_at_ms: u64,
}

impl Reading {
    /// What is neither settled nor reserved.
    pub fn remaining(&self) -> u64 {
        self.max.saturating_sub(self.used).saturating_sub(self.reserved)
    }
}
