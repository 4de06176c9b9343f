//! Storms whose tasks, and programs' threads, are ordered by priorities (Burckhardt et al., "A Randomized Scheduler with
//! Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).

use squall_core::seed::Seed;
use squall_engine::storm::{Plan, Profile};

use super::Kind;

/// Each seed draws from all kinds of fault, and the depth of its schedules.
pub struct Pct;

impl Kind for Pct {
    const NAME: &str = "pct";
    const ABOUT: &str = "as random, and all that is ready goes on by priorities";

    fn plan(profile: &Profile, seed: Seed) -> Option<Plan> {
        Some(profile.draw_by_priorities(seed))
    }
}
