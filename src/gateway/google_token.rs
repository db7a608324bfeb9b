//! Google's bearer tokens, fetched with a signed claim and kept until shortly before their end.

use std::collections::HashMap;

use super::target::Target;
use super::{Gateway, Outside};
use crate::http::{Failure, UpstreamFailure};
use crate::lanes::hub;
use crate::ports::{Outgoing, SendError, UpstreamRequest};
use crate::providers::Secret;
use crate::providers::vertex::{ServiceAccount, Token};

/// Tokens by the account that they were given to.
pub(super) type Tokens = HashMap<String, Token>;

impl Gateway {
    pub(super) async fn google_token<O: Outside>(&self, outside: &O, target: &Target<'_>) -> Result<Secret, Failure> {
        let provider = target.provider.id();
        let not_configured = |hint: &str| Failure::NotConfigured { provider, hint: hint.to_owned() };
        let account = target.account.service_account.as_ref().ok_or_else(|| not_configured("set the secret GOOGLE_SERVICE_ACCOUNT"))?;
        let now = outside.now();
        if let Some(token) = self.tokens.borrow().get(account.identity()).filter(|token| token.is_fresh(now)) {
            return Ok(token.bearer.clone());
        }
        let key = account.key_der().map_err(|why| not_configured(&why.to_string()))?;
        let claim = account.claim(now);
        let signature = outside.sign_rs256(&key, claim.as_bytes()).await;
        let signature = signature.map_err(|_| not_configured("GOOGLE_SERVICE_ACCOUNT has a private_key that cannot sign"))?;
        let request = UpstreamRequest {
            method: "POST",
            url: account.token_url().to_owned(),
            headers: vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
            body: Outgoing::Bytes(ServiceAccount::exchange(&claim, &signature).into_bytes()),
            timeout_ms: self.config.settings.request_timeout_ms,
        };
        let reply = outside.send(request).await.map_err(|error| match error {
            SendError::Unreachable => Failure::Unreachable { provider },
            SendError::TimedOut => Failure::TimedOut { milliseconds: self.config.settings.request_timeout_ms },
        })?;
        let status = reply.status;
        let body = self.read_reply(outside, target, reply.body).await?;
        if status != 200 {
            // Google says 400 for a key that it does not accept; to the caller that is the gateway's affair.
            let status = if status == 400 { 401 } else { status };
            let error = hub::decode_error(target.dialect, &body);
            return Err(Failure::Upstream(Box::new(UpstreamFailure { provider, status, error, with_callers_key: false, headers: Vec::new() })));
        }
        let invalid = || Failure::UpstreamInvalid { provider, reason: "no token in Google's answer".to_owned() };
        let token = Token::parse(&body, now).ok_or_else(invalid)?;
        let bearer = token.bearer.clone();
        self.tokens.borrow_mut().insert(account.identity().to_owned(), token);
        Ok(bearer)
    }
}
