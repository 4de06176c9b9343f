//! Faults that the scenario itself brings about, beside those of the plan.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use squall_core::fault::{Action, Crash, FOR_EVER_MS, Pause, PowerLoss};

use super::{NodeState, World, lock};

impl World {
    /// A fault begins now; as the storm begins, if it has not yet. None does while the world settles: operators go on
    /// then, and what they do would be held against the system.
    pub fn inflict(self: &Arc<Self>, action: Action) {
        if self.settles.load(Relaxed) {
            return;
        }
        self.by_hand.store(true, Relaxed);
        self.stays_down(&action);
        let now = self.now();
        let due = lock(&self.injector).inflict(action, now);
        if let Some(due) = due {
            self.begin(due);
        }
    }

    /// Ends faults that came by hand and go on.
    pub fn relieve(self: &Arc<Self>, is: impl Fn(&Action) -> bool) {
        let planned = lock(&self.injector).planned();
        let by_hand = self
            .queue
            .take_lasting(|due| due.index >= planned && is(&due.action));
        for todo in by_hand {
            self.perform(todo);
        }
    }

    /// Starts a node that is down, whatever else would have started it later.
    pub fn boot_now(self: &Arc<Self>, node: &Arc<NodeState>) {
        self.queue.forget_boots(node.ix);
        self.boot(node);
    }

    /// A node that is down already, and is to stay so, has nothing more to wait for.
    fn stays_down(&self, action: &Action) {
        let (Action::Crash(Crash { node, down_ms })
        | Action::PowerLoss(PowerLoss { node, down_ms })) = action
        else {
            return;
        };
        if *down_ms >= FOR_EVER_MS
            && let Some(node) = self.find(node).filter(|node| !node.is_up())
        {
            self.queue.forget_boots(node.ix);
        }
    }

    /// A process that dies leaves a pause by hand behind it.
    pub(super) fn forget_pause(&self, node: &NodeState) {
        let of_node = |action: &Action| matches!(action, Action::Pause(Pause { node: of, for_ms }) if **of == *node.name && *for_ms >= FOR_EVER_MS);
        self.queue.take_lasting(|due| of_node(&due.action));
    }

    /// Whether anything was inflicted by hand so far.
    pub fn was_by_hand(&self) -> bool {
        self.by_hand.load(Relaxed)
    }
}
