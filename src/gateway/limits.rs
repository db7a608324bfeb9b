//! Limits around a request: what it may take is reserved before the first attempt, and settled when it is over.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use futures_util::future::{Either, join_all, select};

use super::candidates::Candidate;
use super::entry::counts_only;
use super::holders::{Holder, NodeOf};
use super::{Gateway, Outside, Request};
use crate::accounting::{OwnPrices, cost, prices, prices_or_dearest};
use crate::base::fields::Invalid;
use crate::base::ids::Seed;
use crate::base::money::Money;
use crate::base::scan::TopLevel;
use crate::governance::Amount;
use crate::governance::message::{Grant, Message, Op, Reading};
use crate::governance::need::{self, Need};
use crate::governance::node::LEASE_MS;
use crate::governance::purse::Purse;
use crate::http::{Failure, LimitReached, Operation};
use crate::ir::Usage;
use crate::ports::StoreError;

/// How long a request waits, in milliseconds, where others have reserved what is left and may leave some of it.
const WAIT_MAX_MS: u64 = 10_000;

/// Between two times that it asks, in milliseconds.
const WAIT_MS: (u64, u64) = (30, 400);

/// How long a report may be on its way, in milliseconds.
const TELL_MAX_MS: u64 = 5000;

/// Between two reports to the nodes, in milliseconds, and the most that one request looks after: what it waits for lives thirty
/// seconds.
const REPORT_MS: u64 = 1000;
const REPORTS_MAX: usize = 20;

/// What this isolate may spend, by node, and who is reporting.
#[derive(Debug, Default)]
pub(super) struct Purses {
    by_node: HashMap<String, (Rc<NodeOf>, Purse)>,
    /// Somebody reports at least until then, in milliseconds since 1970.
    reported_until: u64,
}

type Shared = Rc<RefCell<Purses>>;

/// What was reserved for a request.
#[derive(Debug)]
pub(super) struct Reservation {
    purses: Shared,
    nodes: Vec<Rc<NodeOf>>,
    id: String,
    /// What was asked for.
    pub(super) need: Amount,
    ttl_ms: u64,
}

/// What the nodes are still to be told of a request that is over.
#[derive(Debug)]
pub(super) struct Settling {
    purses: Shared,
    tells: Vec<(Rc<NodeOf>, Op)>,
    ttl_ms: u64,
}

impl Gateway {
    /// Notes what a request with a JSON body may take at most, where anybody limits that.
    pub(super) fn note_need<'a, B>(&self, request: &Request<'_, B>, member: impl Fn(&str) -> Option<&'a str>, writes: bool) {
        if request.holder.as_ref().is_some_and(|holder| !holder.nodes.is_empty()) {
            request.need.set(Some(need::of_json(request.bytes, member, writes)));
        }
    }

    /// Reserves what the request may take at most, by its record; it goes on when it may.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(super) async fn admit<O: Outside, B>(&self, outside: &O, request: &Request<'_, B>, candidates: &[Candidate]) -> Result<(), Failure> {
        let Some(holder) = request.holder.as_ref().filter(|holder| !holder.nodes.is_empty()) else { return Ok(()) };
        let need = self.amount(outside, request, holder, candidates).await?;
        let reservation = self.reserve(outside, holder, need).await?;
        request.entry.reserved(reservation);
        Ok(())
    }

    /// Refuses what has others work later, or spend elsewhere, of which nobody here will hear what it took, where that is limited.
    pub(super) fn refuse_what_spends_later<B>(&self, request: &Request<'_, B>, path: &str) -> Result<(), Failure> {
        const LATER: [&str; 11] = [
            "batches",
            "batchpredictionjobs",
            "batchgeneratecontent",
            "customjobs",
            "evals",
            "fine_tuning",
            "pipelinejobs",
            "realtime",
            "trainingpipelines",
            "tunedmodels",
            "tuningjobs",
        ];
        if request.method != "POST" || !counts_tokens(request) {
            return Ok(());
        }
        let lower = path.trim_end_matches('/').to_ascii_lowercase();
        // A tuned model may be asked like any other.
        let is_asked = lower.rsplit('/').next().is_some_and(|last| last.contains("generatecontent") && !last.contains("batch"));
        let is_later = !lower.ends_with("/cancel") && !is_asked && lower.split(['/', ':']).any(|part| LATER.contains(&part));
        let is_background = memchr::memmem::find(request.bytes, b"\"background\"").is_some()
            && TopLevel::scan(request.bytes).is_ok_and(|top| top.raw("background").is_some_and(|raw| !matches!(raw, "false" | "null")));
        if !is_later && !is_background {
            return Ok(());
        }
        let reason = "it is worked on later, and what it takes is not heard of here, where tokens or money are limited";
        Err(Failure::ModelBlocked { model: String::new(), reason })
    }

    async fn amount<O: Outside, B>(
        &self,
        outside: &O,
        request: &Request<'_, B>,
        holder: &Holder,
        candidates: &[Candidate],
    ) -> Result<Amount, Failure> {
        let is_free = request.method != "POST" || request.route.operation.object() == Some("count_tokens") || counts_only(request.path);
        if is_free || !counts_tokens(request) {
            return Ok(Amount { requests: 1, ..Amount::default() });
        }
        if candidates.first().is_none_or(|candidate| candidate.model.is_empty()) {
            if stores_only(request.path) {
                return Ok(Amount { requests: 1, ..Amount::default() });
            }
            let reason = "it names no model, so that nobody knows what it may take, where tokens or money are limited";
            return Err(Failure::ModelBlocked { model: String::new(), reason });
        }
        let need =
            request.need.get().unwrap_or_else(|| need::of_unread(request.headers.get("content-length").and_then(|length| length.parse().ok())));
        let mut amount = Amount { requests: 1, tokens: need.input.saturating_add(need.output), cost: 0 };
        if holder.nodes.iter().any(|node| node.limits.cost.is_some()) {
            let own = self.own_prices(outside).await;
            let caches = memchr::memmem::find(request.bytes, b"cache_control").is_some();
            for candidate in candidates {
                let is_native = matches!(request.route.operation, Operation::Native(_) | Operation::Pass(_));
                // Speech, pictures and the like are sold by the minute or the piece, unless somebody says what a token of theirs costs.
                if is_native && sells_pieces(request.path) && prices(&own, candidate.provider.id(), &candidate.model).is_none() {
                    let reason = "it has no price by the token, and the key has a budget; the gateway's owner can set one (docs/logs.md)";
                    return Err(Failure::ModelBlocked { model: candidate.model.clone(), reason });
                }
                amount.cost = amount.cost.max(self.most(&own, candidate, need, caches).0);
            }
        }
        Ok(amount)
    }

    /// What it may cost at most.
    fn most(&self, own: &OwnPrices, candidate: &Candidate, need: Need, caches: bool) -> Money {
        let (provider, asked) = (candidate.provider, candidate.model.as_str());
        // An Azure deployment may have any name; its model is listed by its own.
        let accounts = self.config.pool(provider).into_iter().flat_map(|pool| pool.keys.iter().map(|key| &key.account));
        let mut deployments = accounts.flat_map(|account| &account.deployments).filter(|(_, deployment)| *deployment == asked);
        let model = if prices(own, provider.id(), asked).is_some() { asked } else { deployments.next().map_or(asked, |(model, _)| model) };
        let prices = prices_or_dearest(own, provider.id(), model);
        let usage = Usage { input: need.input, output: need.output, ..Usage::default() };
        // Writing into a cache costs more than reading anew.
        let written = if caches { cost(&prices, &Usage { input: 0, cache_write_1h: need.input, ..usage }) } else { None };
        cost(&prices, &usage).max(written).unwrap_or_default()
    }

    async fn reserve<O: Outside>(&self, outside: &O, holder: &Holder, need: Amount) -> Result<Reservation, Failure> {
        let ttl_ms = u64::from(self.config.settings.reservation_ttl_ms);
        let name = Seed(outside.bytes()).id("rsv_");
        let until = outside.now_ms() + WAIT_MAX_MS;
        let mut wait = WAIT_MS.0;
        for round in 0_u32.. {
            let now = outside.now_ms();
            // A name is settled once, also where it was let go of.
            let id = format!("{name}.{round}");
            let asked = self.purses.borrow_mut().take(&holder.nodes, &id, need, now);
            let ask = |(node, may_lease): &(Rc<NodeOf>, bool)| {
                let message = Message { limits: node.limits, ops: vec![Op::Reserve { id: id.clone(), need, may_lease: *may_lease, ttl_ms }] };
                let node = Rc::clone(node);
                async move { outside.tell(&node.name, &message).await }
            };
            let replies = join_all(asked.iter().map(ask)).await;
            let (mut failure, mut is_busy) = (None, false);
            // Those that hold something for it now.
            let is_asked = |node: &&Rc<NodeOf>| asked.iter().any(|(other, _)| other.name == node.name);
            let mut nodes: Vec<Rc<NodeOf>> = holder.nodes.iter().filter(|node| !is_asked(node)).cloned().collect();
            for ((node, _), reply) in asked.iter().zip(replies) {
                match reply.map(|reply| (reply.grant, reply.meters)) {
                    Ok((Some(Grant::Granted { lease }), _)) => {
                        nodes.push(Rc::clone(node));
                        if let Some(lease) = lease {
                            self.purses.borrow_mut().of(node).granted(lease, now, ttl_ms);
                        }
                    }
                    Ok((Some(Grant::Refused(reading)), stands)) => {
                        failure = Some(reached(node, reading, stands, now, false));
                        is_busy = false;
                    }
                    Ok((Some(Grant::Busy(reading)), stands)) if failure.is_none() => {
                        failure = Some(reached(node, reading, stands, now, true));
                        is_busy = true;
                    }
                    Ok((Some(Grant::Busy(_)), _)) => {}
                    Ok((None, _)) => failure = Some(Failure::LimitsUnavailable),
                    Err(error) => {
                        // It may have heard.
                        nodes.push(Rc::clone(node));
                        outside.warn(&format!("the limits of the {} cannot be reached: {}", node.whose, error.0));
                        failure = Some(Failure::LimitsUnavailable);
                        is_busy = false;
                    }
                }
            }
            let reservation = Reservation { purses: Rc::clone(&self.purses), nodes, id, need, ttl_ms };
            Purses::report(outside, &self.purses, ttl_ms);
            let Some(failure) = failure else { return Ok(reservation) };
            // What one node granted is not needed where another refuses.
            reservation.settle(Amount::default()).told(outside).await;
            if !is_busy || outside.now_ms() + wait > until {
                return Err(failure);
            }
            outside.sleep(wait).await;
            wait = (wait * 2).min(WAIT_MS.1);
        }
        Err(Failure::LimitsUnavailable)
    }
}

/// Whether tokens or money are limited for the caller.
pub(super) fn counts_tokens<B>(request: &Request<'_, B>) -> bool {
    request.holder.as_ref().is_some_and(|holder| holder.nodes.iter().any(|node| node.limits.tokens.is_some() || node.limits.cost.is_some()))
}

/// Whether a path without a model only keeps something.
fn stores_only(path: &str) -> bool {
    const STORES: [&str; 7] = ["files", "uploads", "upload", "vector_stores", "conversations", "cancel", "cachedcontents"];
    path.to_ascii_lowercase().split(['/', ':']).any(|part| STORES.contains(&part))
}

fn sells_pieces(path: &str) -> bool {
    ["/audio/", "/images/", "/videos"].iter().any(|part| path.contains(part))
        || [":predict", ":predictLongRunning"].iter().any(|end| path.ends_with(end))
}

/// Refuses a body that names its model twice, or in another case: some providers would take the other one.
pub(super) fn refuse_second_names<B>(request: &Request<'_, B>, top: &TopLevel<'_>) -> Result<(), Failure> {
    if request.holder.is_none() {
        return Ok(());
    }
    for known in ["model", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "stream"] {
        let mut spellings = top.keys().filter(|key| key.eq_ignore_ascii_case(known));
        match (spellings.next(), spellings.next()) {
            (Some(key), None) if key == known => {}
            (None, _) => {}
            _ => return Err(Invalid::new(known, format!("'{known}' is written once, and in lower case")).into()),
        }
    }
    Ok(())
}

fn reached(node: &NodeOf, reading: Reading, stands: Vec<Reading>, now: u64, is_reserved: bool) -> Failure {
    let period = node.limits.of(reading.dimension).map(|limit| limit.period.to_string()).unwrap_or_default();
    Failure::LimitReached(Box::new(LimitReached { whose: node.whose.clone(), period, reading, stands, now_ms: now, is_reserved }))
}

impl Reservation {
    /// The request is over and took so much.
    pub(super) fn settle(self, used: Amount) -> Settling {
        let Self { purses, nodes, id, ttl_ms, .. } = self;
        let alone = |node: &Rc<NodeOf>| !purses.borrow_mut().of(node).finish(&id, used);
        let tells: Vec<(Rc<NodeOf>, Op)> = nodes.into_iter().filter(alone).map(|node| (node, Op::Settle { id: id.clone(), used })).collect();
        Settling { purses, tells, ttl_ms }
    }
}

impl Settling {
    /// Tells the nodes. What they do not hear is told again with the next report.
    pub(super) async fn told<O: Outside>(self, outside: &O) {
        let Self { purses, tells, ttl_ms } = self;
        let tell = |(node, op): (Rc<NodeOf>, Op)| async move {
            let heard = outside.tell(&node.name, &Message { limits: node.limits, ops: vec![op.clone()] }).await;
            heard.err().map(|error| (node, op, error))
        };
        for (node, op, error) in join_all(tells.into_iter().map(tell)).await.into_iter().flatten() {
            outside.warn(&format!("the {} was not told what a request took, and will be: {}", node.whose, error.0));
            purses.borrow_mut().of(&node).owe(op);
        }
        Purses::report(outside, &purses, ttl_ms);
    }
}

impl Purses {
    fn of(&mut self, node: &Rc<NodeOf>) -> &mut Purse {
        let (known, purse) = self.by_node.entry(node.name.clone()).or_insert_with(|| (Rc::clone(node), Purse::default()));
        if known.limits != node.limits {
            *known = Rc::clone(node);
        }
        purse
    }

    /// Takes what a request needs out of the leases; returns the nodes that have to be asked, and which of those for a lease, too.
    fn take(&mut self, nodes: &[Rc<NodeOf>], id: &str, need: Amount, now: u64) -> Vec<(Rc<NodeOf>, bool)> {
        let lacks = |node: &Rc<NodeOf>| {
            let purse = self.of(node);
            (!purse.take(id, need, &node.limits, now)).then(|| (Rc::clone(node), purse.may_lease(now)))
        };
        nodes.iter().filter_map(lacks).collect()
    }

    /// Sees to it that the nodes are told what is spent of their leases.
    fn report<O: Outside>(outside: &O, purses: &Shared, ttl_ms: u64) {
        let now = outside.now_ms();
        {
            let mut here = purses.borrow_mut();
            if now < here.reported_until || !here.by_node.values().any(|(_, purse)| purse.is_open()) {
                return;
            }
            here.reported_until = now + 3 * REPORT_MS;
        }
        let (to, purses) = (outside.clone(), Rc::clone(purses));
        outside.spawn(Box::pin(async move { reports(&to, &purses, ttl_ms).await }));
    }
}

async fn reports<O: Outside>(outside: &O, purses: &Shared, ttl_ms: u64) {
    for _ in 0..REPORTS_MAX {
        outside.sleep(REPORT_MS).await;
        let now = outside.now_ms();
        let tells: Vec<(Rc<NodeOf>, Vec<Op>)> = {
            let mut here = purses.borrow_mut();
            // Nobody else begins before this is over, or given up.
            here.reported_until = now + 3 * REPORT_MS + TELL_MAX_MS;
            here.by_node.values_mut().map(|(node, purse)| (Rc::clone(node), purse.report(now, ttl_ms))).filter(|(_, ops)| !ops.is_empty()).collect()
        };
        let tell = |(node, ops): (Rc<NodeOf>, Vec<Op>)| async move {
            let (message, name) = (Message { limits: node.limits, ops }, node.name.clone());
            let (heard, late) = (std::pin::pin!(outside.tell(&name, &message)), std::pin::pin!(outside.sleep(TELL_MAX_MS)));
            let heard = match select(heard, late).await {
                Either::Left((heard, _)) => heard,
                Either::Right(_) => Err(StoreError("it did not answer in time".to_owned())),
            };
            (node, heard)
        };
        for (node, heard) in join_all(tells.into_iter().map(tell)).await {
            match heard {
                Ok(reply) => purses.borrow_mut().of(&node).heard(LEASE_MS, now, reply.kept),
                Err(error) => {
                    outside.warn(&format!("the {} was not told what was spent, and will be: {}", node.whose, error.0));
                    purses.borrow_mut().of(&node).failed();
                }
            }
        }
        let mut here = purses.borrow_mut();
        here.by_node.retain(|_, (_, purse)| !purse.is_empty());
        if !here.by_node.values().any(|(_, purse)| purse.is_open()) {
            break;
        }
    }
    purses.borrow_mut().reported_until = 0;
}
