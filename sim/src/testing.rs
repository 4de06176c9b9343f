//! Storms in `cargo test`.
//!
//! A test runs a fixed number of seeds, so that it is the same each time; the environment runs others:
//! `SQUALL_SEED=42` this one alone, `SQUALL_SEEDS=20000` or `SQUALL_SEEDS=500..600` so many.
//!
//! ```no_run
//! # use squall::{run::Sim, scenario::{Bug, Scenario, Setup}, storm::Profile, testing};
//! # struct Bank;
//! # impl Scenario for Bank {
//! #     fn name(&self) -> &str { "bank" }
//! #     fn about(&self) -> &str { "" }
//! #     fn profile(&self) -> Profile { Profile::new(&["bank"], &[]) }
//! #     fn build(&self, _: &Sim, _: &Setup) {}
//! # }
//! #[test]
//! fn the_bank_survives_storms() {
//!     let totals = testing::check(&Bank, 200);
//!     assert!(totals.tally.count("completed") > 0);
//! }
//!
//! #[test]
//! fn a_bank_that_forgets_is_caught() {
//!     let found = testing::finds(&Bank, "forgets", 2_000);
//!     assert_eq!(found.signature.invariant, "no money is lost");
//! }
//! ```

mod env;
#[cfg(test)]
pub(crate) mod scratch;

#[cfg(test)]
mod tests;

use crate::{
    campaign::{Campaign, Runner, Seeds, Totals, guarded},
    check::Violation,
    report::{self, Style, failure},
    run::{self, Signature},
    scenario::Scenario,
    seed::Seed,
    trace::Trace,
};

/// Which variant of a scenario is tested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// One of its shapes; its first when `None`.
    pub shape: Option<String>,
    /// One of its bugs, planted.
    pub plant: Option<String>,
}

/// A planted bug that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The first seed that found it.
    pub seed: Seed,
    /// What was broken; none if the run did not come to an end.
    pub violation: Option<Violation>,
    /// What the failure is called.
    pub signature: Signature,
}

/// Storms over the scenario's first shape: the seeds `0..default_seeds`, or those of the environment.
///
/// # Panics
///
/// When a run fails or a seed gives two different runs, with the storm and the commands that replay it; when the
/// environment asks for seeds that are none.
#[track_caller]
pub fn check(scenario: &dyn Scenario, default_seeds: u64) -> Totals {
    check_with(scenario, default_seeds, &Options::default())
}

/// [`check`] for another shape, or with a bug planted.
///
/// # Panics
///
/// As [`check`], and when the scenario lacks the shape or the bug.
#[track_caller]
pub fn check_with(scenario: &dyn Scenario, default_seeds: u64, options: &Options) -> Totals {
    let checked = env::seeds(default_seeds)
        .and_then(|seeds| check_by(&crate::run::run_with, scenario, seeds, options));
    match checked {
        Ok(totals) => totals,
        Err(told) => panic!("{told}"),
    }
}

/// Plants the bug and runs the seeds `0..max_seeds` until one finds it.
///
/// # Panics
///
/// When none does, when the harness fails, and when the scenario has no such bug.
#[track_caller]
pub fn finds(scenario: &dyn Scenario, bug: &str, max_seeds: u64) -> Found {
    match finds_by(&crate::run::run_with, scenario, bug, max_seeds) {
        Ok(found) => found,
        Err(told) => panic!("{told}"),
    }
}

fn check_by(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    seeds: Seeds,
    options: &Options,
) -> Result<Totals, String> {
    let campaign = variant(scenario, seeds, options)?;
    let totals = campaign.run_by(runner, &mut |_| ());
    if totals.is_clean() {
        return Ok(totals);
    }
    let failures = totals.failures.iter().map(|failed| {
        let replay = replay(&campaign, failed.seed);
        let trace = trace(runner, &campaign, failed.seed);
        failure::failure(&totals, failed, trace.as_ref(), &replay, Style::PLAIN)
    });
    let mismatches = totals.mismatches.iter().map(|mismatch| {
        let replay = replay(&campaign, mismatch.seed);
        failure::mismatch(&totals, mismatch, [None, None], &replay, Style::PLAIN)
    });
    let told: Vec<String> = failures.chain(mismatches).collect();
    Err(told.join("\n"))
}

fn finds_by(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    bug: &str,
    max_seeds: u64,
) -> Result<Found, String> {
    let options = Options {
        plant: Some(bug.to_owned()),
        ..Options::default()
    };
    let mut campaign = variant(scenario, Seeds::up_to(max_seeds), &options)?;
    campaign.stop_at_first = true;
    let totals = campaign.run_by(runner, &mut |_| ());
    match totals.failures.first() {
        Some(found) if found.is_finding() => Ok(Found {
            seed: found.seed,
            violation: found.violation.clone(),
            signature: found.signature.clone(),
        }),
        Some(broken) => {
            let replay = [campaign.replay_command(broken.seed)];
            let trace = trace(runner, &campaign, broken.seed);
            Err(failure::failure(
                &totals,
                broken,
                trace.as_ref(),
                &replay,
                Style::PLAIN,
            ))
        }
        None => Err(format!(
            "{} storms over {} did not find the bug {bug}: its checks or its storms are blind to it",
            report::count(totals.tally.runs),
            scenario.name(),
        )),
    }
}

fn variant<'a>(
    scenario: &'a dyn Scenario,
    seeds: Seeds,
    options: &Options,
) -> Result<Campaign<'a>, String> {
    let mut campaign = Campaign::over(scenario, seeds);
    if let Some(shape) = &options.shape {
        campaign = campaign.in_shape(shape).map_err(|e| e.to_string())?;
    }
    if let Some(bug) = &options.plant {
        campaign = campaign.with_planted(bug).map_err(|e| e.to_string())?;
    }
    Ok(campaign)
}

/// How a failure of [`check`] is replayed: by the test that is running, and with its whole trace.
fn replay(campaign: &Campaign<'_>, seed: Seed) -> [String; 2] {
    [env::test_command(seed), campaign.replay_command(seed)]
}

fn trace(runner: Runner<'_>, campaign: &Campaign<'_>, seed: Seed) -> Option<Trace> {
    guarded(
        runner,
        campaign.scenario,
        &campaign.spec(seed),
        run::Options::traced(true),
    )
    .trace
}
