//! Random storms of all kinds of fault.

use squall_core::seed::Seed;
use squall_engine::storm::Profile;

use super::{Kind, Trial};

/// Each seed draws its storm from all kinds of fault.
pub struct Random;

impl Kind for Random {
    const NAME: &str = "random";
    const ABOUT: &str = "each seed draws from all kinds of fault";

    fn trial(profile: &Profile, seed: Seed) -> Option<Trial> {
        let plan = Some(profile.draw_plain(seed));
        Some(Trial { seed, plan })
    }
}
