//! What mends what went wrong has nothing to do where nothing goes wrong, and a world can do without some of it.

use squall::{
    run::{Spec, Verdict, run},
    seed::Seed,
};
use squall_scenarios::catalogue;

/// Calm runs of each scenario.
const SEEDS: u64 = 12;

#[test]
fn nothing_is_mended_in_a_run_without_faults() {
    for scenario in catalogue().scenarios {
        for seed in (0..SEEDS).map(Seed) {
            let outcome = run(&*scenario, &Spec::of(&*scenario, seed).calm(), false);
            let (name, violations) = (scenario.name(), &outcome.violations);
            assert_eq!(
                outcome.verdict,
                Verdict::Survived,
                "{name} {seed}: {violations:?}"
            );
        }
    }
}
