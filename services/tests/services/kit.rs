//! The kit.

mod gateway;
mod http;
mod idempotency;
mod lease;
mod page;
mod peer;
mod store;
