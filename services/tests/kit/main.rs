//! The kit over a machine in memory: duplex pipes for a network, vectors for files, virtual time.

mod gateway;
mod http;
mod idempotency;
mod lease;
mod machine;
mod page;
mod peer;
mod store;
