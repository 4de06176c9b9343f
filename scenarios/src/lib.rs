//! The reference services in seeded storms: topologies, workloads, invariants, the bug bank.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod experiments;
pub mod invariants;
pub mod live_command;
pub mod live_storm;
pub mod scenarios;
pub mod stories;
pub mod workloads;

#[cfg(test)]
#[path = "../../services/tests/conformance/mod.rs"]
mod conformance;
#[cfg(test)]
mod little;
pub mod person;
pub mod planted_bug;
pub mod platform;
pub mod reachability_goals;
pub mod table_view;
pub mod topology;

pub use scenarios::catalogue;

/// Checks and services of one run share a thread; a panic in one must not hide behind a poisoned lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
