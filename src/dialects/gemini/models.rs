//! What the request depends on that only the model's name tells: <https://ai.google.dev/gemini-api/docs/models>.

/// The version in a model's name: `gemini-2.5-flash` is (2, 5), `gemini-3-pro-preview` is (3, 0). `None` for names without.
pub(super) fn version(model: &str) -> Option<(u32, u32)> {
    let rest = model.split_once("gemini-")?.1;
    let number = rest.split('-').next()?;
    let mut pieces = number.split('.').map(str::parse::<u32>);
    let major = pieces.next()?.ok()?;
    Some((major, pieces.next().and_then(Result::ok).unwrap_or(0)))
}

/// Whether the model wants its thought signatures back with every tool call.
pub(super) fn demands_signatures(model: &str) -> bool {
    version(model).is_some_and(|(major, _)| major >= 3)
}
