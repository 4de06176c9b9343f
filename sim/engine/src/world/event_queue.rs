//! What is still to happen at a known instant.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use tokio::sync::Notify;

use squall_core::{fault::FOR_EVER_MS, host::NodeIx, time::VirtualTime};

use super::lock;
use crate::storm::Due;

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Todo {
    /// Set the plan's timed fault off.
    Fire(usize),
    /// The fault is over.
    End {
        /// What it is.
        fault: Due,
        /// How often the like of it had touched something before it began.
        before: u64,
    },
    /// A message that is long on its way is there: the storm is not over before.
    Arrives,
    /// The node is started again, if this is still the same death.
    Boot(NodeIx, u32),
    /// A node that died in the middle of a poll: carry it out should its task never return.
    Bury(NodeIx),
    /// A fault that recurs goes on.
    Again {
        /// What it is.
        fault: Due,
        /// How often still.
        left: u32,
    },
}

/// Entries by time, then by their ordinal.
#[derive(Default)]
struct Queue {
    entries: BTreeMap<(VirtualTime, u64), Todo>,
    entered: u64,
}

/// A queue by time, then by order of entry.
#[derive(Default)]
pub(crate) struct EventQueue {
    queue: Mutex<Queue>,
    changed: Notify,
}

impl EventQueue {
    pub fn at(&self, when: VirtualTime, todo: Todo) {
        let mut queue = lock(&self.queue);
        queue.entered += 1;
        let ordinal = queue.entered;
        queue.entries.insert((when, ordinal), todo);
        drop(queue);
        self.changed.notify_one();
    }

    pub fn next_time(&self) -> Option<VirtualTime> {
        lock(&self.queue)
            .entries
            .first_key_value()
            .map(|((when, _), _)| *when)
    }

    pub fn take_due(&self, now: VirtualTime) -> Option<Todo> {
        let mut queue = lock(&self.queue);
        let entry = queue.entries.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Everything that is left, in order.
    pub fn drain(&self) -> Vec<Todo> {
        std::mem::take(&mut lock(&self.queue).entries)
            .into_values()
            .collect()
    }

    /// The faults that have begun and not ended, in the order of their ends.
    pub fn lasting(&self) -> Vec<Due> {
        self.all(|todo| match todo {
            Todo::End { fault, .. } => Some(fault.clone()),
            _ => None,
        })
    }

    /// The faults that recur, with how often they still do.
    pub fn recurring(&self) -> Vec<(Due, u32)> {
        self.all(|todo| match todo {
            Todo::Again { fault, left } => Some((fault.clone(), *left)),
            _ => None,
        })
    }

    fn all<T>(&self, some: impl Fn(&Todo) -> Option<T>) -> Vec<T> {
        let queue = lock(&self.queue);
        queue.entries.values().filter_map(some).collect()
    }

    /// Whether any fault has begun and not ended, or is to come back.
    pub fn is_stormy(&self) -> bool {
        let is_of_a_fault = |todo: &Todo| !matches!(todo, Todo::Fire(_));
        lock(&self.queue).entries.values().any(is_of_a_fault)
    }

    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The latest instant by which a fault that has begun, or is aimed at a time, is over by itself.
    pub fn last_time(&self, now: VirtualTime) -> Option<VirtualTime> {
        let queue = lock(&self.queue);
        let mut times = queue.entries.keys().rev().map(|(when, _)| *when);
        times.find(|when| when.since(now) < Duration::from_millis(FOR_EVER_MS / 2))
    }

    /// Cancels the boots of this node that are scheduled.
    pub fn forget_boots(&self, node: NodeIx) {
        let mut queue = lock(&self.queue);
        let is_boot = |todo: &Todo| matches!(todo, Todo::Boot(of, _) if *of == node);
        queue.entries.retain(|_, todo| !is_boot(todo));
    }

    /// Takes out the ends of faults that go on and are such.
    pub fn take_lasting(&self, is: impl Fn(&Due) -> bool) -> Vec<Todo> {
        let mut queue = lock(&self.queue);
        let is_such = |_: &_, todo: &mut Todo| match todo {
            Todo::End { fault, .. } => is(fault),
            _ => false,
        };
        let taken = queue.entries.extract_if(.., is_such);
        taken.map(|(_, todo)| todo).collect()
    }
}
