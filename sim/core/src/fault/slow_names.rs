//! A name server that is slow.

use super::*;

fault! {
    /// Names are resolved later for the node's programs.
    pub struct SlowNames = "slow-names" on Node(node) {
        /// This many virtual milliseconds later.
        extra_ms: u64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
    told "{node} resolves names {extra_ms} ms later";
    effective once "a name was looked up", counted as NameSlowed(node);
    drawn |from| SlowNames::new(from.program(), from.ms(50, 10_000), from.ms(100, 20_000));
}

impl Injectable for SlowNames {
    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.programs.is_empty())
    }

    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        profile.runs_a_program(&self.node)
    }

    fn check(&self) -> Result<(), &'static str> {
        limits::slows_for(self.extra_ms, self.for_ms)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.slow_names(&self.node, if on { self.extra_ms } else { 0 });
    }
}
