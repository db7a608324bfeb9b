//! Path and method → operation. One table.

use super::Failure;
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
}

impl Surface {
    /// The dialect that callers of it speak.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Anthropic => Dialect::Anthropic,
            Self::OpenAi | Self::Bare => Dialect::OpenAiChat,
        }
    }

    /// Who serves a model without prefix.
    pub fn default_provider(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("openai"),
            Self::Anthropic => Some("anthropic"),
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
    /// How many tokens a request has.
    CountTokens,
    /// The models of all providers.
    Models,
    /// One of them.
    Model(String),
    /// Whether the gateway works.
    Health,
    /// What this is.
    About,
}

/// A model's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generation {
    /// The Azure deployment that the path names; it overrides the body's model.
    pub deployment: Option<String>,
}

/// Finds the operation.
///
/// # Errors
/// [`Failure::UnknownRoute`] and [`Failure::MethodNotAllowed`], with the surface in whose shape to say so.
pub fn route(method: &str, path: &str) -> Result<Route, (Surface, Failure)> {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let (surface, rest) = match trimmed {
        _ if under(trimmed, "/openai") => (Surface::OpenAi, trimmed.get("/openai".len()..).unwrap_or_default()),
        _ if under(trimmed, "/anthropic") => (Surface::Anthropic, trimmed.get("/anthropic".len()..).unwrap_or_default()),
        _ => (Surface::Bare, trimmed),
    };
    let Some(operation) = operation(surface, rest) else {
        return Err((surface, Failure::UnknownRoute { method: method.to_owned(), path: path.to_owned() }));
    };
    let allow = match operation {
        Operation::Generate(_) | Operation::CountTokens => "POST",
        Operation::Models | Operation::Model(_) | Operation::Health | Operation::About => "GET, HEAD",
    };
    if !allow.split(", ").any(|allowed| allowed == method) {
        return Err((surface, Failure::MethodNotAllowed { method: method.to_owned(), allow }));
    }
    Ok(Route { surface, operation })
}

fn under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn operation(surface: Surface, path: &str) -> Option<Operation> {
    let generate = Some(Operation::Generate(Generation::default()));
    match (surface, path) {
        (Surface::OpenAi, "/v1/chat/completions" | "/chat/completions" | "/openai/chat/completions") => generate,
        (Surface::Bare, "/v1/chat/completions") => generate,
        (Surface::Anthropic, "/v1/messages") => generate,
        (Surface::Anthropic, "/v1/messages/count_tokens") => Some(Operation::CountTokens),
        (Surface::OpenAi, "/v1/models" | "/models" | "/openai/models") | (Surface::Anthropic | Surface::Bare, "/v1/models") => {
            Some(Operation::Models)
        }
        (Surface::Bare, "/health") => Some(Operation::Health),
        (Surface::Bare, "") => Some(Operation::About),
        (Surface::OpenAi, _) => path.strip_prefix("/openai/deployments/").map_or_else(|| model(path), deployment),
        (Surface::Anthropic | Surface::Bare, _) => model(path),
    }
}

/// What AzureOpenAI builds from `azure_endpoint={url}/openai`.
fn deployment(rest: &str) -> Option<Operation> {
    let name = rest.strip_suffix("/chat/completions").filter(|name| !name.is_empty() && !name.contains('/'))?;
    Some(Operation::Generate(Generation { deployment: Some(decode_percent(name)) }))
}

/// Model names hold slashes (`provider/model`), plain or encoded.
fn model(path: &str) -> Option<Operation> {
    let name = ["/v1/models/", "/models/", "/openai/models/"].iter().find_map(|prefix| path.strip_prefix(prefix))?;
    (!name.is_empty()).then(|| Operation::Model(decode_percent(name)))
}

/// `%41` → `A`; what is no encoding stays.
fn decode_percent(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16));
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
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
            assert_eq!(found("POST", path), Operation::Generate(Generation::default()), "{path}");
        }
        let azure = Operation::Generate(Generation { deployment: Some("gpt 4o".into()) });
        assert_eq!(found("POST", "/openai/openai/deployments/gpt%204o/chat/completions"), azure);
        for path in ["/openai/v1/models", "/openai/models", "/anthropic/v1/models", "/v1/models"] {
            assert_eq!(found("GET", path), Operation::Models, "{path}");
        }
        assert_eq!(found("GET", "/openai/v1/models/openai%2Fgpt-4o"), Operation::Model("openai/gpt-4o".into()));
        assert_eq!(found("HEAD", "/"), Operation::About);
    }

    #[test]
    fn an_unknown_path_fails_in_the_shape_of_its_prefix() {
        for (path, surface) in [("/anthropic/v1/nothing", Surface::Anthropic), ("/openai/x", Surface::OpenAi), ("/openaix", Surface::Bare)] {
            let (found, failure) = route("POST", path).unwrap_err();
            assert_eq!(found, surface);
            assert!(matches!(failure, Failure::UnknownRoute { .. }), "{path}");
        }
        let (_, failure) = route("GET", "/openai/v1/chat/completions").unwrap_err();
        assert!(matches!(failure, Failure::MethodNotAllowed { allow: "POST", .. }));
    }
}
