//! A model's answer: identity lane where the provider speaks the caller's dialect, hub lane otherwise.

use serde_json::{Map, Value};

use super::attempts::{Miss, Tried};
use super::caller_headers::CallerHeaders;
use super::candidates::Candidate;
use super::limits::{counts_tokens, refuse_second_names};
use super::native::openai_call;
use super::stored_responses::{Draft, OWN_IDS_MARK, keep};
use super::target::{Sending, Target, answer_headers};
use super::{Answer, Gateway, Outside, Request, dropped, seed};
use crate::base::fields::Invalid;
use crate::base::scan::{Patch, TopLevel};
use crate::dialects::openai_responses;
use crate::http::headers::NOT_TO_CALLER;
use crate::http::{Failure, Generation, Headers, Operation, UpstreamFailure};
use crate::ir::{Context, Dialect, Issuer, Losses};
use crate::lanes::without_usage::WithoutUsage;
use crate::lanes::{hub, identity};
use crate::ports::{AtEnd, Ends, GoesOn, Outgoing, UpstreamReply};
use crate::providers::{Call, Endpoint};
use crate::routing::ids_in_json;

impl Gateway {
    pub(super) async fn infer<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        generation: Generation,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let top = TopLevel::scan(request.bytes).map_err(Failure::InvalidJson)?;
        let Generation { dialect: own, deployment } = generation;
        let (asked, candidates) = self.asked(outside, &request, &top, deployment.as_deref())?;
        let caller = self.caller_headers(request.headers);
        let api_version = request.query("api-version").map(str::to_owned);
        let wants_reasoning = own == Dialect::OpenAiChat && wants_reasoning(&top, request.bytes);
        let job = async |target: &Target<'_>| -> Tried<O> {
            let mut target = target.clone();
            let loses_least = target.provider.dialects(target.model).first().copied();
            if wants_reasoning && loses_least == Some(Dialect::OpenAiResponses) {
                target.dialect = Dialect::OpenAiResponses;
                request.entry.asked_in(target.dialect);
            }
            // A version is of the API that the caller speaks.
            let is_theirs = target.dialect == own && (deployment.is_some() || own == Dialect::OpenAiResponses);
            let call = Call {
                dialect: target.dialect,
                model: target.model,
                stream: top.is_true("stream") || request.gathers(),
                api_version: api_version.as_deref().filter(|_| is_theirs),
                betas: None,
            };
            let ask = async |call: &Call<'_>| match target.dialect == own {
                true => {
                    let endpoint = target.provider.endpoint(call, &target.account);
                    self.send_identity(outside, &request, &top, &caller, &target, call, endpoint).await
                }
                false => self.infer_hub(outside, &request, own, &caller, &target, call, asked.clone()).await,
            };
            match ask(&call).await {
                // Some models do not stream, or not for everybody.
                Err(miss) if request.gathers() && names_stream(&miss) => {
                    request.unstreamed.set(true);
                    ask(&Call { stream: false, ..call }).await
                }
                tried => tried,
            }
        };
        self.attempt(outside, &request, own, &candidates, false, job).await
    }

    /// The model that the request names, and everybody that it may go to.
    pub(super) fn asked<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        top: &TopLevel<'_>,
        deployment: Option<&str>,
    ) -> Result<(String, Vec<Candidate>), Failure> {
        let asked = asked_model(top, deployment)?;
        request.entry.asked(&asked);
        refuse_second_names(request, top)?;
        self.refuse_what_spends_later(request, "")?;
        let is_embedding = match &request.route.operation {
            Operation::Submit(operation) => matches!(**operation, Operation::Embed { .. }),
            operation => matches!(operation, Operation::Embed { .. }),
        };
        self.note_need(request, |key| top.raw(key), !is_embedding);
        let candidates = self.candidates(outside, request, top, &asked, deployment)?;
        Ok((asked, candidates))
    }

    /// The identity lane: the body goes as it came but for what the provider needs, and the answer comes back untouched.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn send_identity<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        top: &TopLevel<'_>,
        caller: &CallerHeaders,
        target: &Target<'_>,
        call: &Call<'_>,
        endpoint: Endpoint,
    ) -> Tried<O> {
        let mut losses = Losses::default();
        let mut patch = identity::patch(top, target.provider.model_in_body(target.model, &target.account));
        let refers = target.dialect == Dialect::OpenAiResponses && memchr::memmem::find(request.bytes, OWN_IDS_MARK).is_some();
        let recalled = refers && self.recall_natively(outside, request, top, &mut patch, &mut losses).await?;
        if !recalled
            && let Some((member, json)) = identity::strip_foreign(target.dialect, request.bytes, target.provider.refuses_reasoning(), &mut losses)
        {
            patch.set(member, json);
        }
        let betas = self.betas(request, caller, target, true, request.bytes, Some(top));
        let call = &Call { betas: betas.as_deref(), ..*call };
        target.provider.edit_identity(call, top, &mut patch);
        // Who keeps a limit has to know what a stream took, and chat tells it only when asked.
        let gathers = call.stream && request.gathers();
        if gathers {
            if top.raw("stream").is_some() { patch.set("stream", "true".to_owned()) } else { patch.insert("stream", "true".to_owned()) }
        }
        let wants_usage = gathers || counts_tokens(request);
        let asks_usage = call.stream && call.dialect == Dialect::OpenAiChat && wants_usage && !asks_for_usage(top);
        if asks_usage {
            let options = with_usage(top);
            if top.raw("stream_options").is_some() { patch.set("stream_options", options) } else { patch.insert("stream_options", options) }
        }
        refuse_losses_if_strict(request, &losses)?;
        let mut headers = answer_headers(target);
        headers.extend(dropped(&losses));
        request.entry.lost(losses.iter().map(|loss| loss.path.clone()));
        let creates = creates_stored(call, top);
        let refers = memchr::memmem::find(request.bytes, b"_id\"").is_some() || top.raw("conversation").is_some();
        let is_ambiguous = (creates || refers) && call.dialect != Dialect::Anthropic && self.is_ambiguous(&openai_call("responses", "", call.model));
        if refers && is_ambiguous {
            self.refuse_foreign_ids(outside, &ids_in_json(request.bytes), target.provider).await?;
        }
        let body = if patch.is_empty() { Outgoing::Untouched(request.body.clone()) } else { Outgoing::Bytes(top.apply(&patch)) };
        let passing = caller.passing(Some(request.headers), betas.as_deref());
        let reply = self.send(outside, target, endpoint, passing, Sending::json(body)).await?;
        let goes_on = if asks_usage || gathers { GoesOn::Translated } else { GoesOn::Untouched };
        let reply = if call.stream { self.begun(outside, target, reply, goes_on).await? } else { reply };
        if gathers && reply.status == 400 {
            return Err(self.upstream_failure(outside, target, reply).await.into());
        }
        // The gateway's own key was refused, or somebody wants it sent elsewhere: not the caller's affair.
        if matches!(reply.status, 300..=399) || (matches!(reply.status, 401 | 403) && !target.with_callers_key) {
            return Err(self.upstream_failure(outside, target, reply).await.into());
        }
        let reply = if creates && is_ambiguous { self.note_issued(outside, target.provider, reply).await? } else { reply };
        let is_stream = (asks_usage || gathers) && reply.status == 200 && reply.is_event_stream();
        if gathers && is_stream {
            let bytes = self.gathered(outside, &request.entry, target, reply).await.map_err(|failure| Miss::from(failure).passing())?;
            request.entry.observed(&bytes, false);
            return Ok(Answer::Json { status: 200, headers, body: String::from_utf8(bytes).unwrap_or_default() });
        }
        if asks_usage && is_stream {
            let closing = self.closing_of_stream(outside, &request.entry, &request.body).await;
            let ends = Ends { before: None, after: closing.map(|closing| closing.later()) };
            let machine = Box::new(WithoutUsage::new(self.config.settings.log_content));
            let body = outside.translate(reply.body, machine, self.config.settings.stream_idle_timeout_ms, ends);
            return untouched(UpstreamReply { body, ..reply }, headers);
        }
        let reply = self.read_for_usage(outside, &request.entry, target, reply).await?;
        untouched(reply, headers)
    }

    #[allow(clippy::too_many_arguments)]
    async fn infer_hub<O: Outside>(
        &self,
        outside: &O,
        request: &Request<'_, O::Body>,
        from: Dialect,
        caller: &CallerHeaders,
        target: &Target<'_>,
        call: &Call<'_>,
        asked: String,
    ) -> Tried<O> {
        let to = target.dialect;
        let mut body: Map<String, Value> = serde_json::from_slice(request.bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
        identity::GATEWAY_FIELDS.iter().for_each(|key| drop(body.shift_remove(*key)));
        // The path names the model where the body does not.
        body.insert("model".to_owned(), target.model.into());
        let gathers = request.gathers();
        if gathers {
            body.insert("stream".to_owned(), Value::Bool(true));
        }
        let mut context = Context { seed: seed(outside), now: outside.now(), model: asked, echo: Map::new() };
        let mut draft = None;
        if from == Dialect::OpenAiResponses {
            let keeps = body.get("store").is_none_or(|store| *store != false);
            let recalled = self.recall(outside, request, &mut body, &openai_responses::response_id(&context), false).await?;
            draft = keeps.then_some(recalled);
        }
        let mut translated = hub::translate_request(from, to, Value::Object(body), target.model).map_err(Failure::from)?;
        context.echo = std::mem::take(&mut translated.echo);
        if draft.is_some() && !outside.has_store() {
            translated.losses.add("store", "no database is bound to keep the response in");
            draft = None;
        }
        let named = target.provider.model_in_body(target.model, &target.account);
        if let Some(model) = translated.body.get_mut("model").filter(|_| named != target.model) {
            *model = named.into();
        }
        target.provider.edit_hub(call, &mut translated.body, &mut translated.losses);
        translated.losses.in_words_of(from);
        request.entry.lost(translated.losses.iter().map(|loss| loss.path.clone()));
        refuse_losses_if_strict(request, &translated.losses)?;
        let mut bytes = serde_json::to_vec(&translated.body).map_err(|error| Failure::InvalidJson(error.to_string()))?;
        let betas = match to {
            Dialect::Anthropic => {
                let top = TopLevel::scan(&bytes).map_err(Failure::InvalidJson)?;
                let betas = self.betas(request, caller, target, false, &bytes, Some(&top));
                // A platform that reads them in the body has them put there as for any body of that dialect.
                let mut patch = Patch::default();
                target.provider.edit_identity(&Call { betas: betas.as_deref(), ..*call }, &top, &mut patch);
                if !patch.is_empty() {
                    bytes = top.apply(&patch);
                }
                betas
            }
            _ => self.betas(request, caller, target, false, &bytes, None),
        };
        let endpoint = target.provider.endpoint(call, &target.account);
        // The caller's vendor headers are about a body that the provider does not see.
        let reply = self.send(outside, target, endpoint, caller.passing(None, betas.as_deref()), Sending::json(Outgoing::Bytes(bytes))).await?;
        let reply = if call.stream { self.begun(outside, target, reply, GoesOn::Translated).await? } else { reply };
        if !(200..300).contains(&reply.status) {
            return Err(self.upstream_failure(outside, target, reply).await.into());
        }
        let mut headers = answer_headers(target);
        if reply.status == 204 {
            return Err(Failure::UpstreamInvalid { provider: target.provider.id(), reason: "an answer without a body".to_owned() }.into());
        }
        if translated.stream && !gathers {
            headers.extend(dropped(&translated.losses));
            let mut translator = hub::translator(to, from, translated.names, context, translated.include_usage);
            if self.config.settings.log_content {
                translator.keep_what_is_said();
            }
            let closing = self.closing_of_stream(outside, &request.entry, &request.body).await;
            let ends = Ends { before: draft.map(|draft| at_end(outside.clone(), draft)), after: closing.map(|closing| closing.later()) };
            let body = outside.translate(reply.body, Box::new(translator), self.config.settings.stream_idle_timeout_ms, ends);
            return Ok(Answer::Stream { headers, body });
        }
        let bytes = match gathers && reply.is_event_stream() {
            true => self.gathered(outside, &request.entry, target, reply).await,
            false => self.read_reply(outside, target, reply.body).await,
        };
        let bytes = bytes.map_err(|broken| Miss::from(broken).passing())?;
        request.entry.observed(&bytes, false);
        let (body, lost_in_reply) =
            hub::translate_reply(to, from, &bytes, &translated.names, &context).map_err(|error| not_a_reply(target, &bytes, &error))?;
        headers.extend(dropped(&translated.losses));
        if !lost_in_reply.is_empty() {
            let lost: Vec<String> = lost_in_reply.iter().map(|loss| format!("{} ({})", loss.path, loss.reason)).collect();
            outside.warn(&format!("lost in the answer of {}: {}", target.provider.id(), lost.join(", ")));
        }
        if let Some(draft) = draft {
            keep(outside, draft.answered(&body)).await;
        }
        Ok(Answer::Json { status: 200, headers, body: body.to_string() })
    }
}

/// A streamed response is kept before its end is told: who hears the end may come back at once.
fn at_end<O: Outside>(outside: O, draft: Draft) -> AtEnd {
    Box::new(move |response| Box::pin(async move { keep(&outside, draft.answered(&response)).await }))
}

/// Whether a provider refuses a request because it is to be streamed.
fn names_stream<B, H>(miss: &Miss<B, H>) -> bool {
    let Err(Failure::Upstream(upstream)) = &miss.outcome else { return false };
    let says = |text: &Option<String>| text.as_deref().is_some_and(|text| text.to_ascii_lowercase().contains("stream"));
    upstream.status == 400 && (says(&upstream.error.param) || says(&upstream.error.message))
}

fn stream_options(top: &TopLevel<'_>) -> Map<String, Value> {
    top.raw("stream_options").and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
}

fn asks_for_usage(top: &TopLevel<'_>) -> bool {
    stream_options(top).get("include_usage") == Some(&Value::Bool(true))
}

fn with_usage(top: &TopLevel<'_>) -> String {
    let mut options = stream_options(top);
    options.insert("include_usage".to_owned(), Value::Bool(true));
    Value::Object(options).to_string()
}

/// Whether a chat request asks for what only Responses tells: the thinking of OpenAI's reasoning models, or to take it back.
fn wants_reasoning(top: &TopLevel<'_>, body: &[u8]) -> bool {
    top.raw("reasoning").is_some_and(|raw| raw.starts_with('{'))
        || top.is_true("include_reasoning")
        || memchr::memmem::find(body, Issuer::OpenAi.format().as_bytes()).is_some()
}

pub(super) fn asked_model(top: &TopLevel<'_>, deployment: Option<&str>) -> Result<String, Failure> {
    if let Some(deployment) = deployment {
        return Ok(deployment.to_owned());
    }
    let wrong = |message: &str| Failure::Invalid(Invalid::new("model", message));
    match top.raw("model") {
        None | Some("null") => Err(wrong("'model' is required, such as \"openai/gpt-4o-mini\"")),
        Some(_) => top.string("model").filter(|model| !model.is_empty()).ok_or_else(|| wrong("expected a string that is not empty")),
    }
}

/// The provider's own answer, as it came.
pub(super) fn untouched<B, H: Headers>(reply: UpstreamReply<B, H>, headers: Vec<(&'static str, String)>) -> Result<Answer<B, H>, Miss<B, H>> {
    let UpstreamReply { status, headers: upstream, body } = reply;
    let found = (status >= 400).then(|| Miss::<B, H>::answered(status, &upstream));
    let answer = Answer::Untouched { status, upstream, without: &NOT_TO_CALLER, headers, body };
    match found {
        Some(found) => Err(Miss::new(found, Ok(answer))),
        None => Ok(answer),
    }
}

/// Whether the provider keeps the answer, so that its identifier can come back: Responses unless told not to, chat if told so.
fn creates_stored(call: &Call<'_>, top: &TopLevel<'_>) -> bool {
    match call.dialect {
        Dialect::OpenAiResponses => top.raw("store") != Some("false"),
        Dialect::OpenAiChat => top.is_true("store"),
        Dialect::Anthropic | Dialect::Gemini => false,
    }
}

/// `x-bf-strict: true`: better no answer than one to another question.
pub(super) fn refuse_losses_if_strict<B>(request: &Request<'_, B>, losses: &Losses) -> Result<(), Failure> {
    let is_strict = || request.headers.get("x-bf-strict").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if !losses.is_empty() && is_strict() { Err(Failure::Lossy(losses.clone())) } else { Ok(()) }
}

/// A body that is no answer under a status that says it is one: often an error that some proxy gave the wrong status.
fn not_a_reply(target: &Target<'_>, bytes: &[u8], error: &Invalid) -> Failure {
    let provider = target.provider.id();
    let said = hub::decode_error(target.dialect, bytes);
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(inner) = body.get("error").filter(|inner| !inner.is_null()) {
        let status = ["status", "code"].iter().find_map(|key| inner.get(*key)?.as_u64()).and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| (400..600).contains(status)).unwrap_or(502);
        return Failure::Upstream(Box::new(UpstreamFailure {
            provider,
            status,
            error: said,
            with_callers_key: target.with_callers_key,
            headers: Vec::new(),
        }));
    }
    let reason = if error.path.is_empty() { error.message.clone() } else { format!("{}: {}", error.path, error.message) };
    Failure::UpstreamInvalid { provider, reason }
}
