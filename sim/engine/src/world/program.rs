//! What storms do to the programs of a node.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    task::Waker,
};

use super::lock;

/// What faults have in store for the program of a node.
#[derive(Debug, Default)]
pub(crate) struct ProgramFaults {
    pub names_fail: AtomicBool,
    pub names_slow_ms: AtomicU64,
    pub stale_names: Mutex<Option<u64>>,
    pub no_descriptors: AtomicBool,
    /// How often a program met each of them.
    pub names_failed: AtomicU64,
    pub names_slowed: AtomicU64,
    pub names_stale: AtomicU64,
    pub descriptors_refused: AtomicU64,
    pub told_to_end: Mutex<ToldToEnd>,
}

#[derive(Debug, Default)]
pub(crate) struct ToldToEnd {
    pub told: bool,
    /// Of the program's kernel, where there is one.
    pub waker: Option<Waker>,
}

impl ProgramFaults {
    /// Whether there is a program that has now been told to end.
    pub fn terminate(&self) -> bool {
        let waker = {
            let mut order = lock(&self.told_to_end);
            order.told = order.waker.is_some();
            order.waker.clone()
        };
        waker.is_some_and(|waker| {
            waker.wake();
            true
        })
    }

    /// The program is gone.
    pub fn forget(&self) {
        *lock(&self.told_to_end) = ToldToEnd::default();
    }
}
