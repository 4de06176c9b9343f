//! Storms find each planted bug, and nothing else.

use shop_kit::Bug;
use squall::testing;

use crate::scenario;

#[test]
fn the_shop_survives() {
    testing::check(&*scenario(), 50);
}

#[test]
fn each_planted_bug_is_found() {
    for bug in Bug::ALL {
        let found = testing::finds(&*scenario(), bug.name(), 500);
        if *bug == Bug::OversoldForAMoment {
            // Whoever asks the services in the end sees nothing of it.
            let told = &found.signature.invariant;
            assert_eq!(told, "stock is never negative");
        }
    }
}
