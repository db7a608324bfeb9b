//! Where in Vertex a native request goes.

/// The path with the gateway's project and location in the place of those it names; a short path gets them.
pub(super) fn placed(path: &str, project: &str, location: &str) -> String {
    let place = format!("projects/{project}/locations/{location}");
    let mut segments: Vec<&str> = path.split('/').collect();
    if let Some(at) = segments.iter().position(|segment| *segment == "projects") {
        if segments.get(at + 2) == Some(&"locations") && segments.len() > at + 3 {
            segments.splice(at..at + 4, [place.as_str()]);
        }
        return segments.join("/");
    }
    if let Some(at) = segments.iter().position(|segment| *segment == "publishers") {
        segments.insert(at, &place);
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_and_location_are_the_gateways_and_the_rest_of_the_path_is_kept() {
        for (path, expected) in [
            ("/v1/projects/theirs/locations/us-east1/publishers/google/models/m:x", "/v1/projects/p/locations/l/publishers/google/models/m:x"),
            ("/v1beta1/publishers/google/models/a%2Fb:x", "/v1beta1/projects/p/locations/l/publishers/google/models/a%2Fb:x"),
            ("/v1/projects/theirs/locations/x", "/v1/projects/p/locations/l"),
            ("/v1/models", "/v1/models"),
        ] {
            assert_eq!(placed(path, "p", "l"), expected);
        }
    }
}
