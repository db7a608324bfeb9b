//! `POST /openai/v1/embeddings`.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::attempts::Tried;
use super::caller_headers::CallerHeaders;
use super::infer::refuse_losses_if_strict;
use super::native::openai_call;
use super::target::{Sending, Target, answer_headers};
use super::{Answer, Gateway, Outside, Request, dropped};
use crate::accounting::estimate::of_characters;
use crate::base::fields::Invalid;
use crate::base::scan::TopLevel;
use crate::dialects::embeddings::{Vectors, decode_request, decode_vectors, encode_bodies, encode_reply};
use crate::http::Failure;
use crate::ir::{Dialect, EmbeddingDialect, Refused, Usage};
use crate::ports::Outgoing;
use crate::providers::{Auth, Call, Endpoint};

/// How many requests one may become, and how many of them are under way together: a worker may have six connections.
const REQUESTS_MAX: usize = 250;
const AT_ONCE: usize = 6;

impl Gateway {
    pub(super) async fn embed<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        deployment: Option<String>,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let top = TopLevel::scan(request.bytes).map_err(Failure::InvalidJson)?;
        let (asked, candidates) = self.asked(outside, &request, &top, deployment.as_deref())?;
        let caller = self.caller_headers(request.headers);
        let job = async |target: &Target<'_>| -> Tried<O> {
            match target.provider.embeddings(&openai_call("embeddings", request.query, target.model), &target.account) {
                Some((EmbeddingDialect::OpenAi, endpoint)) => {
                    let call = Call { dialect: Dialect::OpenAiChat, model: target.model, stream: false, api_version: None, betas: None };
                    self.send_identity(outside, &request, &top, &caller, target, &call, endpoint).await
                }
                Some((dialect, endpoint)) => Ok(self.embed_by_google(outside, &request, &caller, target, dialect, endpoint, &asked).await?),
                None => {
                    let message = format!("'{}' has no embeddings; openai, azure, gemini, vertex and ollama have", target.provider.id());
                    Err(Failure::Refused(Refused::new("model", message)).into())
                }
            }
        };
        self.attempt(outside, &request, Dialect::OpenAiChat, &candidates, false, job).await
    }

    #[allow(clippy::too_many_arguments)]
    async fn embed_by_google<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        caller: &CallerHeaders,
        target: &Target<'_>,
        dialect: EmbeddingDialect,
        endpoint: Endpoint,
        asked: &str,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let body: Value = serde_json::from_slice(request.bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
        let (wanted, losses) = decode_request(body)?;
        request.entry.lost(losses.iter().map(|loss| loss.path.clone()));
        refuse_losses_if_strict(request, &losses)?;
        let betas = self.betas(request, caller, target, false, &[], None);
        let betas = betas.as_deref();
        let ask = |body: Value| {
            let endpoint = endpoint.clone();
            async move {
                let reply = self
                    .send(outside, target, endpoint, caller.passing(None, betas), Sending::json(Outgoing::Bytes(body.to_string().into_bytes())))
                    .await?;
                if reply.status != 200 {
                    return Err(self.upstream_failure(outside, target, reply).await);
                }
                self.read_reply(outside, target, reply.body).await
            }
        };
        let bodies = encode_bodies(&wanted, dialect, target.model);
        let counts: Vec<usize> = bodies.iter().map(count_of).collect();
        if bodies.len() > REQUESTS_MAX {
            let most = REQUESTS_MAX * counts.first().copied().unwrap_or(1);
            return Err(Failure::Invalid(Invalid::new("input", format!("send at most {most} texts at once to this model"))));
        }
        if endpoint.auth == Auth::GoogleToken {
            // Once, and not by each of the requests.
            self.google_token(outside, target).await?;
        }
        let replies: Vec<Vec<u8>> = stream::iter(bodies.into_iter().map(ask)).buffered(AT_ONCE).try_collect().await?;
        let invalid = |reason: String| Failure::UpstreamInvalid { provider: target.provider.id(), reason };
        let mut vectors = Vectors::default();
        for (reply, expected) in replies.iter().zip(counts) {
            let reply: Value = serde_json::from_slice(reply).map_err(|error| invalid(error.to_string()))?;
            decode_vectors(&reply, expected, &mut vectors).map_err(|error| invalid(error.message))?;
        }
        let mut headers = answer_headers(target);
        headers.extend(dropped(&losses));
        if vectors.tokens.is_none() {
            headers.push(("x-bf-token-count", "estimate".to_owned()));
        }
        let characters: usize = wanted.texts.iter().map(|text| text.chars().count()).sum();
        let guess = of_characters(characters as u64);
        let usage = |input| Usage { input, ..Usage::default() };
        match vectors.tokens {
            Some(tokens) => request.entry.counted(usage(tokens)),
            None => request.entry.guessed(usage(guess)),
        }
        let body = encode_reply(vectors, wanted.base64, asked, guess).to_string();
        Ok(Answer::Json { status: 200, headers, body })
    }
}

/// How many texts a body asks about.
fn count_of(body: &Value) -> usize {
    ["requests", "instances"].iter().find_map(|key| body.get(*key)?.as_array()).map_or(1, Vec::len)
}
