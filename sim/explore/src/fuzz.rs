//! Long campaigns: written down step by step, so that they can be stopped, continued, split over machines and put
//! together again.
//!
//! A [`Shard`] says which seeds are whose. A [`Log`] is a directory with one JSON line for each step of a campaign; what
//! was found is the sum of its lines. Nothing here runs anything.

pub mod lines;
mod log;
mod shard;

#[cfg(test)]
mod tests;

pub use log::{
    FAILURES, FILE, Finding, Header, LOG_VERSION, Lane, Line, Log, LogError, Step, unite,
};
pub use shard::{BLOCK, Shard, ShardError};
