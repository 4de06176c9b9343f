//! A program is told to end, as before an upgrade of its machine.

use super::*;

fault! {
    /// The node's program is told to end (SIGTERM); one that has not after ten seconds is killed. It is started again.
    pub struct Terminate = "terminate" on Program(node) {}
    told "{node} is told to end";
    effective once "a program was told";
}

impl Injectable for Terminate {
    fn strike(&self, target: &dyn Target) {
        target.terminate(&self.node);
    }
}
