//! What is still to happen at a known instant.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use tokio::sync::Notify;

use squall_core::{host::NodeIx, time::VirtualTime};

use super::lock;
use crate::storm::Action;

/// How long a fault lasts that goes on until somebody ends it.
pub(crate) const FOR_EVER_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1_000;

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Todo {
    /// Set the plan's timed fault off.
    Fire(usize),
    /// The fault is over.
    End {
        /// Its ordinal.
        index: usize,
        /// What it was.
        action: Action,
        /// How often it had bitten before it began.
        before: u64,
    },
    /// A message that is long on its way is there: the storm is not over before.
    Arrives,
    /// The node is started again, if this is still the same death.
    Boot(NodeIx, u32),
    /// A node that died in the middle of a poll: carry it out should its task never return.
    Bury(NodeIx),
    /// A crash loop goes on.
    Again {
        /// Its ordinal.
        index: usize,
        /// Who.
        node: String,
        /// How many times still.
        times: u32,
        /// Time down, and then up.
        down_ms: u64,
    },
    /// A flapping link changes.
    Flip {
        /// One end.
        from: String,
        /// The other.
        to: String,
        /// Changes left; the link is down after an even number of them.
        left: u32,
        /// Time between changes.
        each_ms: u64,
    },
}

impl Todo {
    /// The fault that goes on until this is done.
    fn lasting(&self) -> Option<&Action> {
        match self {
            Todo::End { action, .. } => Some(action),
            _ => None,
        }
    }
}

/// Entries by time, then by their ordinal.
#[derive(Default)]
struct Queue {
    entries: BTreeMap<(VirtualTime, u64), Todo>,
    entered: u64,
}

/// A queue by time, then by order of entry.
#[derive(Default)]
pub(crate) struct Agenda {
    queue: Mutex<Queue>,
    changed: Notify,
}

impl Agenda {
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
    pub fn lasting(&self) -> Vec<Action> {
        let queue = lock(&self.queue);
        let lasting = queue.entries.values().filter_map(Todo::lasting);
        lasting.cloned().collect()
    }

    /// Whether any fault has begun and not ended, or is to come back.
    pub fn is_stormy(&self) -> bool {
        let is_of_a_fault = |todo: &Todo| !matches!(todo, Todo::Fire(_));
        lock(&self.queue).entries.values().any(is_of_a_fault)
    }

    /// The links that a flap has down until its next change.
    pub fn flapped_down(&self) -> Vec<(String, String)> {
        let down = |todo: &Todo| match todo {
            Todo::Flip { from, to, left, .. } if !left.is_multiple_of(2) => {
                Some((from.clone(), to.clone()))
            }
            _ => None,
        };
        lock(&self.queue)
            .entries
            .values()
            .filter_map(down)
            .collect()
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

    /// Takes out the ends of faults that go on and are such.
    pub fn take_lasting(&self, is: impl Fn(&Action) -> bool) -> Vec<Todo> {
        let mut queue = lock(&self.queue);
        let is_such = |_: &_, todo: &mut Todo| todo.lasting().is_some_and(&is);
        let taken = queue.entries.extract_if(.., is_such);
        taken.map(|(_, todo)| todo).collect()
    }
}
