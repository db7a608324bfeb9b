//! Who answers. A provider is a small declaration: which dialects it speaks for which model, where, with which credentials,
//! and its quirks over the outgoing body. Adding one is a folder and a word in [`ALL`]; one that speaks OpenAI's chat
//! completions with a bearer key is a [`compatible::Compatible`] constant.

pub mod account;
pub mod anthropic;
pub mod azure;
pub mod compatible;
mod gemini;
mod ollama;
mod openai;
pub mod vertex;

use serde_json::{Map, Value};

pub use account::{Account, Secret, Unconfigured, Vars};

use crate::base::scan::{Patch, TopLevel};
use crate::ir::{Dialect, EmbeddingDialect, Losses};

/// Every provider, in the order in which their models are listed.
pub const ALL: [&dyn Provider; 6] =
    [&openai::PROVIDER, &anthropic::PROVIDER, &gemini::PROVIDER, &vertex::PROVIDER, &azure::PROVIDER, &ollama::PROVIDER];

/// The provider of that name.
pub fn by_id(id: &str) -> Option<&'static dyn Provider> {
    ALL.into_iter().find(|provider| provider.id() == id)
}

/// One provider.
pub trait Provider: Sync {
    /// Its name, as in `provider/model`.
    fn id(&self) -> &'static str;

    /// Where and with which credentials it is reached, from the settings.
    ///
    /// # Errors
    /// [`Unconfigured`] says which setting is missing or wrong.
    fn account(&self, vars: Vars<'_>) -> Result<Account, Unconfigured>;

    /// What a key of a pool may say besides its rules, and the setting that each member stands in for. The first is the key.
    fn key_settings(&self) -> &'static [(&'static str, &'static str)];

    /// The dialects that it speaks for this model, the one that loses least first.
    fn dialects(&self, model: &str) -> &'static [Dialect];

    /// Where a generation goes.
    fn endpoint(&self, call: &Call<'_>, account: &Account) -> Endpoint;

    /// Where Anthropic's own token count goes, if the provider has it for this model.
    fn count_tokens(&self, call: &Call<'_>, account: &Account) -> Option<Endpoint> {
        let _ = (call, account);
        None
    }

    /// Where an operation goes that only providers have who speak the caller's own API.
    fn native(&self, call: &NativeCall<'_>, account: &Account) -> Option<Endpoint> {
        let _ = (call, account);
        None
    }

    /// Where embeddings go, and how they are asked for, if it has any.
    fn embeddings(&self, call: &NativeCall<'_>, account: &Account) -> Option<(EmbeddingDialect, Endpoint)> {
        self.native(call, account).map(|endpoint| (EmbeddingDialect::OpenAi, endpoint))
    }

    /// Where a native request goes, its path and query as they came. With the caller's own credential (`as_they_say`) the
    /// project that a path names is theirs, too.
    fn passthrough(&self, path: &str, query: &str, account: &Account, as_they_say: bool) -> Endpoint;

    /// Where its models are listed.
    fn models(&self, account: &Account) -> ModelList;

    /// The model's name as the body says it.
    fn model_in_body<'a>(&self, model: &'a str, account: &'a Account) -> &'a str {
        let _ = account;
        model
    }

    /// Quirks of a body that the hub wrote.
    fn edit_hub(&self, call: &Call<'_>, body: &mut Map<String, Value>, losses: &mut Losses) {
        let _ = (call, body, losses);
    }

    /// Quirks of a body that the caller wrote in a dialect that the provider speaks.
    fn edit_identity(&self, call: &Call<'_>, top: &TopLevel<'_>, patch: &mut Patch) {
        let _ = (call, top, patch);
    }

    /// Whether an Anthropic caller's `anthropic-*` headers reach it. Claude on other platforms reads them in the body.
    fn takes_anthropic_headers(&self) -> bool {
        true
    }

    /// Whether it serves an `anthropic-beta` value; those that a platform does not know make it refuse the request.
    fn serves_beta(&self, beta: &str) -> bool {
        let _ = beta;
        true
    }

    /// Whether it refuses reasoning that other providers' answers left in a chat conversation.
    fn refuses_reasoning(&self) -> bool {
        false
    }
}

/// What decides where a request goes and how its body must look.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The dialect that the provider is spoken to in.
    pub dialect: Dialect,
    /// The model, without the provider's prefix.
    pub model: &'a str,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// The caller's `api-version` (Azure's SDK sends one).
    pub api_version: Option<&'a str>,
    /// The `anthropic-beta` values, where there are any, comma-separated.
    pub betas: Option<&'a str>,
}

/// An operation of the caller's own API.
#[derive(Debug, Clone, Copy)]
pub struct NativeCall<'a> {
    /// Whose API: [`Dialect::Anthropic`], or OpenAI's.
    pub dialect: Dialect,
    /// Below the API's version: `files/file-1`.
    pub path: &'a str,
    /// The query, as it came.
    pub query: &'a str,
    /// The model, where the request names one.
    pub model: Option<&'a str>,
}

impl NativeCall<'_> {
    /// The path with the query.
    pub fn path_and_query(&self) -> String {
        with_query(self.path, self.query)
    }
}

/// A path with its query.
fn with_query(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Where a request goes, and with which credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The address. Never holds a credential.
    pub url: String,
    /// How to authenticate.
    pub auth: Auth,
    /// Headers that the provider always wants.
    pub headers: Vec<(&'static str, String)>,
}

/// How to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// By a header of this name.
    Header(&'static str, Secret),
    /// By `authorization: Bearer`.
    Bearer(Secret),
    /// By a bearer token that Google gives for the account's service account.
    GoogleToken,
}

/// Where models are listed, and how the answer reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelList {
    /// What to ask; several when a platform lists by publisher.
    pub endpoints: Vec<Endpoint>,
    /// The member that holds the list.
    pub list: &'static str,
    /// The member of each entry that holds its name.
    pub name: &'static str,
    /// Names that are known without asking (Azure's deployments).
    pub known: Vec<String>,
}
