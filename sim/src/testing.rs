//! Storms in `cargo test`.
//!
//! A test runs a fixed number of seeds, so that it is the same each time; the environment runs others:
//! `SQUALL_SEED=42` only this seed, `SQUALL_SEEDS=20000` or `SQUALL_SEEDS=500..600` this many or this range.
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

pub(crate) mod env;

#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use squall_core::{
    atomic_file,
    seed::{Seed, Seeds},
};
use squall_engine::{
    check::Violation,
    run::{Signature, run_with},
    scenario::Scenario,
};
use squall_explore::{
    campaign::{Campaign, Runner, Totals},
    failure::{Kept, replay_command},
    shrink::Budget,
    strategy::Trial,
};
use squall_report::{
    self as report, Style,
    render::{Subject, page},
};

use crate::triage::{Triaged, keep, tell_mismatch};

/// How many distinct failures of a test are shrunk: the first ones.
const SHRUNK_MAX: usize = 2;

/// What shrinking one of them may cost, given that a person waits for the test.
fn budget() -> Budget {
    Budget {
        runs: 300,
        time: Duration::from_secs(4),
        ..Budget::default()
    }
}

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
/// When a run fails or a seed gives two different runs, with the smallest storm that does and the commands that replay
/// it (it is written into `failures/` of the package); when the environment asks for seeds that are none.
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
    let directory = env::failures();
    let checked = env::seeds(default_seeds)
        .and_then(|seeds| variant(scenario, seeds, options))
        .and_then(|campaign| checked(&run_with, &campaign, Some(&directory), ReplayBy::Program));
    checked.unwrap_or_else(|told| panic!("{told}"))
}

/// Plants the bug and runs the seeds `0..max_seeds` until one finds it.
///
/// # Panics
///
/// When none does, when the harness fails, and when the scenario has no such bug.
#[track_caller]
pub fn finds(scenario: &dyn Scenario, bug: &str, max_seeds: u64) -> Found {
    let options = Options {
        plant: Some(bug.to_owned()),
        ..Options::default()
    };
    let found = variant(scenario, Seeds::up_to(max_seeds), &options)
        .and_then(|campaign| found_in(&run_with, campaign, ReplayBy::Program));
    found.unwrap_or_else(|told| panic!("{told}"))
}

/// What replays a failure that a test found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplayBy {
    /// The program whose catalogue has the scenario.
    Program,
    /// The test itself: nothing else can build its world.
    Test,
}

impl ReplayBy {
    /// The command that replays a failure file.
    pub fn file(self, path: &Path) -> String {
        match self {
            ReplayBy::Program => replay_command(path),
            ReplayBy::Test => env::replay_command(path),
        }
    }

    /// The commands that replay a trial of a campaign.
    fn trial(self, campaign: &Campaign<'_>, trial: &Trial) -> Vec<String> {
        let test = env::test_command(trial.seed);
        match self {
            ReplayBy::Program => vec![test, campaign.replay_of(trial)],
            ReplayBy::Test if campaign.draws(trial) => vec![test],
            ReplayBy::Test => Vec::new(),
        }
    }
}

/// Runs a campaign; its failures go into `directory`.
///
/// # Errors
///
/// What failed, told in full.
pub(crate) fn checked(
    runner: Runner<'_>,
    campaign: &Campaign<'_>,
    directory: Option<&Path>,
    replay: ReplayBy,
) -> Result<Totals, String> {
    let totals = campaign.run_by(runner, &mut |_| ());
    if totals.is_clean() {
        return Ok(totals);
    }
    let failures = (0..).zip(&totals.failures).map(|(place, failed)| {
        let triaged = match place < SHRUNK_MAX {
            true => keep(runner, campaign, failed, budget(), directory, &|_| {}),
            false => Triaged::AsFound,
        };
        let mut commands = replay.trial(campaign, &failed.trial(campaign));
        let mut page = String::new();
        if let Some(kept) = triaged.kept()
            && let Some(path) = kept.path()
        {
            let file = replay.file(path);
            page = page_beside(path, campaign.scenario, kept, &file);
            commands.truncate(1);
            commands.push(file);
        }
        page + &triaged.tell(runner, campaign, (&totals, failed), &commands, Style::PLAIN)
    });
    let mismatches = totals.mismatches.iter().map(|mismatch| {
        let commands = replay.trial(campaign, &mismatch.trial(campaign));
        let of = (&totals, mismatch);
        tell_mismatch(runner, campaign, of, &commands, Style::PLAIN)
    });
    let told: Vec<String> = failures.chain(mismatches).collect();
    Err(told.join("\n"))
}

/// Writes the page of a failure beside its file, and says where.
fn page_beside(file: &Path, scenario: &dyn Scenario, kept: &Kept, replay: &str) -> String {
    let path = file.with_extension("html");
    let page = page::html(&Subject {
        scenario: scenario.name(),
        spec: &kept.shrunk.spec,
        outcome: &kept.shrunk.outcome,
        sentence: Some(&kept.sentence),
        replay,
    });
    match atomic_file::write(&path, &page) {
        Ok(()) => format!("page: {}\n", path.display()),
        Err(error) => format!(
            "the page {} could not be written: {error}\n",
            path.display()
        ),
    }
}

/// Runs a campaign until something fails, which is what it is there for.
///
/// # Errors
///
/// When nothing does, or the harness.
pub(crate) fn found_in(
    runner: Runner<'_>,
    mut campaign: Campaign<'_>,
    replay: ReplayBy,
) -> Result<Found, String> {
    campaign.stop_at_first = true;
    let totals = campaign.run_by(runner, &mut |_| ());
    match totals.failures.first() {
        Some(found) if found.is_finding() => Ok(Found {
            seed: found.seed,
            violation: found.violation.clone(),
            signature: found.signature.clone(),
        }),
        Some(broken) => {
            let replay = replay.trial(&campaign, &broken.trial(&campaign));
            let of = (&totals, broken);
            Err(Triaged::AsFound.tell(runner, &campaign, of, &replay, Style::PLAIN))
        }
        None => {
            let bug = campaign.plant.as_ref();
            Err(format!(
                "{} storms over {} did not find the bug{}: its checks or its storms are blind to it",
                report::count(totals.tally.runs),
                campaign.scenario.name(),
                bug.map_or(String::new(), |bug| format!(" {bug}")),
            ))
        }
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
