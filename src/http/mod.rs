//! The HTTP surface without a server: which operation a path means, which headers pass, how a failure reads.

pub mod cors;
mod failure;
pub mod headers;
mod render;
mod route;

pub use failure::{Failure, UpstreamFailure};
pub use headers::Headers;
pub use render::{Rendered, render};
pub use route::{Generation, Operation, Route, Surface, route};
