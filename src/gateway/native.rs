//! Operations that only providers of the caller's own API have: the request goes to one of them as it came.

use std::cell::RefCell;
use std::ops::Range;

use serde_json::Value;

use super::attempts::Tried;
use super::infer::untouched;
use super::limits::refuse_second_names;
use super::target::{Sending, Target, answer_headers};
use super::{Answer, Gateway, Outside, Request};
use crate::base::fields::Invalid;
use crate::base::multipart::{self, Found, Search};
use crate::base::scan::{Patch, TopLevel};
use crate::http::{Failure, Native};
use crate::ir::{Dialect, Refused};
use crate::ports::{Outgoing, ReadError};
use crate::providers::{self, NativeCall, Provider};
use crate::routing::{ids_in_json, ids_in_path, split_model};

/// The one operation whose body names models further down.
const BATCHES: &str = "messages/batches";

/// A body in which the model's place is known.
enum Body<'a, B> {
    None,
    Json(TopLevel<'a>, B),
    /// The beginning of a form, where in it the model stands, and the rest.
    Form(Vec<u8>, Option<Range<usize>>, B),
    Other(B),
}

impl<'a, B: Clone> Body<'a, B> {
    /// The same once more, where it is in memory.
    fn again(&self) -> Option<Self> {
        match self {
            Self::Json(top, body) => Some(Self::Json(top.clone(), body.clone())),
            Self::None | Self::Form(..) | Self::Other(_) => None,
        }
    }
}

impl Gateway {
    pub(super) async fn native<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
        native: Native,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let Request { route, headers, query, method, ref body, bytes, .. } = request;
        let body = body.clone();
        let content_type = headers.get("content-type");
        let body = match content_type.as_deref().and_then(multipart::boundary) {
            Some(boundary) if native.names_model => {
                let (head, at, rest) = self.read_form(outside, body, boundary, request.holder.is_some()).await?;
                Body::Form(head, at, rest)
            }
            Some(_) => Body::Other(body),
            None if !bytes.is_empty() => Body::Json(TopLevel::scan(bytes).map_err(Failure::InvalidJson)?, body),
            None if method == "POST" => Body::Other(body),
            None => Body::None,
        };
        let asked = match &body {
            Body::Json(top, _) => top.string("model"),
            Body::Form(head, Some(at), _) => head.get(at.clone()).map(|value| String::from_utf8_lossy(value).into_owned()),
            _ => None,
        };
        request.entry.asked(asked.as_deref().or(native.deployment.as_deref()).unwrap_or_default());
        let (prefix, model) = match (&native.deployment, &asked) {
            (Some(deployment), _) => (Some("azure"), deployment.as_str()),
            (None, Some(asked)) => split_model(asked, |name| providers::by_id(name).is_some()),
            (None, None) => (None, ""),
        };
        // Another name may stand for a model of another provider.
        let meant = match (prefix, &asked) {
            (None, Some(asked)) => Some(self.candidate(outside, &request, route.surface, asked)?)
                .filter(|meant| meant.model != *asked || Some(meant.provider.id()) != route.surface.default_provider()),
            _ => None,
        };
        let prefix = prefix.or(meant.as_ref().map(|meant| meant.provider.id()));
        let model = meant.as_ref().map_or(model, |meant| meant.model.as_str());
        let dialect = route.surface.dialect();
        let named = headers.get("x-model-provider").or_else(|| member(query, "provider").map(str::to_owned));
        let query = without_provider(query);
        let call = NativeCall { dialect, path: &native.path, query: &query, model: Some(model).filter(|model| !model.is_empty()) };
        let is_ambiguous = self.is_ambiguous(&call);
        let mut ids = if is_ambiguous { ids_in_path(&native.path) } else { Vec::new() };
        if is_ambiguous {
            ids.extend(query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())));
            ids.extend(ids_in_json(bytes));
        }
        let said = prefix.or(named.as_deref());
        let issuer = if said.is_none() { self.issuer(outside, &ids).await?.map(Provider::id) } else { None };
        let provider = said.or(issuer).or(route.surface.default_provider()).unwrap_or_default();
        let candidate = self.permitted(&request, self.of_provider(provider, model)?)?;
        if let Body::Json(top, _) = &body {
            refuse_second_names(&request, top)?;
            let writes = !["moderations", "audio/"].iter().any(|start| native.path.starts_with(start));
            self.note_need(&request, |key| top.raw(key), writes);
        }
        self.refuse_what_spends_later(&request, &native.path)?;
        if said.is_some() {
            self.refuse_foreign_ids(outside, &ids, candidate.provider).await?;
        }
        // What streams through can be sent once.
        let once = matches!(body, Body::Other(_) | Body::Form(..));
        let (body, caller) = (RefCell::new(Some(body)), self.caller_headers(headers));
        let job = async |target: &Target<'_>| -> Tried<O> {
            let endpoint = target.provider.native(&call, &target.account).ok_or_else(|| self.unavailable(target.provider, &call))?;
            let named = target.provider.model_in_body(model, &target.account);
            let is_named_otherwise = asked.as_deref().is_some_and(|asked| asked != named);
            let body = if once { body.borrow_mut().take() } else { body.borrow().as_ref().and_then(Body::again) };
            let outgoing = match body.unwrap_or(Body::None) {
                Body::None => Outgoing::Nothing,
                Body::Other(body) => Outgoing::Untouched(body),
                Body::Form(mut head, at, rest) => {
                    let before = head.len();
                    if let Some(at) = at.filter(|_| is_named_otherwise) {
                        head.splice(at, named.bytes());
                    }
                    let longer = head.len() as i64 - before as i64;
                    let length = headers.get("content-length").and_then(|length| length.parse::<i64>().ok());
                    Outgoing::Continued { head, rest, length: length.and_then(|length| u64::try_from(length + longer).ok()) }
                }
                Body::Json(top, body) => {
                    let mut patch = Patch::default();
                    if call.path == BATCHES
                        && let Some(requests) = batch(&top, target.provider.id())?
                    {
                        patch.set("requests", requests);
                    }
                    if is_named_otherwise {
                        patch.set("model", Value::from(named).to_string());
                    }
                    if patch.is_empty() { Outgoing::Untouched(body) } else { Outgoing::Bytes(top.apply(&patch)) }
                }
            };
            let betas = self.betas(&request, &caller, target, true, bytes, None);
            let sending = Sending { method, content_type: content_type.clone(), body: outgoing, timeout_ms: None };
            let reply = self.send(outside, target, endpoint, caller.passing(Some(headers), betas.as_deref()), sending).await?;
            if matches!(reply.status, 300..=399) || (matches!(reply.status, 401 | 403) && !target.with_callers_key) {
                return Err(self.upstream_failure(outside, target, reply).await.into());
            }
            // What nobody knows went where everything goes; that it was found there proves little.
            let is_known = said.or(issuer).is_some() || method == "POST";
            let reply = if is_ambiguous && is_known { self.note_issued(outside, target.provider, reply).await? } else { reply };
            let reply = if method == "POST" { self.read_for_usage(outside, &request.entry, target, reply).await? } else { reply };
            untouched(reply, answer_headers(target))
        };
        self.attempt(outside, &request, dialect, std::slice::from_ref(&candidate), once, job).await
    }

    /// Reads a form up to its model, which says where it goes: its beginning, where in that the model stands, and the rest. `wholly`, it
    /// is read to its end, and must not name another.
    pub(super) async fn read_form<O: Outside>(
        &self,
        outside: &O,
        body: O::Body,
        boundary: &str,
        wholly: bool,
    ) -> Result<(Vec<u8>, Option<Range<usize>>, O::Body), Failure> {
        let limit = self.config.settings.max_body_bytes;
        let (mut search, mut found) = (Search::new(boundary, "model"), Found::NotYet);
        let mut enough = |bytes: &[u8]| {
            found = search.look(bytes);
            !wholly && found != Found::NotYet
        };
        let timeout_ms = self.config.settings.request_timeout_ms;
        let (head, rest) = outside.peek(body, limit, timeout_ms, &mut enough).await.map_err(|error| match error {
            ReadError::TooLarge => Failure::BodyTooLarge { limit },
            ReadError::Broken | ReadError::TimedOut => Failure::InvalidJson("the form could not be read to its end".to_owned()),
        })?;
        if (wholly || found == Found::NotYet) && head.len() >= limit {
            return Err(Failure::BodyTooLarge { limit });
        }
        if wholly && multipart::count(&head, boundary, "model") > 1 {
            return Err(Invalid::new("model", "is named twice").into());
        }
        let at = if let Found::At(at) = found { Some(at) } else { None };
        Ok((head, at, rest))
    }

    /// Names the providers that do have the operation.
    fn unavailable(&self, provider: &dyn Provider, call: &NativeCall<'_>) -> Failure {
        let account = providers::Account::default();
        let others = providers::ALL.iter().filter(|other| other.native(call, &account).is_some()).map(|other| other.id());
        let others: Vec<&str> = others.collect();
        let message = format!(
            "'{}' is not available for the provider '{}'; it is for {} (write provider/model, or name the provider with ?provider= or x-model-provider)",
            call.path,
            provider.id(),
            others.join(" and "),
        );
        Failure::Refused(Refused::new("", message))
    }
}

/// The requests of a batch with the provider's prefix taken off their models; `None` where none has one.
fn batch(top: &TopLevel<'_>, provider: &str) -> Result<Option<String>, Failure> {
    let raw = top.raw("requests").unwrap_or_default();
    if !providers::ALL.iter().any(|known| raw.contains(&format!("\"{}/", known.id()))) {
        return Ok(None);
    }
    let mut requests: Value = serde_json::from_str(raw).map_err(|error| Failure::InvalidJson(error.to_string()))?;
    for (i, request) in requests.as_array_mut().into_iter().flatten().enumerate() {
        let Some(model) = request.get_mut("params").and_then(|params| params.get_mut("model")) else { continue };
        let asked = model.as_str().unwrap_or_default();
        match split_model(asked, |name| providers::by_id(name).is_some()) {
            (Some(prefix), _) if prefix != provider => {
                let message = format!("a batch goes to one provider, here {provider}");
                return Err(Invalid::new(format!("requests[{i}].params.model"), message).into());
            }
            (_, bare) if bare != asked => *model = bare.to_owned().into(),
            _ => {}
        }
    }
    Ok(Some(requests.to_string()))
}

fn member<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// The query without what is the gateway's.
fn without_provider(query: &str) -> String {
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("provider=")).collect();
    kept.join("&")
}

/// The dialect whose SDKs call these operations.
pub(super) fn openai_call<'a>(path: &'a str, query: &'a str, model: &'a str) -> NativeCall<'a> {
    NativeCall { dialect: Dialect::OpenAiChat, path, query, model: Some(model) }
}
