//! The two ways through the gateway.
//!
//! [`identity`]: the provider speaks the caller's dialect; the body is edited in place and the answer goes back untouched.
//! [`hub`]: dialects differ; everything is read into the neutral form and written out again, streams by [`stream`].

pub mod first;
pub mod hub;
pub mod identity;
pub mod observe;
pub mod stream;
pub mod tally;
pub mod whole;
pub mod without_usage;
