//! Who may spend what: virtual keys and their limits, decided without clock or I/O.
//!
//! - [`record`]: what the key-value store says of virtual keys, teams and customers.
//! - [`choice`]: which of a key's providers serves a model that names none.
//! - [`need`]: what a request may take at most.
//! - [`node`]: the one place that counts for a key, a team or a customer, and its law.
//! - [`purse`]: what an isolate may spend of a node without asking.
//!
//! Nodes and purses exchange [`message`]s. `docs/virtual-keys.md` shows how they keep the limits together.

mod amount;
pub mod choice;
pub mod message;
pub mod need;
pub mod node;
mod period;
pub mod purse;
pub mod record;

pub use amount::{Amount, Dimension, Limit, Limits};
pub use period::Period;
