//! FinOps Gateway: an AI gateway on Cloudflare Workers. Six providers behind the OpenAI and Anthropic APIs.
//!
//! The house, floor by floor, each of which uses only those before it; `docs/architecture.md` shows the rooms:
//! bytes and JSON ([`base`]), the neutral form ([`ir`]), wire formats ([`dialects`]), the two ways through ([`lanes`]), who
//! answers ([`providers`]), model names ([`routing`]), native requests ([`passthrough`]), records ([`accounting`]), limits ([`governance`]), jobs ([`jobs`]), the HTTP surface ([`http`]), what the outside must supply ([`ports`]),
//! the use cases ([`gateway`]) and, on wasm only, the worker itself.

pub mod base;
pub mod ir;

pub mod dialects;

pub mod lanes;

pub mod accounting;
pub mod governance;
pub mod jobs;
pub mod passthrough;
pub mod providers;
pub mod routing;

pub mod http;

pub mod ports;

pub mod gateway;

#[cfg(target_arch = "wasm32")]
mod shell;
