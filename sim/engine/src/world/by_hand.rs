//! Faults that the scenario itself brings about, beside those of the plan.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{World, lock};
use crate::storm::Action;

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
