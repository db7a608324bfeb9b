//! Provider-native requests: what of their paths, queries and headers goes on, and to whom. Pure.

mod headers;
mod path;
mod vertex;

pub use headers::{NOT_BACK, passes};
pub use path::{model_of, without_credentials};
pub use vertex::{is_vertex_path, is_vertex_token};
