//! Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): some storms are of crashes alone, others of a single slow
//! link.

use squall_core::seed::Seed;
use squall_engine::storm::{Plan, Profile};

use super::Kind;

/// Each seed first draws which kinds of fault are on, then its storm: what a run does by itself.
pub struct Swarm;

impl Kind for Swarm {
    const NAME: &str = "swarm";
    const ABOUT: &str = "each seed first draws which kinds of fault are on";

    fn plan(profile: &Profile, seed: Seed) -> Option<Plan> {
        Some(profile.draw(seed))
    }
}
