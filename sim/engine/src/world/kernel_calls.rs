//! What the kernel of a program asks of its node.

use std::{sync::atomic::Ordering::Relaxed, task::Waker, time::Duration};

use squall_core::{
    host::NodeIx,
    seed::{Stream, hash, mix},
};

use super::{Node, lock};

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

    /// The machine whose address a name is resolved to: of that name, or one that has its old address now.
    pub fn resolved(&self, name: &str) -> Option<NodeIx> {
        let found = self.find(name)?;
        let faults = &self.state.program;
        let Some(choice) = *lock(&faults.stale_names) else {
            return Some(found);
        };
        let mut others = self.machines();
        others.retain(|(machine, _)| *machine != found && *machine != self.state.ix);
        if others.is_empty() {
            return Some(found);
        }
        faults.names_stale.fetch_add(1, Relaxed);
        let chosen = mix(hash(name.as_bytes()) ^ choice) % others.len() as u64;
        Some(others[chosen as usize].0)
    }

    /// Where the run orders its tasks by priorities, what those of this life's threads are drawn from, and the depth.
    pub fn priorities(&self) -> Option<(Stream, u32)> {
        let name = format!(
            "pct of threads of {} in life {}",
            self.state.name, self.life
        );
        Some(self.world.gate.as_ref()?.of_part(&name))
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
