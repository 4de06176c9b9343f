//! A process is told to stop.

use std::fmt;

use super::{
    Candidates, Draw, Drawing, Heading, Injectable, Number, Profile, Target, When,
    words::{Clause, Moment},
};

const RESTART: Heading = Heading::at("restart", 4, 6);
/// A restart in good order takes so many virtual milliseconds.
pub(super) const RESTART_MS: u64 = 50;

fault! {
    /// The process is told to stop (`SIGTERM`; one that does not listen for it dies at once) and is started again.
    pub struct Restart = "restart" {
        /// The node.
        node: String,
    }
}

impl Injectable for Restart {
    fn effective_once() -> &'static str {
        "a process has ended"
    }

    fn variants(profile: &Profile) -> usize {
        usize::from(!profile.nodes.is_empty())
    }

    fn draw(from: &mut Draw<'_>) -> Self {
        Restart { node: from.node() }
    }

    fn drawing() -> Drawing {
        Drawing {
            at_timers: true,
            ..Drawing::default()
        }
    }

    fn candidates(at: &mut Candidates<'_>) {
        if let Some(node) = at.idle_process() {
            let node = node.to_owned();
            at.once(&RESTART, Restart { node });
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn check(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn lasts_ms(&self) -> Option<u64> {
        None
    }

    fn clause(&self, _: &Moment<'_>) -> Clause {
        self.to_string().into()
    }

    fn stops_process(&self) -> bool {
        true
    }

    fn when(&self, from: &mut Draw<'_>) -> When {
        from.site_or_instant(&self.node)
    }

    fn numbers(&mut self) -> Vec<Number<'_>> {
        Vec::new()
    }

    fn begin(&self, target: &dyn Target) -> bool {
        target.kill(&self.node, RESTART_MS, "is restarted");
        true
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is restarted", self.node)
    }
}
