//! What an isolate may spend of a node without asking, and what it owes the node an account of.
//!
//! A lease is spent here, reported every second while requests come, and given back when they do not. Reports go one after another:
//! one that did not get through, or of which that is not known, is told again word for word before the next, and the node counts
//! it once.

use std::collections::{BTreeMap, BTreeSet};

use super::amount::{Amount, Dimension, Limits};
use super::message::{Granted, Op};

/// A lease is not spent in the last part of its life, in milliseconds: its report may be on its way for a while.
const MARGIN_MS: u64 = 3_000;

/// How long one that asks for a lease keeps others from asking, in milliseconds.
const ASKING_MS: u64 = 2_000;

/// After how long a report is told again of which nothing was heard, in milliseconds.
const REPEAT_MS: u64 = 10_000;

/// What is known of one node.
#[derive(Debug, Default)]
pub struct Purse {
    lease: Option<Lease>,
    /// Requests that run on the lease, which the node has not heard of.
    begun: BTreeMap<String, Amount>,
    /// Those of which it has.
    told: BTreeSet<String>,
    /// What is to be told.
    owed: Vec<Op>,
    /// What was told, and when; nobody has heard it yet.
    unheard: Vec<Op>,
    told_at: u64,
    asking_until: u64,
}

#[derive(Debug)]
struct Lease {
    id: String,
    left: Amount,
    /// When it is not to be spent any more.
    until_ms: u64,
    seq: u64,
    /// Settled since the last report.
    used: Amount,
    /// Whether a request came since then.
    is_in_use: bool,
    /// What the last report asked to keep; nothing before the first.
    asked: Option<Amount>,
}

impl Purse {
    /// Takes what a request needs out of the lease, if there is one and it is enough.
    pub fn take(&mut self, id: &str, need: Amount, limits: &Limits, now: u64) -> bool {
        let Some(lease) = self.lease.as_mut().filter(|lease| now < lease.until_ms) else { return false };
        if limits.limited().any(|(dimension, _)| need.of(dimension) > lease.left.of(dimension)) {
            return false;
        }
        lease.left = lease.left.minus(need);
        lease.is_in_use = true;
        self.begun.insert(id.to_owned(), need);
        true
    }

    /// Whether one that has to ask the node anyhow should ask for a lease, too.
    pub fn may_lease(&mut self, now: u64) -> bool {
        let has_one = self.lease.as_ref().is_some_and(|lease| now < lease.until_ms);
        if has_one || now < self.asking_until {
            return false;
        }
        self.asking_until = now.saturating_add(ASKING_MS);
        true
    }

    /// A lease that was asked for at `asked`.
    pub fn granted(&mut self, lease: Granted, asked: u64, ttl_ms: u64) {
        self.asking_until = 0;
        // Of an older one the account is still to be given.
        self.account(false, ttl_ms);
        let until_ms = asked.saturating_add(lease.ms).saturating_sub(MARGIN_MS);
        self.lease = Some(Lease { id: lease.id, left: lease.amount, until_ms, seq: 0, used: Amount::default(), is_in_use: true, asked: None });
    }

    /// A request is over that took so much. `false` if the node has to be told at once, since it reserved for that request alone.
    pub fn finish(&mut self, id: &str, used: Amount) -> bool {
        if let Some(need) = self.begun.remove(id) {
            if let Some(lease) = &mut self.lease {
                lease.left = lease.left.plus(need).minus(used);
                lease.used = lease.used.plus(used);
            }
            return true;
        }
        let was_told = self.told.remove(id);
        if was_told {
            self.owed.push(Op::Settle { id: id.to_owned(), used });
        }
        was_told
    }

    /// A settlement that did not get through.
    pub fn owe(&mut self, op: Op) {
        self.owed.push(op);
    }

    /// What is to be told now. A lease that nobody used since the last time is given back.
    pub fn report(&mut self, now: u64, ttl_ms: u64) -> Vec<Op> {
        if self.unheard.is_empty() {
            self.account(true, ttl_ms);
            self.unheard = std::mem::take(&mut self.owed);
        } else if now < self.told_at.saturating_add(REPEAT_MS) {
            return Vec::new();
        }
        self.told_at = now;
        self.unheard.clone()
    }

    /// The report got through, which was sent at `sent`; the node keeps so much of the lease, in requests that it has not heard of.
    pub fn heard(&mut self, lease_ms: u64, sent: u64, kept: Option<Amount>) {
        self.unheard.clear();
        let Some(lease) = &mut self.lease else { return };
        // One that was granted since then was not in it.
        let Some(asked) = lease.asked else { return };
        let kept = kept.unwrap_or_default();
        if kept == Amount::default() {
            // It is over there, and so it is here; what runs on it is still to be told of.
            (lease.left, lease.until_ms) = (Amount::default(), 0);
            return;
        }
        lease.left = lease.left.minus(asked.minus(kept));
        lease.until_ms = sent.saturating_add(lease_ms).saturating_sub(MARGIN_MS);
    }

    /// It did not get through.
    pub fn failed(&mut self) {
        self.told_at = 0;
    }

    /// Whether there is anything to tell or to give back.
    pub fn is_open(&self) -> bool {
        self.lease.is_some() || !self.owed.is_empty() || !self.unheard.is_empty() || !self.begun.is_empty()
    }

    /// Whether nothing at all is known of the node.
    pub fn is_empty(&self) -> bool {
        !self.is_open() && self.told.is_empty()
    }

    fn account(&mut self, goes_on: bool, ttl_ms: u64) {
        let Some(lease) = &mut self.lease else { return };
        lease.seq += 1;
        let begun: Vec<(String, Amount)> = std::mem::take(&mut self.begun).into_iter().collect();
        self.told.extend(begun.iter().map(|(id, _)| id.clone()));
        let keep = if goes_on && lease.is_in_use { lease.left } else { Amount::default() };
        lease.is_in_use = false;
        lease.asked = Some(keep);
        let used = std::mem::take(&mut lease.used);
        self.owed.push(Op::Report { lease: lease.id.clone(), seq: lease.seq, used, begun, keep, ttl_ms });
        if Dimension::ALL.into_iter().all(|dimension| keep.of(dimension) == 0) {
            self.lease = None;
        }
    }
}
