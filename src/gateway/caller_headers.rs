//! Which of the caller's headers go on, and which `anthropic-beta` values: the caller's, as far as they may and the platform
//! serves them, and those that the body needs.

use super::target::{Passing, Target};
use super::{Gateway, Request};
use crate::base::scan::TopLevel;
use crate::http::Headers;
use crate::http::headers::BETA;
use crate::ir::Dialect;
use crate::providers::anthropic::{family, needed_betas};

/// What a request brings, whoever answers it.
pub(super) struct CallerHeaders {
    further: Vec<(String, String)>,
    dropped: Vec<String>,
    /// `anthropic-beta`, where the caller or the owner says that it is to go on.
    told_beta: Option<String>,
    /// `anthropic-beta` as an SDK sends it.
    own_beta: Option<String>,
}

impl Gateway {
    pub(super) fn caller_headers(&self, headers: &dyn Headers) -> CallerHeaders {
        let (mut further, dropped) = self.config.settings.headers.further(headers);
        let told_beta = further.iter().rposition(|(name, _)| name == BETA).map(|at| further.remove(at).1);
        further.retain(|(name, _)| name != BETA);
        CallerHeaders { further, dropped, told_beta, own_beta: headers.get(BETA) }
    }

    /// The betas for a target, comma-separated. `untouched` says that it reads the body as the caller wrote it.
    pub(super) fn betas<B>(
        &self,
        request: &Request<'_, B>,
        caller: &CallerHeaders,
        target: &Target<'_>,
        untouched: bool,
        body: &[u8],
        top: Option<&TopLevel<'_>>,
    ) -> Option<String> {
        let mut dropped = caller.dropped.clone();
        let is_anthropic = target.dialect == Dialect::Anthropic;
        let passes_by_itself = untouched && is_anthropic && !self.config.settings.headers.denies(BETA);
        let asked = caller.told_beta.as_deref().or_else(|| caller.own_beta.as_deref().filter(|_| passes_by_itself));
        if asked.is_none() && caller.own_beta.is_some() {
            dropped.push(BETA.to_owned());
        }
        let asked = asked.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|beta| !beta.is_empty());
        // Elsewhere than at Anthropic's models they mean nothing, and whoever insists knows why.
        let serves = |beta: &&str| !is_anthropic || target.provider.serves_beta(beta);
        let (mut betas, refused): (Vec<&str>, Vec<&str>) = asked.partition(serves);
        dropped.extend(refused.iter().map(|beta| format!("{BETA}={beta}")));
        if let Some(top) = top.filter(|_| is_anthropic) {
            for beta in needed_betas(body, |member| top.raw(member)) {
                // The caller's own version of it wins.
                if target.provider.serves_beta(beta) && !betas.iter().any(|known| family(known) == family(beta)) {
                    betas.push(beta);
                }
            }
        }
        if !dropped.is_empty() {
            dropped.retain(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
            request.note("x-bf-dropped-headers", dropped.join(","));
        }
        (!betas.is_empty()).then(|| betas.join(","))
    }
}

impl CallerHeaders {
    pub(super) fn passing<'a>(&self, own: Option<&'a dyn Headers>, betas: Option<&'a str>) -> Passing<'a> {
        Passing { own, further: self.further.clone(), betas }
    }
}
