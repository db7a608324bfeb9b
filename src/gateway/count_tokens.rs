//! How many tokens a request has: the provider's own count where it has one, an estimate elsewhere.

use serde_json::{Map, Value, json};

use super::attempts::Tried;
use super::native::openai_call;
use super::target::{Target, answer_headers};
use super::{Answer, Gateway, Outside, Request};
use crate::accounting::estimate;
use crate::base::scan::TopLevel;
use crate::http::Failure;
use crate::ir::Dialect;
use crate::providers::Call;

impl Gateway {
    /// `POST /openai/v1/responses/input_tokens`: the provider's own count where it has Responses, an estimate elsewhere.
    pub(super) async fn count_input_tokens<O: Outside>(
        &self,
        outside: &O,
        request: Request<'_, O::Body>,
    ) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let top = TopLevel::scan(request.bytes).map_err(Failure::InvalidJson)?;
        let (_, candidates) = self.asked(outside, &request, &top, None)?;
        let caller = self.caller_headers(request.headers);
        let job = async |target: &Target<'_>| -> Tried<O> {
            if target.dialect == Dialect::OpenAiResponses
                && let Some(endpoint) = target.provider.native(&openai_call("responses/input_tokens", "", target.model), &target.account)
            {
                let call = Call { dialect: target.dialect, model: target.model, stream: false, api_version: None, betas: None };
                return self.send_identity(outside, &request, &top, &caller, target, &call, endpoint).await;
            }
            let mut body: Map<String, Value> = serde_json::from_slice(request.bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
            self.recall(outside, &request, &mut body, "resp_fg", false).await?;
            let count = estimate::of_request(&Value::Object(body));
            Ok(estimated(target, json!({"object": "response.input_tokens", "input_tokens": count})))
        };
        self.attempt(outside, &request, Dialect::OpenAiResponses, &candidates, false, job).await
    }

    /// `POST /anthropic/v1/messages/count_tokens`.
    pub(super) async fn count_tokens<O: Outside>(&self, outside: &O, request: Request<'_, O::Body>) -> Result<Answer<O::Body, O::Headers>, Failure> {
        let top = TopLevel::scan(request.bytes).map_err(Failure::InvalidJson)?;
        let (_, candidates) = self.asked(outside, &request, &top, None)?;
        let caller = self.caller_headers(request.headers);
        let job = async |target: &Target<'_>| -> Tried<O> {
            let call = Call { dialect: target.dialect, model: target.model, stream: false, api_version: None, betas: None };
            let native = (target.dialect == Dialect::Anthropic).then(|| target.provider.count_tokens(&call, &target.account)).flatten();
            if let Some(endpoint) = native {
                return self.send_identity(outside, &request, &top, &caller, target, &call, endpoint).await;
            }
            let body: Value = serde_json::from_slice(request.bytes).map_err(|error| Failure::InvalidJson(error.to_string()))?;
            Ok(estimated(target, json!({"input_tokens": estimate::of_request(&body)})))
        };
        self.attempt(outside, &request, Dialect::Anthropic, &candidates, false, job).await
    }
}

fn estimated<B, H>(target: &Target<'_>, body: Value) -> Answer<B, H> {
    let mut headers = answer_headers(target);
    headers.push(("x-bf-token-count", "estimate".to_owned()));
    Answer::Json { status: 200, headers, body: body.to_string() }
}
