//! Which of Google's requests are Vertex's.

/// Whether a path, or a model's name in a body, is Vertex's: it names a project and a location, or (the short form of API keys) a
/// publisher.
pub fn is_vertex_path(path: &str) -> bool {
    (path.contains("projects/") && path.contains("/locations/")) || path.contains("/publishers/") || path.starts_with("publishers/")
}

/// Whether an `authorization` header holds one of Google's OAuth tokens, which only Vertex takes.
pub fn is_vertex_token(authorization: &str) -> bool {
    let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer") && token.trim_start().starts_with("ya29.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertex_is_told_by_path_or_token() {
        assert!(is_vertex_path("/v1/projects/p/locations/l/publishers/google/models/m:generateContent"));
        assert!(is_vertex_path("/v1beta1/publishers/google/models/m:generateContent"));
        assert!(!is_vertex_path("/v1beta/models/m:generateContent"));
        assert!(is_vertex_token("Bearer ya29.x") && is_vertex_token("bearer  ya29.x") && !is_vertex_token("Bearer AIza"));
    }
}
