//! A process is told to stop.

use super::*;

const RESTART: Heading = Heading::at("restart", 4, 6);
/// How long an orderly restart takes, in virtual milliseconds.
pub(super) const RESTART_MS: u64 = 50;

fault! {
    /// The process is told to stop (`SIGTERM`; one that does not listen for it dies at once) and is started again.
    pub struct Restart = "restart" on Process(node) {}
    told "{node} is restarted";
    effective once "a process has ended";
}

impl Injectable for Restart {
    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        if let Some(node) = at.idle_process() {
            at.once(&RESTART, Restart::new(node));
        }
    }

    fn shows_as(&self) -> &'static [Life] {
        &[Life::IsRestarted]
    }

    fn strike(&self, target: &dyn Target) {
        target.kill(&self.node, RESTART_MS, Life::IsRestarted);
    }
}
