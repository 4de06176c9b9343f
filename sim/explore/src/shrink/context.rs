//! What a step of shrinking that looks at one fault is told.

use squall_core::site::Met;
use squall_engine::storm::Fault;

use super::observed::Observed;

/// A fault that is looked at, in the run in which it happened.
pub(super) struct Context<'c> {
    pub observed: &'c Observed,
    /// Its place in the plan.
    pub index: usize,
    /// Who calls whom.
    pub links: &'c [(&'static str, &'static str)],
    /// The timers that ran out and the reads of clocks, as far as a fault may be aimed at one.
    pub unseen: &'c [Met],
}

impl Context<'_> {
    pub fn fault(&self) -> &Fault {
        &self.observed.outcome.plan.faults[self.index]
    }
}
