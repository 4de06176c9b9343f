//! Random storms of all kinds of fault.

use squall_core::seed::Seed;
use squall_engine::storm::{Plan, Profile};

use super::Kind;

/// Each seed draws its storm from all kinds of fault.
pub struct Random;

impl Kind for Random {
    const NAME: &str = "random";
    const ABOUT: &str = "each seed draws from all kinds of fault";

    fn plan(profile: &Profile, seed: Seed) -> Option<Plan> {
        Some(profile.draw_plain(seed))
    }
}
