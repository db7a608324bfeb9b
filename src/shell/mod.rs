//! The worker: the one place that knows Cloudflare. It holds no rule of its own; entry points are named `<event>_worker`.

mod budget_do;
mod cron_worker;
mod d1_ids;
mod d1_responses;
mod fetch_worker;
mod ffi;
mod outside;
mod pump;
mod queue_worker;
mod stores;
