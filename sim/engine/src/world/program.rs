//! What storms do to the programs of a node, and what a program's kernel asks of them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use super::{Node, lock};

/// What faults have in store for the program of a node.
#[derive(Debug, Default)]
pub(crate) struct ProgramFaults {
    pub names_fail: AtomicBool,
    pub names_slow_ms: AtomicU64,
    pub no_descriptors: AtomicBool,
    /// How often a program met each of them.
    pub names_failed: AtomicU64,
    pub names_slowed: AtomicU64,
    pub descriptors_refused: AtomicU64,
    told_to_end: Mutex<ToldToEnd>,
}

#[derive(Debug, Default)]
struct ToldToEnd {
    told: bool,
    /// Of the program's kernel, where there is one.
    waker: Option<Waker>,
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

/// For the kernel of a program.
impl Node {
    /// Whether the program has been told to end since this was last asked; `waker` is woken when it is.
    pub fn told_to_end(&self, waker: &Waker) -> bool {
        let mut order = lock(&self.state.program.told_to_end);
        if !order.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
            order.waker = Some(waker.clone());
        }
        std::mem::take(&mut order.told)
    }

    /// How long it takes to resolve a name; none if that fails for now.
    pub fn resolving_takes(&self) -> Option<Duration> {
        let faults = &self.state.program;
        if faults.names_fail.load(Relaxed) {
            faults.names_failed.fetch_add(1, Relaxed);
            return None;
        }
        let slow_ms = faults.names_slow_ms.load(Relaxed);
        faults
            .names_slowed
            .fetch_add(u64::from(slow_ms > 0), Relaxed);
        Some(Duration::from_millis(slow_ms))
    }

    /// Whether the program may have another descriptor.
    pub fn has_descriptors(&self) -> bool {
        let faults = &self.state.program;
        let refused = faults.no_descriptors.load(Relaxed);
        faults
            .descriptors_refused
            .fetch_add(refused.into(), Relaxed);
        !refused
    }
}
