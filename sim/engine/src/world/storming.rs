//! Carrying a storm out: what is due on the event queue, faults that begin and end, and the healing.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall_core::{
    event::{FaultEvent, What},
    host::BurstFault,
    time::VirtualTime,
};

use super::{Todo, World, lock};
use crate::storm::Due;

/// The storm waits for a message that is later than this, and a while more: who hears it last may have to act.
const LATE: Duration = Duration::from_secs(20);

impl World {
    pub(super) fn announce(&self, due: &Due, event: FaultEvent) {
        let (index, action) = (due.index, Cow::Borrowed(&due.action));
        let what = What::Fault {
            event,
            index,
            action,
        };
        self.record("storm", what);
    }

    /// The run is over: what the faults that still go on have touched counts.
    pub fn unfinished_faults(self: &Arc<Self>) {
        for todo in self.queue.drain() {
            if let Todo::End { fault, before } = todo
                && self.touched_by(&fault) > before
            {
                lock(&self.injector).bites(fault.index);
            }
        }
    }

    /// Does what the event queue says is due, then waits for more, for ever.
    pub async fn carry_out(self: &Arc<Self>) {
        loop {
            while let Some(todo) = self.queue.take_due(self.now()) {
                self.perform(todo);
            }
            let pause = self.queue.next_time().map(|at| at.since(self.now()));
            match pause {
                Some(pause) => {
                    let _ = tokio::time::timeout(pause, self.queue.changed()).await;
                }
                None => self.queue.changed().await,
            }
        }
    }

    /// A burst comes late by this much, or again.
    pub(super) fn await_burst(&self, fault: &BurstFault) {
        if let BurstFault::Delay(late) | BurstFault::Duplicate(late) = *fault
            && late > LATE
        {
            let after = late + LATE;
            self.queue.at(self.now() + after, Todo::Arrives);
        }
    }

    pub(super) fn perform(self: &Arc<Self>, todo: Todo) {
        match todo {
            Todo::Fire(index) => {
                let due = lock(&self.injector).fire(index, self.now());
                if let Some(due) = due {
                    self.begin(due);
                }
            }
            Todo::End { fault, before } => self.end(&fault, before),
            Todo::Boot(ix, life) => {
                let node = self.node(ix);
                if node.life.load(Relaxed) == life {
                    self.boot(&node);
                }
            }
            Todo::Bury(ix) => self.bury(&self.node(ix)),
            Todo::Arrives => self.disturb(),
            Todo::Again { fault, left } => fault.action.again(&self.for_fault(&fault), left),
        }
    }

    /// A fault begins. Called from the event queue, or from within a poll of the node at whose site it was aimed.
    pub fn begin(self: &Arc<Self>, fault: Due) {
        self.announce(&fault, FaultEvent::Begins);
        self.disturb();
        let before = self.touched_by(&fault);
        if !fault.action.begin(&self.for_fault(&fault)) {
            return self.announce(&fault, FaultEvent::Ends);
        }
        match fault.action.lasts_ms() {
            Some(lasts) => {
                let ends = self.now() + Duration::from_millis(lasts);
                self.queue.at(ends, Todo::End { fault, before });
            }
            None if self.touched_by(&fault) > before => lock(&self.injector).bites(fault.index),
            None => {}
        }
    }

    /// A fault is over.
    fn end(self: &Arc<Self>, fault: &Due, before: u64) {
        if self.touched_by(fault) > before {
            lock(&self.injector).bites(fault.index);
        }
        self.announce(fault, FaultEvent::Ends);
        self.disturb();
        fault.action.end(&self.for_fault(fault));
    }

    /// Ends the storm: nothing more is set off, what goes on ends now, and every node comes back.
    pub fn heal(self: &Arc<Self>) {
        lock(&self.injector).disarm();
        for todo in self.queue.drain() {
            match todo {
                Todo::End { fault, before } => self.end(&fault, before),
                Todo::Again { fault, .. } => fault.action.again(&self.for_fault(&fault), 0),
                Todo::Boot(..) | Todo::Bury(_) => self.perform(todo),
                Todo::Fire(_) | Todo::Arrives => {}
            }
        }
        for node in self.nodes() {
            self.boot(&node);
        }
        self.record("storm", What::Healed);
        self.disturb();
    }

    /// The instant by which all that the storm has begun, or will begin at a known time, is over.
    pub fn storm_ends(&self) -> VirtualTime {
        self.queue.last_time(self.now()).unwrap_or_default()
    }
}
