//! The operations, one line each.

use super::Surface::{Anthropic, Bare, OpenAi};
use super::{Action, Governed, Surface};

/// What a line of the table leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Responses,
    Messages,
    CountTokens,
    InputTokens,
    Embeddings,
    Stored(Action),
    /// Only providers that speak the surface's own API have it; it goes there as it came.
    Native,
    /// The same, and its form names a model.
    NativeOfModel,
    Models,
    Model,
    WebSocket,
    Health,
    About,
    Logs,
    Log,
    LogStats,
    LogHistogram,
    DeleteLogs,
    Metrics,
    SubmitChat,
    SubmitResponses,
    SubmitMessages,
    SubmitEmbeddings,
    Job,
    CancelJob,
    Quota,
    Manage(Governed, Deed),
}

/// What is done with a virtual key, a team or a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    List,
    Create,
    Show,
    Change,
    Delete,
    Rotate,
}

/// One operation: in which APIs, by which methods, on which path (`{id}` is one segment, a last `*` any number of them,
/// none included).
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) surfaces: &'static [Surface],
    pub(super) methods: &'static [&'static str],
    pub(super) path: &'static str,
    pub(super) kind: Kind,
}

const fn entry(surfaces: &'static [Surface], methods: &'static [&'static str], path: &'static str, kind: Kind) -> Entry {
    Entry { surfaces, methods, path, kind }
}

const POST: &[&str] = &["POST"];
const GET: &[&str] = &["GET", "HEAD"];
const DELETE: &[&str] = &["DELETE"];
const PATCH: &[&str] = &["PATCH"];
const ANY: &[&str] = &["GET", "POST", "DELETE"];

/// Every operation; the first line that fits a path and a method serves it.
pub(super) const TABLE: [Entry; 66] = [
    entry(&[OpenAi, Bare], POST, "chat/completions", Kind::Chat),
    entry(&[OpenAi, Bare], POST, "responses", Kind::Responses),
    entry(&[OpenAi], &["GET"], "responses", Kind::WebSocket),
    entry(&[OpenAi, Bare], POST, "responses/input_tokens", Kind::InputTokens),
    entry(&[OpenAi, Bare], GET, "responses/{id}", Kind::Stored(Action::Read)),
    entry(&[OpenAi, Bare], DELETE, "responses/{id}", Kind::Stored(Action::Delete)),
    entry(&[OpenAi, Bare], GET, "responses/{id}/input_items", Kind::Stored(Action::InputItems)),
    entry(&[OpenAi, Bare], POST, "responses/{id}/cancel", Kind::Stored(Action::Cancel)),
    entry(&[OpenAi, Bare], POST, "embeddings", Kind::Embeddings),
    entry(&[OpenAi, Anthropic, Bare], GET, "models", Kind::Models),
    entry(&[OpenAi, Anthropic, Bare], GET, "models/*", Kind::Model),
    entry(&[OpenAi], DELETE, "models/{id}", Kind::Native),
    entry(&[OpenAi], POST, "completions", Kind::NativeOfModel),
    entry(&[OpenAi], POST, "moderations", Kind::NativeOfModel),
    entry(&[OpenAi], POST, "audio/speech", Kind::NativeOfModel),
    entry(&[OpenAi], POST, "audio/transcriptions", Kind::NativeOfModel),
    entry(&[OpenAi], POST, "audio/translations", Kind::NativeOfModel),
    entry(&[OpenAi], POST, "images/generations", Kind::NativeOfModel),
    entry(&[OpenAi], POST, "images/edits", Kind::NativeOfModel),
    entry(&[OpenAi], POST, "images/variations", Kind::NativeOfModel),
    entry(&[OpenAi], ANY, "batches/*", Kind::Native),
    entry(&[OpenAi], ANY, "containers/*", Kind::Native),
    entry(&[OpenAi], ANY, "conversations/*", Kind::Native),
    entry(&[OpenAi], ANY, "evals/*", Kind::Native),
    entry(&[OpenAi], ANY, "files/*", Kind::Native),
    entry(&[OpenAi], ANY, "fine_tuning/*", Kind::Native),
    entry(&[OpenAi], ANY, "uploads/*", Kind::Native),
    entry(&[OpenAi], ANY, "vector_stores/*", Kind::Native),
    entry(&[OpenAi], ANY, "videos/*", Kind::NativeOfModel),
    entry(&[OpenAi], ANY, "chat/completions/*", Kind::Native),
    entry(&[OpenAi], POST, "responses/compact", Kind::Native),
    entry(&[Anthropic], POST, "messages", Kind::Messages),
    entry(&[Anthropic], POST, "messages/count_tokens", Kind::CountTokens),
    entry(&[Anthropic], ANY, "messages/batches/*", Kind::Native),
    entry(&[Anthropic], ANY, "files/*", Kind::Native),
    entry(&[Bare], POST, "async/chat/completions", Kind::SubmitChat),
    entry(&[Bare], POST, "async/responses", Kind::SubmitResponses),
    entry(&[Bare], POST, "async/messages", Kind::SubmitMessages),
    entry(&[Bare], POST, "async/embeddings", Kind::SubmitEmbeddings),
    entry(&[Bare], GET, "async/jobs/{id}", Kind::Job),
    entry(&[Bare], DELETE, "async/jobs/{id}", Kind::CancelJob),
    entry(&[Bare], GET, "health", Kind::Health),
    entry(&[Bare], GET, "metrics", Kind::Metrics),
    entry(&[Bare], GET, "api/logs", Kind::Logs),
    entry(&[Bare], DELETE, "api/logs", Kind::DeleteLogs),
    entry(&[Bare], GET, "api/logs/stats", Kind::LogStats),
    entry(&[Bare], GET, "api/logs/histogram", Kind::LogHistogram),
    entry(&[Bare], GET, "api/logs/{id}", Kind::Log),
    entry(&[Bare], GET, "api/governance/virtual-keys/quota", Kind::Quota),
    entry(&[Bare], GET, "api/governance/virtual-keys", Kind::Manage(Governed::VirtualKey, Deed::List)),
    entry(&[Bare], POST, "api/governance/virtual-keys", Kind::Manage(Governed::VirtualKey, Deed::Create)),
    entry(&[Bare], GET, "api/governance/virtual-keys/{id}", Kind::Manage(Governed::VirtualKey, Deed::Show)),
    entry(&[Bare], PATCH, "api/governance/virtual-keys/{id}", Kind::Manage(Governed::VirtualKey, Deed::Change)),
    entry(&[Bare], DELETE, "api/governance/virtual-keys/{id}", Kind::Manage(Governed::VirtualKey, Deed::Delete)),
    entry(&[Bare], POST, "api/governance/virtual-keys/{id}/rotate", Kind::Manage(Governed::VirtualKey, Deed::Rotate)),
    entry(&[Bare], GET, "api/governance/teams", Kind::Manage(Governed::Team, Deed::List)),
    entry(&[Bare], POST, "api/governance/teams", Kind::Manage(Governed::Team, Deed::Create)),
    entry(&[Bare], GET, "api/governance/teams/{id}", Kind::Manage(Governed::Team, Deed::Show)),
    entry(&[Bare], PATCH, "api/governance/teams/{id}", Kind::Manage(Governed::Team, Deed::Change)),
    entry(&[Bare], DELETE, "api/governance/teams/{id}", Kind::Manage(Governed::Team, Deed::Delete)),
    entry(&[Bare], GET, "api/governance/customers", Kind::Manage(Governed::Customer, Deed::List)),
    entry(&[Bare], POST, "api/governance/customers", Kind::Manage(Governed::Customer, Deed::Create)),
    entry(&[Bare], GET, "api/governance/customers/{id}", Kind::Manage(Governed::Customer, Deed::Show)),
    entry(&[Bare], PATCH, "api/governance/customers/{id}", Kind::Manage(Governed::Customer, Deed::Change)),
    entry(&[Bare], DELETE, "api/governance/customers/{id}", Kind::Manage(Governed::Customer, Deed::Delete)),
    entry(&[Bare], GET, "", Kind::About),
];

impl Entry {
    /// What the path's `{id}` or `*` stands for, if the path fits.
    pub(super) fn matches<'a>(&self, surface: Surface, path: &'a str) -> Option<&'a str> {
        if !self.surfaces.contains(&surface) {
            return None;
        }
        if let Some(head) = self.path.strip_suffix("/*") {
            let rest = path.strip_prefix(head)?;
            return if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') };
        }
        let Some((head, tail)) = self.path.split_once("{id}") else { return (self.path == path).then_some("") };
        let id = path.strip_prefix(head)?.strip_suffix(tail)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
}
