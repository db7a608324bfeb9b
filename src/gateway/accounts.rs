//! Accounting for a request: its record is opened when it comes in, the lanes write into it what they learn, and it is closed when
//! the answer is over, which for a stream is long after the gateway has given it away.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};
use serde_json::Value;

use super::entry::{Entry, makes_something};
use super::target::Target;
use super::{Answer, Call, Gateway, Outside};
use crate::accounting::{Outcome, OwnPrices, Record, Tokens, Trace, cost, estimate, kept, prices_of_any, span};
use crate::http::{Failure, Headers as _, Surface, caller};
use crate::ir::Usage;
use crate::lanes::hub;
use crate::lanes::observe::observe;
use crate::lanes::tally::Tally;
use crate::ports::{Ended, LogEntry, Metering, Span, UpstreamReply};

/// The longest answer, in bytes, that is read for its tokens.
const OBSERVED_MAX: usize = 8 << 20;

/// The longest answer to a native request, in bytes, that is held back until it is whole.
const HELD_MAX: u64 = 1 << 20;

/// Of a request that nobody read, the bytes that count as text, at most: a longer one holds pictures or sound.
const UNREAD_MAX: u64 = 256_000;

/// How long the owner's prices are taken for fresh, in milliseconds.
const PRICES_FRESH_MS: u64 = 60_000;

/// How long an answer waits for them at most, in milliseconds.
const PRICES_WAIT_MS: u64 = 500;

/// The owner's prices, in the key-value store.
const PRICES: &str = "prices";

/// The owner's prices, and when they were read.
pub(super) type KnownPrices = Rc<RefCell<Option<(u64, Rc<OwnPrices>)>>>;

impl Gateway {
    /// Keeps the request going until what this returns is dropped: with a request that its caller leaves, its record would go.
    pub(super) fn stay<O: Outside>(outside: &O, entry: &Entry) -> Option<O::Stay> {
        entry.is_wanted.get().then(|| outside.stay())
    }

    /// Begins the record of a request.
    pub(super) fn open<O: Outside>(&self, outside: &O, call: &Call<'_>) -> Rc<Entry> {
        let object = call.route.operation.object();
        let (Some(object), true) = (object, self.config.settings.log_requests || call.job.is_some() || caller::virtual_key(call.headers).is_some())
        else {
            return Rc::default();
        };
        let mut labels = call.headers.with_prefix(LABEL);
        labels.truncate(LABELS_MAX);
        let labels = labels.into_iter().map(|(name, value)| (name.trim_start_matches(LABEL).to_owned(), value.chars().take(200).collect()));
        let dialect = call.route.operation.dialect().unwrap_or(call.route.surface.dialect());
        let record = Record {
            id: call.id.clone(),
            parent_id: call.job.map(|job| job.id.clone()).or_else(|| call.headers.get("x-bf-parent-request-id")),
            at_ms: outside.now_ms(),
            object,
            method: call.method,
            path: call.path.to_owned(),
            dialect_in: Some(dialect.name()),
            labels: labels.collect(),
            ..Record::default()
        };
        let trace =
            if self.config.settings.otlp.is_some() { call.headers.get("traceparent").and_then(|header| Trace::of_header(&header)) } else { None };
        Rc::new(Entry { record: record.into(), trace, is_wanted: true.into(), is_logged: self.config.settings.log_requests, ..Entry::default() })
    }

    /// Reads a whole answer for its tokens, where anybody wants them.
    pub(super) async fn read_for_usage<O: Outside>(
        &self,
        outside: &O,
        entry: &Entry,
        target: &Target<'_>,
        reply: UpstreamReply<O::Body, O::Headers>,
    ) -> Result<UpstreamReply<O::Body, O::Headers>, Failure> {
        let kind = reply.headers.get("content-type").unwrap_or_default();
        if !entry.is_wanted.get() || !kind.contains("json") || matches!(reply.status, 204 | 205 | 304) {
            return Ok(reply);
        }
        let whole = outside.whole(reply.body, OBSERVED_MAX, target.timeout_ms).await;
        let (bytes, body) = whole.map_err(|why| self.not_read(target, why))?;
        if let Some(bytes) = bytes {
            if reply.status >= 400 {
                let error = hub::decode_error(target.dialect, &bytes);
                entry.record.borrow_mut().error_type = error.kind.or(error.code);
            }
            entry.observed(&bytes, self.config.settings.log_content);
        }
        Ok(UpstreamReply { body, ..reply })
    }

    /// Ends the record of a request whose answer is complete, and sees to it that that of a stream ends with it.
    pub(super) async fn close<O: Outside>(
        &self,
        outside: &O,
        entry: Rc<Entry>,
        surface: Surface,
        body: Option<O::Body>,
        result: Result<Answer<O::Body, O::Headers>, Failure>,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        if !entry.is_wanted.get() {
            return result;
        }
        {
            let mut record = entry.record.borrow_mut();
            record.first_byte_ms = outside.now_ms().saturating_sub(record.at_ms);
        }
        let closing = self.closing(outside, &entry, body).await;
        match result {
            Err(failure) => {
                if self.config.settings.log_content {
                    let rendered = crate::http::render(&failure, surface.dialect(), &entry.record.borrow().id);
                    entry.content.borrow_mut().reply = Some(kept(rendered.body.as_bytes()));
                }
                let kind = failure.kind().map(str::to_owned).or_else(|| failure.code().map(str::to_owned));
                entry.failed(crate::http::status_for(&failure, surface.dialect()), kind);
                closing.finish(Ended::Whole, Tally::default(), None);
                entry.settled(outside).await;
                Err(failure)
            }
            Ok(Answer::Json { status, mut headers, body }) => {
                entry.failed(status, None);
                let keep = self.config.settings.log_content;
                if keep {
                    entry.content.borrow_mut().reply = Some(kept(body.as_bytes()));
                }
                let size = body.len() as u64;
                headers.extend(closing.finish(Ended::Whole, Tally::default(), Some(size)));
                entry.settled(outside).await;
                Ok(Answer::Json { status, headers, body })
            }
            Ok(Answer::Text { headers, body }) => Ok(Answer::Text { headers, body }),
            // Its end was arranged for when its translation began.
            Ok(answer) if entry.is_arranged.get() => Ok(answer),
            Ok(Answer::Stream { headers, body }) => Ok(Answer::Stream { headers, body }),
            Ok(Answer::Untouched { status, upstream, without, mut headers, body }) => {
                entry.failed(status, None);
                let content_type = upstream.get("content-type").unwrap_or_default().to_ascii_lowercase();
                let stream = content_type.starts_with("text/event-stream");
                let is_head = entry.record.borrow().method == "HEAD";
                let length = upstream.get("content-length").and_then(|length| length.parse().ok()).filter(|_| !is_head);
                entry.record.borrow_mut().stream = stream;
                let is_json = content_type.contains("json");
                let mut body = body;
                if !entry.is_read.get() && is_json && length.is_some_and(|length| length <= HELD_MAX) {
                    let timeout_ms = self.config.settings.request_timeout_ms;
                    let whole = outside.whole(body, OBSERVED_MAX, timeout_ms).await;
                    let provider = entry.record.borrow().provider.unwrap_or_default();
                    let (bytes, again) = match whole {
                        Ok(whole) => whole,
                        Err(_) => {
                            let failure = Failure::Unreachable { provider };
                            entry.failed(failure.status(), failure.kind().map(str::to_owned));
                            closing.finish(Ended::Broken, Tally::default(), None);
                            entry.settled(outside).await;
                            return Err(failure);
                        }
                    };
                    body = again;
                    entry.observed(&bytes.unwrap_or_default(), self.config.settings.log_content);
                }
                if entry.is_read.get() {
                    headers.extend(closing.finish(Ended::Whole, Tally::default(), length));
                    entry.settled(outside).await;
                    return Ok(Answer::Untouched { status, upstream, without, headers, body });
                }
                let limit = if stream || is_json { OBSERVED_MAX } else { 0 };
                let keep = self.config.settings.log_content;
                let (to, over) = (outside.clone(), Rc::clone(&entry));
                let at_end = Box::new(move |bytes: Option<Vec<u8>>, size: u64, ended: Ended| {
                    closing.seen(bytes, size, ended, stream, keep);
                    over.settled_later(&to);
                });
                let body = outside.meter(body, Metering { limit, length, stream, at_end });
                Ok(Answer::Untouched { status, upstream, without, headers, body })
            }
        }
    }

    /// What it takes to end the record later; `None` where there is none.
    pub(super) async fn closing_of_stream<O: Outside>(&self, outside: &O, entry: &Rc<Entry>, body: &O::Body) -> Option<Closing<O>> {
        if !entry.is_wanted.get() {
            return None;
        }
        {
            let mut record = entry.record.borrow_mut();
            (record.http_status, record.stream) = (200, true);
        }
        entry.is_arranged.set(true);
        Some(self.closing(outside, entry, Some(body.clone())).await)
    }

    async fn closing<O: Outside>(&self, outside: &O, entry: &Rc<Entry>, body: Option<O::Body>) -> Closing<O> {
        let prices = self.own_prices(outside).await;
        let settings = &self.config.settings;
        let otlp = settings.otlp.clone();
        Closing {
            entry: Rc::clone(entry),
            outside: outside.clone(),
            prices,
            body,
            otlp,
            log_content: settings.log_content,
            limit: settings.max_body_bytes,
        }
    }

    /// The owner's prices. They are waited for once in the isolate's life; later they are read again behind its back.
    pub(super) async fn own_prices<O: Outside>(&self, outside: &O) -> Rc<OwnPrices> {
        let now = outside.now_ms();
        let known = self.prices.borrow().clone();
        let Some((at, prices)) = known else {
            return read_prices(outside.clone(), Rc::clone(&self.prices)).await;
        };
        if now.saturating_sub(at) > PRICES_FRESH_MS {
            *self.prices.borrow_mut() = Some((now, Rc::clone(&prices)));
            let reading = read_prices(outside.clone(), Rc::clone(&self.prices));
            outside.spawn(Box::pin(async move { drop(reading.await) }));
        }
        prices
    }
}

async fn read_prices<O: Outside>(outside: O, known: KnownPrices) -> Rc<OwnPrices> {
    let before = known.borrow().clone().map(|(_, prices)| prices).unwrap_or_default();
    let (asked, late) = (pin!(outside.value(PRICES)), pin!(outside.sleep(PRICES_WAIT_MS)));
    let found = match select(asked, late).await {
        Either::Left((Ok(None), _)) => Ok(OwnPrices::default()),
        Either::Left((Ok(Some(json)), _)) => OwnPrices::parse(&json),
        Either::Left((Err(error), _)) => Err(error.0),
        Either::Right(_) => Err("it did not come in time".to_owned()),
    };
    // What could not be read is read again soon.
    let age = if found.is_ok() { 0 } else { PRICES_FRESH_MS * 9 / 10 };
    if let Some(ignored) = found.as_ref().ok().map(OwnPrices::ignored).filter(|ignored| !ignored.is_empty()) {
        outside.warn(&format!("the KV entry '{PRICES}': not made use of: {}", ignored.join(", ")));
    }
    let prices = found.map(Rc::new).unwrap_or_else(|why| {
        outside.warn(&format!("the KV entry '{PRICES}' is not used: {why}"));
        before
    });
    *known.borrow_mut() = Some((outside.now_ms().saturating_sub(age), Rc::clone(&prices)));
    prices
}

/// The prefix of headers that label a request in its record, and how many of them are kept.
const LABEL: &str = "x-bf-dim-";
const LABELS_MAX: usize = 20;

/// What it takes to end a record, whenever that is.
pub(super) struct Closing<O: Outside> {
    entry: Rc<Entry>,
    outside: O,
    prices: Rc<OwnPrices>,
    /// What the caller sent, to estimate its tokens where the provider does not say them.
    body: Option<O::Body>,
    otlp: Option<(String, Vec<(String, String)>)>,
    log_content: bool,
    limit: usize,
}

impl<O: Outside> Closing<O> {
    /// An untouched answer has gone through.
    fn seen(self, bytes: Option<Vec<u8>>, size: u64, mut ended: Ended, stream: bool, keep: bool) {
        let mut tally = Tally::default();
        // Of a longer one the beginning and the end are there, and what they make together where they meet is nothing.
        let is_cut = bytes.as_ref().is_none_or(|bytes| size > bytes.len() as u64);
        if let Some(bytes) = bytes {
            let observed = observe(&bytes, stream);
            let says_error = || memchr::memmem::find(&bytes, b"\"error\"").is_some();
            let dialect = self.entry.dialect.get().filter(|_| stream);
            // Who closes the connection in the middle of an answer has cut it off, however orderly.
            let lacks_end = dialect.is_some() && ended == Ended::Whole && self.entry.is_told_to_end() && !says_end(&bytes);
            if let Some(dialect) = dialect.filter(|_| observed.usage.is_none() || ended != Ended::Whole || keep || lacks_end || says_error()) {
                tally = Tally::of_stream(&bytes, hub::decoder(dialect), keep);
                if is_cut {
                    tally.fault = None;
                } else if lacks_end && !tally.finished && tally.fault.is_none() {
                    ended = Ended::Broken;
                }
            } else if keep {
                self.entry.content.borrow_mut().reply = Some(kept(&bytes));
            }
            tally.usage = observed.usage.or(tally.usage);
            tally.model = observed.model.or(tally.model);
        }
        if stream && is_cut {
            // Too long to be kept whole: of what a stream sends, about a fiftieth is what the model wrote.
            tally.written = tally.written.max(size / 50);
        }
        self.finish(ended, tally, Some(size));
    }

    /// Ends the record when a stream has gone through.
    pub(super) fn later(self) -> Box<dyn FnOnce(Tally, Ended)> {
        let (to, over) = (self.outside.clone(), Rc::clone(&self.entry));
        Box::new(move |tally, ended| {
            let size = tally.sent;
            self.finish(ended, tally, Some(size));
            over.settled_later(&to);
        })
    }

    /// The answer is over. Returns the header that tells its cost.
    pub(super) fn finish(self, ended: Ended, tally: Tally, size: Option<u64>) -> Option<(&'static str, String)> {
        let Tally { model, usage, written, said, fault, sent, .. } = tally;
        let usage = usage.or(self.entry.usage.get());
        let is_whole = ended == Ended::Whole && fault.is_none();
        let is_generation = {
            let mut record = self.entry.record.borrow_mut();
            record.duration_ms = self.outside.now_ms().saturating_sub(record.at_ms);
            record.bytes = size;
            record.model = model.or(record.model.take());
            match ended {
                Ended::Left => record.status = Outcome::Cancelled,
                Ended::Broken => {
                    record.status = Outcome::Error;
                    record.error_type.get_or_insert_with(|| "upstream_cut".to_owned());
                }
                Ended::Whole => {}
            }
            if let Some(fault) = fault {
                record.status = Outcome::Error;
                record.error_type = Some(fault);
            }
            if let Some(said) = said {
                self.entry.content.borrow_mut().reply = Some(kept(said.as_bytes()));
            }
            record.stream && record.http_status < 400 && self.entry.dialect.get().is_some()
        };
        let Some(usage) = usage.filter(|_| is_whole || !is_generation) else {
            if !is_generation {
                return self.conclude(None, false);
            }
            // A provider that only reports an error bills nothing.
            if self.has_fault() && written == 0 && usage.is_none() {
                return self.conclude(None, false);
            }
            // What was delivered has its price, whether the provider came to say it or not. Of events that nobody can read, about a
            // fiftieth is what the model wrote.
            let written = if written == 0 && usage.is_none() && sent == 0 { size.unwrap_or_default() / 50 } else { written };
            let output = estimate::of_characters(written);
            return match usage.filter(|usage| usage.total_input() > 0) {
                Some(usage) => {
                    // What it counted before it was cut is the least that there is.
                    self.conclude(Some(Usage { output: usage.output.max(output), ..usage }), true)
                }
                None => self.estimate_later(output),
            };
        };
        let estimated = self.entry.is_estimated.get();
        if estimated && usage.total_input() == 0 {
            return self.estimate_later(usage.output);
        }
        self.conclude(Some(usage), estimated)
    }

    fn has_fault(&self) -> bool {
        self.entry.record.borrow().status == Outcome::Error
    }

    /// Reads the caller's body for its tokens, behind the answer's back; so no header tells the cost.
    fn estimate_later(self, output: u64) -> Option<(&'static str, String)> {
        let outside = self.outside.clone();
        outside.spawn(Box::pin(self.estimate(output)));
        None
    }

    async fn estimate(self, output: u64) {
        let bytes = match &self.body {
            Some(body) => self.outside.read(body.clone(), self.limit, 1000).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let input = match serde_json::from_slice::<Value>(&bytes) {
            Ok(body) => estimate::of_request(&body),
            // Nobody read it: its length tells.
            Err(_) => estimate::of_characters(self.entry.unread_bytes.get().min(UNREAD_MAX)),
        };
        let (entry, outside) = (Rc::clone(&self.entry), self.outside.clone());
        self.conclude(Some(Usage { input, output, ..Usage::default() }), true);
        entry.settled(&outside).await;
    }

    fn conclude(self, usage: Option<Usage>, estimated: bool) -> Option<(&'static str, String)> {
        let Self { entry, outside, prices: own, otlp, log_content, .. } = self;
        let mut record = entry.record.borrow_mut();
        record.shorten();
        if let Some(usage) = usage.filter(|_| makes_something(&record)) {
            record.tokens = Some(Tokens::of(&usage, estimated));
            let provider = record.provider.unwrap_or_default();
            // The answer names the model best, but some name it in words of their own.
            let asked = entry.priced_as.borrow();
            let names: Vec<&str> = record.model.iter().chain(asked.iter()).map(String::as_str).collect();
            let found = prices_of_any(&own, provider, &names);
            record.cost = found.and_then(|prices| cost(&prices, &usage)).map(|cost| cost.0);
        }
        // What the caller's trace leaves out, ours does not add to it.
        let is_sampled = entry.trace.as_ref().is_none_or(|trace| trace.is_sampled);
        let span = otlp.filter(|_| is_sampled).map(|(endpoint, headers)| {
            let json = span(&record, entry.trace.as_ref(), outside.bytes()).to_string();
            Span { endpoint, headers, json }
        });
        entry.settle(&record, usage.as_ref(), &own);
        if !entry.is_logged {
            return record.money().map(|cost| ("x-bf-cost-usd", cost.to_string()));
        }
        let content = entry.content.borrow();
        let stored = log_content.then(|| record.line_with(&content));
        outside.log(LogEntry { line: record.line(), stored, span });
        record.money().map(|cost| ("x-bf-cost-usd", cost.to_string()))
    }
}

/// Whether the end of a stream says that it is one, in any dialect.
fn says_end(stream: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 5] = [b"[DONE]", b"message_stop", b"response.completed", b"response.incomplete", b"finishReason"];
    let end = stream.get(stream.len().saturating_sub(2048)..).unwrap_or(stream);
    ENDINGS.iter().any(|ending| memchr::memmem::find(end, ending).is_some())
}
