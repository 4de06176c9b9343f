//! The end of one process of several.

use super::*;

fault! {
    /// One of the node's processes is killed (SIGKILL), the others are not: a backend of a database, or its postmaster. Where
    /// it is the first, the node's program ends with it and is started again.
    pub struct KillProcess = "kill-process" on Program(node) {
        /// Which of them, in the order of their age, counted round.
        nth: u64 = below(64),
    }
    told "{node} loses one of its processes";
    effective once "a process was killed";
}

impl Injectable for KillProcess {
    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }

    fn strike(&self, target: &dyn Target) {
        target.kill_process(&self.node, self.nth);
    }
}
