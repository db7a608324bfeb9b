//! Path and method → operation.

use super::Failure;
use super::operations::{Deed, Kind, TABLE};
use crate::base::path::checked;
use crate::base::text::percent_decoded;
use crate::ir::Dialect;

/// The API that a path belongs to: it decides the shape of errors and the default provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Under `/openai`.
    OpenAi,
    /// Under `/anthropic`.
    Anthropic,
    /// Without prefix: OpenAI's shape, and no default provider.
    Bare,
    /// Under `/genai_passthrough`.
    Google,
}

impl Surface {
    /// The dialect that callers of it speak.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Anthropic => Dialect::Anthropic,
            Self::Google => Dialect::Gemini,
            Self::OpenAi | Self::Bare => Dialect::OpenAiChat,
        }
    }

    /// Who serves a model without prefix.
    pub fn default_provider(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("openai"),
            Self::Anthropic => Some("anthropic"),
            Self::Google => Some("gemini"),
            Self::Bare => None,
        }
    }
}

/// What is asked for, and in which API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The API.
    pub surface: Surface,
    /// The operation.
    pub operation: Operation,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A model's answer.
    Generate(Generation),
    /// How many tokens a Messages request has.
    CountTokens,
    /// How many tokens a Responses request has.
    InputTokens,
    /// Vectors of texts.
    Embed {
        /// The Azure deployment that the path names.
        deployment: Option<String>,
    },
    /// A response that was stored.
    Stored {
        /// Its identifier, as it came.
        id: String,
        /// What to do with it.
        action: Action,
    },
    /// What only providers that speak the surface's own API have.
    Native(Native),
    /// A provider's own request, untouched.
    Pass(Pass),
    /// The models of all providers.
    Models,
    /// One of them.
    Model(String),
    /// A connection of a kind that is not spoken here.
    WebSocket,
    /// Whether the gateway works.
    Health,
    /// What this is.
    About,
    /// A model's answer or vectors, to be fetched later.
    Submit(Box<Operation>),
    /// How a job stands.
    Job(String),
    /// That a job be taken back.
    CancelJob(String),
    /// What the virtual key that is shown may still spend.
    Quota,
    /// What only the gateway's owner may ask.
    Owner(Owner),
}

/// What only the gateway's owner may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A page of records.
    Logs,
    /// One record.
    Log(String),
    /// Sums over records.
    LogStats,
    /// The same by time.
    LogHistogram,
    /// That records be deleted.
    DeleteLogs,
    /// Sums for Prometheus.
    Metrics,
    /// Something about a virtual key, a team or a customer.
    Manage(Governed, Manage),
}

/// Who has limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Governed {
    /// A virtual key.
    VirtualKey,
    /// A team.
    Team,
    /// A customer.
    Customer,
}

/// What is done with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manage {
    /// All are shown.
    List,
    /// One is made.
    Create,
    /// One is shown.
    Show(String),
    /// One is changed.
    Change(String),
    /// One is deleted.
    Delete(String),
    /// One gets a new key.
    Rotate(String),
}

impl Operation {
    /// What it is called in the record of a request; `None` for what has no record.
    pub fn object(&self) -> Option<&'static str> {
        Some(match self {
            Self::Generate(Generation { dialect: Dialect::Anthropic, .. }) => "messages",
            Self::Generate(Generation { dialect: Dialect::OpenAiResponses, .. }) => "responses",
            Self::Generate(_) => "chat",
            Self::CountTokens | Self::InputTokens => "count_tokens",
            Self::Embed { .. } => "embeddings",
            Self::Stored { .. } => "stored_response",
            Self::Native(_) => "native",
            Self::Pass(_) => "passthrough",
            Self::Models | Self::Model(_) => "models",
            Self::Submit(_) | Self::Job(_) | Self::CancelJob(_) => "async",
            Self::WebSocket | Self::Health | Self::About | Self::Quota | Self::Owner(_) => return None,
        })
    }

    /// The dialect that it is asked in, where that is not its surface's.
    pub fn dialect(&self) -> Option<Dialect> {
        match self {
            Self::Generate(generation) => Some(generation.dialect),
            Self::Submit(operation) => operation.dialect(),
            Self::InputTokens => Some(Dialect::OpenAiResponses),
            _ => None,
        }
    }

    /// Whether it is asked with a JSON body.
    pub fn takes_json(&self) -> bool {
        matches!(
            self,
            Self::Generate(_)
                | Self::CountTokens
                | Self::InputTokens
                | Self::Embed { .. }
                | Self::Submit(_)
                | Self::Owner(Owner::Manage(_, Manage::Create | Manage::Change(_)))
        )
    }
}

/// A model's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// The caller's dialect.
    pub dialect: Dialect,
    /// The Azure deployment that the path names; it overrides the body's model.
    pub deployment: Option<String>,
}

/// What is done with a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is shown.
    Read,
    /// It is forgotten.
    Delete,
    /// What it answered is shown.
    InputItems,
    /// It is given up, if it is still being made.
    Cancel,
}

/// What only providers that speak the surface's own API have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Native {
    /// The path below the API's version, as it came: `files/file-1/content`.
    pub path: String,
    /// The Azure deployment that the path names.
    pub deployment: Option<String>,
    /// Whether a form of it names a model.
    pub names_model: bool,
}

/// A provider's own request, untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Whose.
    pub to: PassTo,
    /// The path below the prefix, as it came.
    pub path: String,
}

/// Whose native requests a prefix takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassTo {
    /// A provider's.
    One(&'static str),
    /// Gemini's or Vertex's, as the request tells.
    Google,
}

/// The prefixes of native requests.
const PASSTHROUGH: [(&str, PassTo, Surface); 4] = [
    ("/openai_passthrough", PassTo::One("openai"), Surface::OpenAi),
    ("/anthropic_passthrough", PassTo::One("anthropic"), Surface::Anthropic),
    ("/azure_passthrough", PassTo::One("azure"), Surface::OpenAi),
    ("/genai_passthrough", PassTo::Google, Surface::Google),
];

fn pass(method: &str, path: &str) -> Option<Result<Route, (Surface, Failure)>> {
    let (prefix, to, surface) = PASSTHROUGH.into_iter().find(|(prefix, ..)| under(path, prefix))?;
    let rest = path.get(prefix.len()..).unwrap_or_default();
    // Claude on Azure answers in Anthropic's shape.
    let is_claude = to == PassTo::One("azure") && ["/anthropic/", "/v1/messages"].iter().any(|start| rest.starts_with(start));
    let surface = if is_claude { Surface::Anthropic } else { surface };
    const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    if !METHODS.contains(&method) {
        return Some(Err((surface, Failure::MethodNotAllowed { method: method.to_owned(), allow: METHODS.join(", ") })));
    }
    Some(Ok(Route { surface, operation: Operation::Pass(Pass { to, path: rest.to_owned() }) }))
}

/// Finds the operation.
///
/// # Errors
/// [`Failure::UnknownRoute`] and [`Failure::MethodNotAllowed`], with the surface in whose shape to say so.
pub fn route(method: &str, path: &str) -> Result<Route, (Surface, Failure)> {
    if let Some(found) = pass(method, path) {
        return found;
    }
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let (surface, rest) = match trimmed {
        _ if under(trimmed, "/openai") => (Surface::OpenAi, trimmed.get("/openai".len()..).unwrap_or_default()),
        _ if under(trimmed, "/anthropic") => (Surface::Anthropic, trimmed.get("/anthropic".len()..).unwrap_or_default()),
        _ => (Surface::Bare, trimmed),
    };
    let unknown = || (surface, Failure::UnknownRoute { method: method.to_owned(), path: path.to_owned() });
    let (deployment, rest) = below_version(surface, rest).ok_or_else(unknown)?;
    let mut allow: Vec<&str> = Vec::new();
    for (entry, found) in TABLE.iter().filter_map(|entry| Some((entry, entry.matches(surface, rest)?))) {
        if !entry.methods.contains(&method) {
            allow.extend(entry.methods);
            continue;
        }
        // These go on to a provider as they came.
        if matches!(entry.kind, Kind::Native | Kind::NativeOfModel)
            && let Err(why) = checked(&format!("/{rest}"))
        {
            return Err((surface, Failure::UnsafePath { reason: why.0 }));
        }
        let deployment = deployment.map(percent_decoded);
        if let Some(operation) = operation(entry.kind, found, rest, deployment) {
            return Ok(Route { surface, operation });
        }
    }
    if allow.is_empty() { Err(unknown()) } else { Err((surface, Failure::MethodNotAllowed { method: method.to_owned(), allow: allow.join(", ") })) }
}

fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The deployment, where the path names one, and what comes below the API's version. SDKs differ in what they put between.
fn below_version(surface: Surface, path: &str) -> Option<(Option<&str>, &str)> {
    let prefixes: &[&str] = match surface {
        Surface::OpenAi => &["/v1/", "/openai/v1/", "/openai/", "/"],
        Surface::Anthropic => &["/v1/"],
        Surface::Bare => &["/v1/", "/"],
        Surface::Google => &[],
    };
    // What AzureOpenAI builds from `azure_endpoint={url}/openai`.
    if let (Surface::OpenAi, Some(rest)) = (surface, path.strip_prefix("/openai/deployments/")) {
        let (name, rest) = rest.split_once('/').filter(|(name, _)| !name.is_empty())?;
        return Some((Some(name), rest));
    }
    if path.is_empty() && surface == Surface::Bare {
        return Some((None, ""));
    }
    prefixes.iter().find_map(|prefix| path.strip_prefix(prefix)).map(|rest| (None, rest))
}

fn operation(kind: Kind, found: &str, path: &str, deployment: Option<String>) -> Option<Operation> {
    let generation = |dialect| Operation::Generate(Generation { dialect, deployment: None });
    let submit = |operation| Some(Operation::Submit(Box::new(operation)));
    let generate = |dialect, deployment| Some(Operation::Generate(Generation { dialect, deployment }));
    match kind {
        Kind::Chat => generate(Dialect::OpenAiChat, deployment),
        Kind::Embeddings => Some(Operation::Embed { deployment }),
        Kind::Native | Kind::NativeOfModel => {
            Some(Operation::Native(Native { path: path.to_owned(), deployment, names_model: kind == Kind::NativeOfModel }))
        }
        _ if deployment.is_some() => None,
        Kind::Responses => generate(Dialect::OpenAiResponses, None),
        Kind::Messages => generate(Dialect::Anthropic, None),
        Kind::CountTokens => Some(Operation::CountTokens),
        Kind::InputTokens => Some(Operation::InputTokens),
        Kind::Stored(action) => Some(Operation::Stored { id: found.to_owned(), action }),
        Kind::Models => Some(Operation::Models),
        // Model names hold slashes (`provider/model`), plain or encoded.
        Kind::Model => (!found.is_empty()).then(|| Operation::Model(percent_decoded(found))),
        Kind::WebSocket => Some(Operation::WebSocket),
        Kind::Health => Some(Operation::Health),
        Kind::About => Some(Operation::About),
        Kind::Logs => Some(Operation::Owner(Owner::Logs)),
        Kind::Log => Some(Operation::Owner(Owner::Log(percent_decoded(found)))),
        Kind::LogStats => Some(Operation::Owner(Owner::LogStats)),
        Kind::LogHistogram => Some(Operation::Owner(Owner::LogHistogram)),
        Kind::DeleteLogs => Some(Operation::Owner(Owner::DeleteLogs)),
        Kind::Metrics => Some(Operation::Owner(Owner::Metrics)),
        Kind::SubmitChat => submit(generation(Dialect::OpenAiChat)),
        Kind::SubmitResponses => submit(generation(Dialect::OpenAiResponses)),
        Kind::SubmitMessages => submit(generation(Dialect::Anthropic)),
        Kind::SubmitEmbeddings => submit(Operation::Embed { deployment: None }),
        Kind::Job => Some(Operation::Job(percent_decoded(found))),
        Kind::CancelJob => Some(Operation::CancelJob(percent_decoded(found))),
        Kind::Quota => Some(Operation::Quota),
        Kind::Manage(governed, deed) => {
            let id = percent_decoded(found);
            let manage = match deed {
                Deed::List => Manage::List,
                Deed::Create => Manage::Create,
                Deed::Show => Manage::Show(id),
                Deed::Change => Manage::Change(id),
                Deed::Delete => Manage::Delete(id),
                Deed::Rotate => Manage::Rotate(id),
            };
            Some(Operation::Owner(Owner::Manage(governed, manage)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> Operation {
        route(method, path).unwrap().operation
    }

    #[test]
    fn every_form_of_a_path_is_found() {
        for path in ["/openai/v1/chat/completions", "/openai/chat/completions", "/v1/chat/completions", "/anthropic/v1/messages"] {
            assert!(matches!(found("POST", path), Operation::Generate(Generation { deployment: None, .. })), "{path}");
        }
        let azure = Operation::Generate(Generation { dialect: Dialect::OpenAiChat, deployment: Some("gpt 4o".into()) });
        assert_eq!(found("POST", "/openai/openai/deployments/gpt%204o/chat/completions"), azure);
        for path in ["/openai/v1/models", "/openai/models", "/anthropic/v1/models", "/v1/models"] {
            assert_eq!(found("GET", path), Operation::Models, "{path}");
        }
        assert_eq!(found("GET", "/openai/v1/models/openai%2Fgpt-4o"), Operation::Model("openai/gpt-4o".into()));
        assert_eq!(found("HEAD", "/"), Operation::About);
        for path in ["/openai/v1/responses", "/openai/responses", "/openai/openai/responses", "/openai/openai/v1/responses"] {
            let responses = Operation::Generate(Generation { dialect: Dialect::OpenAiResponses, deployment: None });
            assert_eq!(found("POST", path), responses, "{path}");
        }
        assert_eq!(found("POST", "/openai/v1/responses/input_tokens"), Operation::InputTokens);
        assert_eq!(found("DELETE", "/openai/v1/responses/resp_1"), Operation::Stored { id: "resp_1".into(), action: Action::Delete });
    }

    #[test]
    fn what_only_some_providers_have_keeps_its_path() {
        for (method, path, expected) in [
            ("POST", "/openai/v1/files", "files"),
            ("GET", "/openai/v1/files/file-1/content", "files/file-1/content"),
            ("POST", "/openai/openai/deployments/whisper/audio/transcriptions", "audio/transcriptions"),
            ("GET", "/anthropic/v1/messages/batches/msgbatch_1/results", "messages/batches/msgbatch_1/results"),
        ] {
            let Operation::Native(native) = found(method, path) else { panic!("{path}") };
            assert_eq!(native.path, expected);
        }
    }

    #[test]
    fn a_path_that_goes_on_cannot_walk_up() {
        for path in ["/openai/v1/files/%2e%2e/models", "/openai/v1/files/../models", "/anthropic/v1/files/..%2fx", "/openai/v1/batches//x"] {
            assert!(matches!(route("GET", path), Err((_, Failure::UnsafePath { .. }))), "{path}");
        }
    }

    #[test]
    fn a_native_request_keeps_its_path_to_the_letter() {
        let Operation::Pass(pass) = found("PATCH", "/openai_passthrough/v1/a%2Fb//c/") else { panic!("no passthrough") };
        assert_eq!((pass.to, pass.path.as_str()), (PassTo::One("openai"), "/v1/a%2Fb//c/"));
        assert_eq!(route("POST", "/azure_passthrough/v1/messages").unwrap().surface, Surface::Anthropic);
        assert!(matches!(route("TRACE", "/genai_passthrough/x"), Err((Surface::Google, Failure::MethodNotAllowed { .. }))));
        assert!(matches!(route("GET", "/openai_passthroughx/v1"), Err((Surface::Bare, _))));
    }

    #[test]
    fn an_unknown_path_fails_in_the_shape_of_its_prefix() {
        for (path, surface) in [("/anthropic/v1/nothing", Surface::Anthropic), ("/openai/x", Surface::OpenAi), ("/openaix", Surface::Bare)] {
            let (found, failure) = route("POST", path).unwrap_err();
            assert_eq!(found, surface);
            assert!(matches!(failure, Failure::UnknownRoute { .. }), "{path}");
        }
        let (_, failure) = route("GET", "/openai/v1/embeddings").unwrap_err();
        assert!(matches!(failure, Failure::MethodNotAllowed { allow, .. } if allow == "POST"));
    }
}
