//! Storms whose tasks, and programs' threads, are ordered by priorities (Burckhardt et al., "A Randomized Scheduler with
//! Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).

use squall_core::seed::Seed;
use squall_engine::storm::{Plan, Profile};

use super::{Kind, Trial};

/// The deepest schedules drawn.
const DEPTH_MAX: u64 = 4;

/// Each seed draws from all kinds of fault, and the depth of its schedules.
pub struct Pct;

impl Kind for Pct {
    const NAME: &str = "pct";
    const ABOUT: &str = "as random, and all that is ready goes on by priorities";

    fn trial(profile: &Profile, seed: Seed) -> Option<Trial> {
        let depth = 1 + seed.stream("depth").below(DEPTH_MAX) as u32;
        let plan = Plan {
            pct: Some(depth),
            ..profile.draw_plain(seed)
        };
        let plan = Some(plan);
        Some(Trial { seed, plan })
    }
}
