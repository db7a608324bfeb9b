//! A node: the one place that counts for a virtual key, a team or a customer.
//!
//! **The law.** For each limited dimension, what is settled in the current period and what is held (by reservations and leases) are
//! together never more than the limit after anything was granted, whatever the order in which messages come, come twice or do not
//! come. Nothing else adds to what is held; settling moves from held to settled. Only a request that took more than was reserved
//! for it can pass the limit, by that excess, and from then on nothing is granted that takes any of it.
//!
//! No clock and no I/O: time comes in with each message, and what must be kept is handed out by [`Node::changes`].

use std::collections::{BTreeMap, BTreeSet};

use super::amount::{Amount, Dimension, Limits};
use super::message::{Grant, Granted, Message, Op, Reading, Reply};

/// A lease is this part of what is left …
const SHARE: u64 = 16;

/// … and is not granted where that is less than so many requests like the one that asks.
const LEAST: u64 = 4;

/// How long a lease lives that is not renewed, in milliseconds.
pub const LEASE_MS: u64 = 10_000;

/// How long it is remembered that a request was settled, in milliseconds: as long as one might say it again.
const REMEMBERED_MS: u64 = 120_000;

/// The same of a lease's reports, which an isolate may repeat when it comes to itself again.
const REPORTS_REMEMBERED_MS: u64 = 3_600_000;

/// What a node knows.
#[derive(Debug, Default)]
pub struct Node {
    meters: [Meter; 3],
    held: BTreeMap<String, Held>,
    /// Of all that is held.
    sum: Amount,
    changed: BTreeSet<Change>,
}

/// What is settled of a dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// When the period began, in milliseconds since 1970; 0 before the first request.
    pub begin_ms: u64,
    /// What was settled in it.
    pub used: u64,
}

/// Something that is held, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub kind: Kind,
    /// How much.
    pub amount: Amount,
    /// When it is free again, in milliseconds since 1970.
    pub until_ms: u64,
}

/// What is held, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For one request.
    Reservation,
    /// For the requests of an isolate, with the number of its last report.
    Lease(u64),
    /// Nothing any more: a request that was settled.
    Settled,
}

/// What must be kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The meters.
    Meters,
    /// What is held under that name, or that nothing is.
    Held(String),
}

impl Node {
    /// What was kept.
    pub fn restored(meters: [Meter; 3], held: impl IntoIterator<Item = (String, Held)>) -> Self {
        let held: BTreeMap<String, Held> = held.into_iter().collect();
        let sum = held.values().fold(Amount::default(), |sum, held| sum.plus(held.amount));
        Self { meters, held, sum, changed: BTreeSet::new() }
    }

    /// Takes a message in.
    pub fn take(&mut self, message: Message, now: u64) -> Reply {
        self.expire(now);
        self.begin_periods(&message.limits, now);
        let mut reply = Reply::default();
        for op in message.ops {
            match op {
                Op::Reserve { id, need, may_lease, ttl_ms } => {
                    let grant = self.reserve(&message.limits, id, need, may_lease, now, ttl_ms);
                    // Who is refused is told how all of it stands.
                    if !matches!(grant, Grant::Granted { .. }) {
                        reply.meters = self.readings(&message.limits, now);
                    }
                    reply.grant = Some(grant);
                }
                Op::Settle { id, used } => self.settle(&message.limits, id, used, now),
                Op::Report { lease, seq, used, begun, keep, ttl_ms } => {
                    if self.may_report(&lease, seq) {
                        self.report(&message.limits, lease.clone(), seq, used, begun, keep, now, ttl_ms);
                    }
                    reply.kept = Some(self.held.get(&lease).map_or(Amount::default(), |held| held.amount));
                }
                Op::Look => reply.meters = self.readings(&message.limits, now),
            }
        }
        reply
    }

    /// Frees what nobody settled in time.
    pub fn expire(&mut self, now: u64) {
        let gone: Vec<String> = self.held.iter().filter(|(_, held)| held.until_ms <= now).map(|(id, _)| id.clone()).collect();
        for id in gone {
            let held = self.free(&id);
            // A report may still be on its way, and must be known again if it comes twice.
            if let Some(Held { kind: kind @ Kind::Lease(_), amount, .. }) = held
                && amount != Amount::default()
            {
                self.hold(id, Held { kind, amount: Amount::default(), until_ms: now.saturating_add(REPORTS_REMEMBERED_MS) });
            }
        }
    }

    /// When something that is held ends by itself, in milliseconds since 1970.
    pub fn next_end(&self) -> Option<u64> {
        self.held.values().map(|held| held.until_ms).min()
    }

    /// What must be kept since the last time.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// The meters, in the order of [`Dimension::ALL`].
    pub fn meters(&self) -> [Meter; 3] {
        self.meters
    }

    /// What is held under that name.
    pub fn held(&self, id: &str) -> Option<Held> {
        self.held.get(id).copied()
    }

    fn meter(&self, dimension: Dimension) -> Meter {
        let [requests, tokens, cost] = self.meters;
        match dimension {
            Dimension::Requests => requests,
            Dimension::Tokens => tokens,
            Dimension::Cost => cost,
        }
    }

    fn meter_mut(&mut self, dimension: Dimension) -> &mut Meter {
        let [requests, tokens, cost] = &mut self.meters;
        match dimension {
            Dimension::Requests => requests,
            Dimension::Tokens => tokens,
            Dimension::Cost => cost,
        }
    }

    fn begin_periods(&mut self, limits: &Limits, now: u64) {
        for (dimension, limit) in limits.limited() {
            let meter = self.meter_mut(dimension);
            let anchor = if meter.begin_ms == 0 { now } else { meter.begin_ms };
            let (begin, _) = limit.period.around(now, anchor);
            if begin != meter.begin_ms {
                *meter = Meter { begin_ms: begin, used: 0 };
                self.changed.insert(Change::Meters);
            }
        }
    }

    fn reserve(&mut self, limits: &Limits, id: String, need: Amount, may_lease: bool, now: u64, ttl_ms: u64) -> Grant {
        if self.held.contains_key(&id) {
            return Grant::Granted { lease: None };
        }
        let mut amount = need;
        let mut is_alone = false;
        for (dimension, limit) in limits.limited() {
            let (used, held, wanted) = (self.meter(dimension).used, self.sum.of(dimension), need.of(dimension));
            let left = limit.max.saturating_sub(used).saturating_sub(held);
            if wanted <= left {
                continue;
            }
            if used >= limit.max {
                return Grant::Refused(self.reading(limits, dimension, now));
            }
            if held > 0 {
                // Requests take what they reserve, always; only of leases something may come back.
                let may_come_back = dimension != Dimension::Requests
                    || self.held.values().any(|held| matches!(held.kind, Kind::Lease(_)) && held.amount.requests > 0);
                let reading = self.reading(limits, dimension, now);
                return if may_come_back { Grant::Busy(reading) } else { Grant::Refused(reading) };
            }
            // Nobody else is under way: what is left may well be enough, since needs are upper estimates.
            is_alone = true;
            match dimension {
                Dimension::Requests => amount.requests = left,
                Dimension::Tokens => amount.tokens = left,
                Dimension::Cost => amount.cost = left,
            }
        }
        self.hold(id.clone(), Held { kind: Kind::Reservation, amount, until_ms: now.saturating_add(ttl_ms) });
        let lease = if may_lease && !is_alone { self.lease(limits, &id, need, now) } else { None };
        Grant::Granted { lease }
    }

    /// A share of what is left, where that is plenty.
    fn lease(&mut self, limits: &Limits, id: &str, need: Amount, now: u64) -> Option<Granted> {
        let mut is_plenty = true;
        let amount = Amount::each(|dimension| {
            let Some(limit) = limits.of(dimension) else { return 0 };
            let share = limit.max.saturating_sub(self.meter(dimension).used).saturating_sub(self.sum.of(dimension)) / SHARE;
            is_plenty &= share >= need.of(dimension).saturating_mul(LEAST);
            share
        });
        if !is_plenty {
            return None;
        }
        let id = format!("lease of {id}");
        self.hold(id.clone(), Held { kind: Kind::Lease(0), amount, until_ms: now.saturating_add(LEASE_MS) });
        Some(Granted { id, amount, ms: LEASE_MS })
    }

    fn settle(&mut self, limits: &Limits, id: String, used: Amount, now: u64) {
        if self.held.get(&id).is_some_and(|held| held.kind == Kind::Settled) {
            return;
        }
        self.free(&id);
        self.spend(limits, used);
        self.hold(id, Held { kind: Kind::Settled, amount: Amount::default(), until_ms: now.saturating_add(REMEMBERED_MS) });
    }

    fn may_report(&self, lease: &str, seq: u64) -> bool {
        !self.held.get(lease).is_some_and(|held| match held.kind {
            Kind::Lease(last) => seq <= last,
            Kind::Reservation | Kind::Settled => false,
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn report(&mut self, limits: &Limits, lease: String, seq: u64, used: Amount, begun: Vec<(String, Amount)>, keep: Amount, now: u64, ttl_ms: u64) {
        let mut rest = self.free(&lease).map_or(Amount::default(), |held| held.amount);
        let is_late = rest == Amount::default();
        self.spend(limits, used);
        rest = rest.minus(used);
        for (id, amount) in begun {
            if self.held.contains_key(&id) {
                continue;
            }
            // A lease that ended before its report came is free already, and others may have what it had.
            let left = if is_late { self.left(limits) } else { rest };
            let amount = amount.min(left);
            rest = rest.minus(amount);
            self.hold(id, Held { kind: Kind::Reservation, amount, until_ms: now.saturating_add(ttl_ms) });
        }
        let keep = if is_late { Amount::default() } else { keep.min(rest).min(self.left(limits)) };
        // Without anything left it stands there for reports that come again.
        let lives_ms = if keep == Amount::default() { REPORTS_REMEMBERED_MS } else { LEASE_MS };
        self.hold(lease, Held { kind: Kind::Lease(seq), amount: keep, until_ms: now.saturating_add(lives_ms) });
    }

    fn left(&self, limits: &Limits) -> Amount {
        Amount::each(|dimension| {
            limits.of(dimension).map_or(0, |limit| limit.max.saturating_sub(self.meter(dimension).used).saturating_sub(self.sum.of(dimension)))
        })
    }

    fn spend(&mut self, limits: &Limits, used: Amount) {
        for (dimension, _) in limits.limited() {
            let meter = self.meter_mut(dimension);
            meter.used = meter.used.saturating_add(used.of(dimension));
        }
        self.changed.insert(Change::Meters);
    }

    fn hold(&mut self, id: String, held: Held) {
        self.sum = self.sum.plus(held.amount);
        self.changed.insert(Change::Held(id.clone()));
        self.held.insert(id, held);
    }

    fn free(&mut self, id: &str) -> Option<Held> {
        let held = self.held.remove(id)?;
        self.sum = self.sum.minus(held.amount);
        self.changed.insert(Change::Held(id.to_owned()));
        Some(held)
    }

    fn readings(&self, limits: &Limits, now: u64) -> Vec<Reading> {
        limits.limited().map(|(dimension, _)| self.reading(limits, dimension, now)).collect()
    }

    fn reading(&self, limits: &Limits, dimension: Dimension, now: u64) -> Reading {
        let meter = self.meter(dimension);
        let limit = limits.of(dimension);
        Reading {
            dimension,
            max: limit.map_or(0, |limit| limit.max),
            used: meter.used,
            reserved: self.sum.of(dimension),
            resets_at_ms: limit.map_or(now, |limit| limit.period.around(now, meter.begin_ms).1),
        }
    }
}
