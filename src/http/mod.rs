//! The HTTP surface without a server: which operation a path means, which headers pass, how a failure reads.

pub mod caller;
pub mod cors;
mod failure;
pub mod headers;
mod operations;
mod render;
mod route;

pub use failure::{Failure, LimitReached, UpstreamFailure};
pub use headers::Headers;
pub use render::{Rendered, render, status_for};
pub use route::{Action, Generation, Governed, Manage, Native, Operation, Owner, Pass, PassTo, Route, Surface, route};
