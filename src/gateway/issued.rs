//! Whose an identifier is. Providers of one API give out identifiers that look alike, and one provider's must not reach
//! another: so where several providers could have given them out, those that pass by are remembered with their issuer.

use super::{Gateway, Outside};
use crate::http::{Failure, Headers as _};
use crate::ports::{ReadError, StoreError, UpstreamReply};
use crate::providers::{self, NativeCall, Provider};
use crate::routing::ids_in_json;

/// How long an issuer is remembered, in seconds: a year, longer than most things with an identifier live.
const KEPT_FOR: u64 = 365 * 24 * 3600;

/// The longest answer, in bytes, that is read for identifiers.
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
        provider: &dyn Provider,
        mut reply: UpstreamReply<O::Body, O::Headers>,
    ) -> Result<UpstreamReply<O::Body, O::Headers>, Failure> {
        let kind = reply.headers.get("content-type").unwrap_or_default();
        let length = reply.headers.get("content-length").and_then(|length| length.parse::<usize>().ok());
        if !(200..300).contains(&reply.status) || reply.status == 204 || length.is_some_and(|length| length > READ_MAX) {
            return Ok(reply);
        }
        let now = outside.now();
        if kind.starts_with("text/event-stream") {
            // The first event names the response; the write is through long before the last.
            let (head, body) = outside
                .glance(reply.body, READ_MAX, self.config.settings.request_timeout_ms, &mut |head| !ids_in_json(head).is_empty())
                .await
                .map_err(|why| broken(provider, why))?;
            let (ids, outside_too, issuer) = (ids_in_json(&head), outside.clone(), provider.id());
            outside.spawn(Box::pin(async move { note(&outside_too, issuer, &ids, now).await }));
            return Ok(UpstreamReply { body, ..reply });
        }
        if kind.contains("json") {
            let timeout_ms = self.config.settings.request_timeout_ms;
            let bytes = outside.read(reply.body, READ_MAX, timeout_ms).await.map_err(|why| broken(provider, why))?;
            note(outside, provider.id(), &ids_in_json(&bytes), now).await;
            reply.body = outside.body_of(bytes);
        }
        Ok(reply)
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

fn broken(provider: &dyn Provider, why: ReadError) -> Failure {
    let reason = if why == ReadError::TooLarge { "an answer without end" } else { "the connection broke off in the middle of the answer" };
    Failure::UpstreamInvalid { provider: provider.id(), reason: reason.to_owned() }
}

fn warn<O: Outside>(outside: &O, error: &StoreError) {
    outside.warn(&format!("who gave out an identifier cannot be looked up or noted: {}", error.0));
}
