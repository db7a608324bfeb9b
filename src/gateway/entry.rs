//! A request under way: what the lanes learn of it, for its record and for the limits.

use std::cell::{Cell, RefCell};

use super::holders::Holder;
use super::limits::{Reservation, Settling};
use super::target::Target;
use super::{Outside, is_json, length};
use crate::accounting::{Content, Outcome, OwnPrices, Record, Trace, cost, kept, prices_or_dearest};
use crate::governance::Amount;
use crate::http::Headers;
use crate::ir::{Dialect, Usage};
use crate::lanes::observe::{Observed, observe};

/// What is known so far of a request under way.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) record: RefCell<Record>,
    pub(super) content: RefCell<Content>,
    pub(super) trace: Option<Trace>,
    /// Whether anybody will ask for the tokens; if not, no answer is read for them.
    pub(super) is_wanted: Cell<bool>,
    /// Whether its record is kept.
    pub(super) is_logged: bool,
    /// What is reserved for it at the limits.
    pub(super) reservation: RefCell<Option<Reservation>>,
    /// What those who count are still to be told, once it is over.
    pub(super) settling: RefCell<Option<Settling>>,
    /// What the provider was asked for, by the names that it may be listed by.
    pub(super) priced_as: RefCell<Vec<String>>,
    /// The dialect that the provider answers in.
    pub(super) dialect: Cell<Option<Dialect>>,
    pub(super) usage: Cell<Option<Usage>>,
    /// Whether the answer was read for its tokens.
    pub(super) is_read: Cell<bool>,
    /// Whether the gateway estimated that.
    pub(super) is_estimated: Cell<bool>,
    /// How long the caller's body is in bytes, where it is JSON and goes through unread; else 0.
    pub(super) unread_bytes: Cell<u64>,
    /// Whether a provider was asked.
    pub(super) is_sent: Cell<bool>,
    /// Whether the stream's own end ends the record.
    pub(super) is_arranged: Cell<bool>,
}

impl Entry {
    /// The caller's body: its size, what was read of it, and, if `keep`, what it says.
    pub(super) fn came_with(&self, bytes: &[u8], headers: &dyn Headers, keep: bool) {
        if !self.is_wanted.get() {
            return;
        }
        let is_json = || headers.get("content-type").is_some_and(|kind| is_json(&kind));
        let said = if bytes.is_empty() { length(headers) } else { Some(bytes.len() as u64) };
        self.record.borrow_mut().request_bytes = said;
        match said {
            Some(length) if bytes.is_empty() && is_json() => self.unread_bytes.set(length),
            _ if keep && !bytes.is_empty() => self.content.borrow_mut().request = Some(kept(bytes)),
            _ => {}
        }
    }

    /// The model as the caller names it.
    pub(super) fn asked(&self, model: &str) {
        self.record.borrow_mut().model_asked = Some(model.to_owned()).filter(|model| !model.is_empty());
    }

    /// Whom the request goes to; the last one counts.
    pub(super) fn sent_to(&self, target: &Target<'_>, key: Option<&str>) {
        let mut record = self.record.borrow_mut();
        // What an attempt before this one told is over with it.
        self.is_read.set(false);
        self.usage.set(None);
        self.is_estimated.set(false);
        self.content.borrow_mut().reply = None;
        (record.error_type, record.dropped) = (None, Vec::new());
        record.provider = Some(target.provider.id());
        record.key_name = key.map(str::to_owned);
        record.model = Some(target.model.to_owned()).filter(|model| !model.is_empty());
        self.speaks(&mut record, target.dialect);
        // An Azure deployment may have any name.
        let deployments = target.account.deployments.iter();
        let models = deployments.filter(|(_, deployment)| *deployment == target.model).map(|(model, _)| model.clone());
        *self.priced_as.borrow_mut() = std::iter::once(target.model.to_owned()).chain(models).collect();
    }

    /// The dialect that the provider is asked in, where that is not the target's.
    pub(super) fn asked_in(&self, dialect: Dialect) {
        self.speaks(&mut self.record.borrow_mut(), dialect);
    }

    fn speaks(&self, record: &mut Record, dialect: Dialect) {
        record.dialect_out = Some(dialect.name());
        self.dialect.set(Some(dialect));
    }

    /// It is about a job.
    pub(super) fn about_job(&self, id: &str) {
        let mut record = self.record.borrow_mut();
        (record.object, record.parent_id) = ("async", Some(id.to_owned()));
    }

    /// Whose virtual key was shown.
    pub(super) fn held_by(&self, holder: &Holder) {
        let mut record = self.record.borrow_mut();
        record.virtual_key_id = Some(holder.key.id.clone());
        record.team_id.clone_from(&holder.team_id);
        record.customer_id.clone_from(&holder.customer_id);
        // Where no records are kept, it is wanted for the limits alone.
        self.is_wanted.set(self.is_wanted.get() && (self.is_logged || !holder.nodes.is_empty()));
    }

    /// What is reserved for it, until its end.
    pub(super) fn reserved(&self, reservation: Reservation) {
        *self.reservation.borrow_mut() = Some(reservation);
    }

    /// A provider was asked.
    pub(super) fn sent(&self) {
        self.is_sent.set(true);
    }

    /// How many requests were sent, and which fallback answered.
    pub(super) fn tried(&self, attempts: u32, fallback: usize) {
        let mut record = self.record.borrow_mut();
        record.attempts = attempts;
        record.fallback_index = u32::try_from(fallback).unwrap_or(u32::MAX);
    }

    /// What the translation lost.
    pub(super) fn lost(&self, paths: impl Iterator<Item = String>) {
        self.record.borrow_mut().dropped = paths.collect();
    }

    /// What an answer says of itself.
    pub(super) fn observed(&self, bytes: &[u8], keep: bool) {
        if self.is_wanted.get() {
            self.told(observe(bytes, false));
            self.is_read.set(true);
            if keep {
                self.content.borrow_mut().reply = Some(kept(bytes));
            }
        }
    }

    /// The tokens of an answer that the gateway put together itself.
    pub(super) fn counted(&self, usage: Usage) {
        self.usage.set(Some(usage));
        self.is_read.set(true);
    }

    /// The same, where the provider did not say it.
    pub(super) fn guessed(&self, usage: Usage) {
        self.counted(usage);
        self.is_estimated.set(true);
    }

    /// Whether an answer has to say that it is over: those of chat, Responses and Messages do.
    pub(super) fn is_told_to_end(&self) -> bool {
        let record = self.record.borrow();
        matches!(record.object, "chat" | "responses" | "messages") && record.method == "POST" && record.http_status < 400
    }

    fn told(&self, observed: Observed) {
        let mut record = self.record.borrow_mut();
        record.model = observed.model.or(record.model.take());
        self.usage.set(observed.usage.or(self.usage.get()));
    }

    pub(super) fn failed(&self, status: u16, kind: Option<String>) {
        let mut record = self.record.borrow_mut();
        record.http_status = status;
        if status >= 400 {
            record.status = Outcome::Error;
            record.error_type = kind.or(record.error_type.take()).or_else(|| Some("upstream_error".to_owned()));
        }
    }
}

impl Entry {
    /// Those who count hear what it took, before the caller hears its answer.
    pub(super) async fn settled<O: Outside>(&self, outside: &O) {
        let settling = self.settling.borrow_mut().take();
        if let Some(settling) = settling {
            settling.told(outside).await;
        }
    }

    /// The same, where the caller has the answer already.
    pub(super) fn settled_later<O: Outside>(&self, outside: &O) {
        let settling = self.settling.borrow_mut().take();
        if let Some(settling) = settling {
            let to = outside.clone();
            outside.spawn(Box::pin(async move { settling.told(&to).await }));
        }
    }

    /// What it took, where something was reserved for it. An answer that does not say what it took, took what was reserved.
    pub(super) fn settle(&self, record: &Record, usage: Option<&Usage>, own: &OwnPrices) {
        let Some(reservation) = self.reservation.borrow_mut().take() else { return };
        let need = reservation.need;
        // A budget has to hold though a price is not known.
        let assumed = || {
            let prices = prices_or_dearest(own, record.provider?, record.model.as_deref()?);
            cost(&prices, usage?).map(|cost| cost.0)
        };
        let unsaid = |said: Option<u64>, need: u64| said.unwrap_or(if record.status == Outcome::Error { 0 } else { need });
        let used = match self.is_sent.get() {
            false => Amount::default(),
            true if !makes_something(record) => Amount { requests: 1, ..Amount::default() },
            true => {
                let tokens = unsaid(usage.map(Usage::total), need.tokens);
                let cost = unsaid(record.cost.or_else(assumed), need.cost);
                // Of a whole stream that did not say it, what was seen is the least: thinking is not shown.
                let is_guess = record.status == Outcome::Success && record.tokens.is_some_and(|tokens| tokens.estimated);
                let least = if is_guess { need } else { Amount::default() };
                Amount { requests: 1, tokens: tokens.max(least.tokens), cost: cost.max(least.cost) }
            }
        };
        *self.settling.borrow_mut() = Some(reservation.settle(used));
    }
}

/// Whether the request has the provider make something: who asks for what was made before is told its tokens again.
pub(super) fn makes_something(record: &Record) -> bool {
    if record.method != "POST" || matches!(record.object, "stored_response" | "count_tokens") {
        return false;
    }
    // Chat, Responses, Messages and vectors have no other deeds below their paths; a slash at the end is none.
    let is_own = matches!(record.object, "chat" | "responses" | "messages" | "embeddings");
    let path = record.path.trim_end_matches('/');
    is_own || !(path.ends_with("/cancel") || path.contains("/chat/completions/") || counts_only(path))
}

/// Whether a native path asks for a count of tokens, which is free.
pub(super) fn counts_only(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    ["/count_tokens", ":countTokens", "/input_tokens"].iter().any(|ending| path.ends_with(ending))
}
