//! A name server that has not heard of a move.

use super::*;

fault! {
    /// Names are resolved to addresses that they had once and that other machines have now, for the node's programs.
    pub struct StaleNames = "stale-names" on Program(node) {
        /// Which machines those are; the same for each name as long as it lasts.
        choice: u64 = below(1 << 20),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "{node} resolves names to old addresses";
    effective once "a name was looked up", counted as NameStale(node);
}

impl Injectable for StaleNames {
    fn numbers(&mut self) -> Vec<Number<'_>> {
        vec![Number::Amount(&mut self.for_ms)]
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.stale_names(&self.node, on.then_some(self.choice));
    }
}
