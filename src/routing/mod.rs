//! From what a request names to who shall serve it: models and aliases, keys, retries, fallbacks, whose an identifier is. Pure.

mod aliases;
pub mod circuit;
mod fallbacks;
mod issued;
mod keys;
mod model_name;
pub mod retry;

pub use aliases::Aliases;
pub use fallbacks::fallbacks;
pub use issued::{ids_in_json, ids_in_path};
pub use keys::{KeyRules, choose};
pub use model_name::split_model;
