//! Faults that the scenario itself brings about, beside those of the plan.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{Todo, World, lock};
use crate::{storm::Action, time::VirtualTime};

/// How long a fault lasts that goes on until somebody ends it.
pub(crate) const FOR_EVER_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1_000;

/// Whether this is so far away that nobody waits for it.
pub(super) fn is_for_ever(now: VirtualTime, at: VirtualTime) -> bool {
    at.since(now) >= Duration::from_millis(FOR_EVER_MS / 2)
}

impl World {
    /// A fault begins now; as the storm begins, if it has not yet.
    pub fn inflict(self: &Arc<Self>, action: Action) {
        self.by_hand.store(true, Relaxed);
        let now = self.now();
        let due = lock(&self.injector).inflict(action, now);
        if let Some(due) = due {
            self.begin(due);
        }
    }

    /// Ends faults that go on, before their time.
    pub fn relieve(self: &Arc<Self>, is: impl Fn(&Action) -> bool) {
        for todo in self.agenda.take_lasting(is) {
            self.perform(todo);
        }
    }

    /// Whether anything was inflicted by hand so far.
    pub fn was_by_hand(&self) -> bool {
        self.by_hand.load(Relaxed)
    }
}

impl Todo {
    /// The fault that goes on until this is done.
    pub(super) fn lasting(&self) -> Option<&Action> {
        match self {
            Todo::End { action, .. } => Some(action),
            _ => None,
        }
    }
}
