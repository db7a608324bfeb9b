//! From what a request names to who shall serve it. Pure.

mod issued;
mod model_name;

pub use issued::{ids_in_json, ids_in_path};
pub use model_name::split_model;
