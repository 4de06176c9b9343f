//! A name server that is slow.

use super::*;

fault! {
    /// Names are resolved later for the node's programs.
    pub struct SlowNames = "slow-names" on Program(node) {
        /// This many virtual milliseconds later.
        extra_ms: u64 = ms(50, 10_000),
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "{node} resolves names {extra_ms} ms later";
    effective once "a name was looked up", counted as NameSlowed(node);
}

impl Injectable for SlowNames {
    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.extra_ms, self.for_ms)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.slow_names(&self.node, if on { self.extra_ms } else { 0 });
    }
}
