//! A limit on open files and connections.

use super::*;

fault! {
    /// The node's programs get no more descriptors (`EMFILE`): they can neither open, accept nor connect.
    pub struct NoDescriptors = "no-descriptors" on Program(node) {
        /// For how many virtual milliseconds.
        for_ms: u64 = ms(100, 20_000),
    }
    told "{node} has no descriptors left";
    effective once "a descriptor was refused", counted as DescriptorRefused(node);
}

impl Injectable for NoDescriptors {
    fn switch(&self, target: &dyn Target, on: bool) {
        target.refuse_descriptors(&self.node, on);
    }
}
