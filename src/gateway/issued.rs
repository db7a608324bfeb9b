//! Whose an identifier is. Providers of one API give out identifiers that look alike, and one provider's must not reach
//! another: so where several providers could have given them out, those that pass by are remembered with their issuer.

use super::{Gateway, Outside};
use crate::http::{Failure, Headers as _};
use crate::ports::{GoesOn, ReadError, StoreError, UpstreamReply};
use crate::providers::{self, NativeCall, Provider};
use crate::routing::ids_in_json;

/// How long an issuer is remembered, in seconds: a year, longer than most things with an identifier live.
const KEPT_FOR: u64 = 365 * 24 * 3600;

/// How much of an answer, in bytes, is read for identifiers.
const READ_MAX: usize = 8 << 20;

impl Gateway {
    /// Whether more than one configured provider has the operation; only then an identifier can go astray.
    pub(super) fn is_ambiguous(&self, call: &NativeCall<'_>) -> bool {
        let configured = self.config.accounts();
        configured.filter(|(provider, account)| provider.native(call, account).is_some()).nth(1).is_some()
    }

    /// The one provider that gave these identifiers out; `None` when nobody is known to have.
    ///
    /// # Errors
    /// When several did.
    pub(super) async fn issuer<O: Outside>(&self, outside: &O, ids: &[String]) -> Result<Option<&'static dyn Provider>, Failure> {
        if ids.is_empty() {
            return Ok(None);
        }
        let known = outside.issuers(ids).await.unwrap_or_else(|error| {
            warn(outside, &error);
            Vec::new()
        });
        let Some((id, issuer)) = known.first() else { return Ok(None) };
        if let Some((other, foreign)) = known.iter().find(|(_, other)| other != issuer) {
            let message = format!("'{id}' is of {issuer} and '{other}' of {foreign}; what one provider gave out means nothing to another");
            return Err(Failure::ForeignId { message });
        }
        Ok(providers::by_id(issuer))
    }

    /// Refuses what another provider than `provider` gave out.
    pub(super) async fn refuse_foreign_ids<O: Outside>(&self, outside: &O, ids: &[String], provider: &dyn Provider) -> Result<(), Failure> {
        match self.issuer(outside, ids).await? {
            Some(issuer) if issuer.id() != provider.id() => {
                let (first, issuer, provider) = (ids.first().map_or("", String::as_str), issuer.id(), provider.id());
                let message = format!(
                    "'{first}' is of {issuer}, and the request goes to {provider}; name {issuer} (its model, ?provider={issuer} or x-model-provider)"
                );
                Err(Failure::ForeignId { message })
            }
            _ => Ok(()),
        }
    }

    /// Remembers the identifiers of an answer before it goes on. What is no JSON passes unread.
    pub(super) async fn note_issued<O: Outside>(
        &self,
        outside: &O,
        provider: &'static dyn Provider,
        reply: UpstreamReply<O::Body, O::Headers>,
    ) -> Result<UpstreamReply<O::Body, O::Headers>, Failure> {
        let kind = reply.headers.get("content-type").unwrap_or_default();
        let is_stream = reply.is_event_stream();
        if !(200..300).contains(&reply.status) || !(is_stream || kind.contains("json")) {
            return Ok(reply);
        }
        // The first event of a stream names the response; of other answers everything tells, as far as it is looked at.
        let mut enough = |head: &[u8]| is_stream && !ids_in_json(head).is_empty();
        let timeout_ms = self.config.settings.request_timeout_ms;
        let seen = outside.glance(reply.body, GoesOn::Untouched, READ_MAX, timeout_ms, &mut enough).await;
        let (head, body) = seen.map_err(|why| match why {
            ReadError::TimedOut => Failure::TimedOut { milliseconds: timeout_ms },
            ReadError::Broken | ReadError::TooLarge => {
                let reason = "the connection broke off in the middle of the answer".to_owned();
                Failure::UpstreamInvalid { provider: provider.id(), reason }
            }
        })?;
        let (ids, now, to) = (ids_in_json(&head), outside.now(), outside.clone());
        let noting = async move { note(&to, provider.id(), &ids, now).await };
        match is_stream {
            // The write is through long before the last event.
            true => outside.spawn(Box::pin(noting)),
            false => noting.await,
        }
        Ok(UpstreamReply { body, ..reply })
    }
}

async fn note<O: Outside>(outside: &O, provider: &'static str, ids: &[String], now: u64) {
    if ids.is_empty() {
        return;
    }
    if let Err(error) = outside.note_issuer(provider, ids, now, now + KEPT_FOR).await {
        warn(outside, &error);
    }
}

fn warn<O: Outside>(outside: &O, error: &StoreError) {
    outside.warn(&format!("who gave out an identifier cannot be looked up or noted: {}", error.0));
}
