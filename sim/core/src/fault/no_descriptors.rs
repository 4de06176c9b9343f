//! A limit on open files and connections.

use super::*;

fault! {
    /// The node's programs get no more descriptors (`EMFILE`): they can neither open, accept nor connect.
    pub struct NoDescriptors = "no-descriptors" on Node(node) {
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
    told "{node} has no descriptors left";
    effective once "a descriptor was refused", counted as DescriptorRefused(node);
    drawn |from| NoDescriptors::new(from.program(), from.ms(100, 20_000));
}

impl Injectable for NoDescriptors {
    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.programs.is_empty())
    }

    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        profile.runs_a_program(&self.node)
    }

    fn switch(&self, target: &dyn Target, on: bool) {
        target.refuse_descriptors(&self.node, on);
    }
}
