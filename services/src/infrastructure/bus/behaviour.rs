//! Faults of the bus, switched on from outside to see how its clients cope.

use std::{collections::BTreeMap, sync::Mutex};

use crate::kit::lock;

/// What the bus does to events. None of these breaks its promises: at least once, in order per key, and on channels
/// nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Forgets that deliveries were settled, so that they come again.
    Duplicate,
    /// Delays appended events by this many milliseconds.
    Delay,
    /// Delivers the newest first, across keys.
    Reorder,
    /// Delivers something that is delivered again at once, as if its handler had taken too long.
    Redeliver,
    /// Redelivers everything pending to the next reader, as if the group had rebalanced.
    Rebalance,
    /// Loses a message of a channel for good; of a stream, until it is delivered again.
    Lose,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 6] = [
        Fault::Duplicate,
        Fault::Delay,
        Fault::Reorder,
        Fault::Redeliver,
        Fault::Rebalance,
        Fault::Lose,
    ];

    /// Its name: `bus-duplicate`.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Duplicate => "bus-duplicate",
            Fault::Delay => "bus-delay",
            Fault::Reorder => "bus-reorder",
            Fault::Redeliver => "bus-redeliver",
            Fault::Rebalance => "bus-rebalance",
            Fault::Lose => "bus-lose",
        }
    }

    /// The range of its strength: milliseconds of a delay, how often for the others.
    pub fn amount(self) -> (u64, u64) {
        match self {
            Fault::Delay => (100, 15_000),
            Fault::Duplicate | Fault::Redeliver => (1, 40),
            _ => (1, 6),
        }
    }
}

/// A knob that is shared with the bus.
#[derive(Debug, Default)]
pub struct Behaviour {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    on: BTreeMap<Fault, u64>,
    struck: BTreeMap<Fault, u64>,
}

impl Behaviour {
    /// Misbehaves so from now on: with this strength, or so often.
    pub fn begin(&self, fault: Fault, amount: u64) {
        lock(&self.inner).on.insert(fault, amount);
    }

    /// Does so no more.
    pub fn end(&self, fault: Fault) {
        lock(&self.inner).on.remove(&fault);
    }

    /// How often it struck.
    pub fn struck(&self, fault: Fault) -> u64 {
        lock(&self.inner).struck.get(&fault).copied().unwrap_or(0)
    }

    /// How often any of them struck.
    pub fn struck_in_all(&self) -> u64 {
        lock(&self.inner).struck.values().sum()
    }

    /// Its strength, if the fault strikes now; that counts.
    pub(super) fn strikes(&self, fault: Fault) -> Option<u64> {
        let mut inner = lock(&self.inner);
        let amount = *inner.on.get(&fault)?;
        if fault != Fault::Delay {
            match amount {
                0 | 1 => inner.on.remove(&fault),
                _ => inner.on.insert(fault, amount - 1),
            };
        }
        *inner.struck.entry(fault).or_default() += 1;
        Some(amount)
    }
}
