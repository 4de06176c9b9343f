//! A program is told to end, as before an upgrade of its machine.

use super::*;

fault! {
    /// The node's program is told to end (SIGTERM); one that has not after ten seconds is killed. It is started again.
    pub struct Terminate = "terminate" on Process(node) {}
    told "{node} is told to end";
    effective once "a program was told";
    drawn |from| Terminate::new(from.program());
}

impl Injectable for Terminate {
    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.programs.is_empty())
    }

    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        profile.runs_a_program(&self.node)
    }

    fn strike(&self, target: &dyn Target) {
        target.terminate(&self.node);
    }
}
