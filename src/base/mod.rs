//! Bytes, JSON and framing. Knows nothing of language models; everything above may use it.

pub mod fields;
pub mod glob;
pub mod ids;
pub mod money;
pub mod multipart;
pub mod path;
pub mod scan;
pub mod sql;
pub mod sse;
pub mod text;
pub mod time;
