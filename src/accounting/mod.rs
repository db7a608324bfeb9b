//! What requests took and cost: their records, prices, and what the owner asks about them.

mod catalogue;
mod content;
mod cost;
pub mod estimate;
pub mod metrics;
pub mod query;
mod record;
mod span;

pub use catalogue::{OwnPrices, Prices, prices, prices_of_any, prices_or_dearest};
pub use content::kept;
pub use cost::cost;
pub use record::{Content, Outcome, Record, Tokens};
pub use span::{Trace, span};
