//! A failure file replayed by the test that found it.

use std::path::Path;

use squall_core::seed::Seeds;
use squall_engine::{run::Options, scenario::Scenario};
use squall_explore::{
    campaign::{Campaign, Runner, Totals, guarded},
    failure::FailureFile,
};
use squall_report::{Style, again, excerpt, failure};

use crate::testing::ReplayBy;

/// Replays the failure of the file, if it is this world's, and prints it whole; `None` if it is another's.
///
/// # Errors
///
/// What happens, if the run fails or is not the one that was recorded; why the file can't be replayed.
pub(super) fn replay(
    runner: Runner<'_>,
    world: &dyn Scenario,
    path: &Path,
) -> Result<Option<Totals>, String> {
    let file = FailureFile::read(path).map_err(|error| error.to_string())?;
    if file.scenario != world.name() {
        return Ok(None);
    }
    let possible = world.profile().check(&file.plan);
    possible.map_err(|error| format!("{}: {error}", path.display()))?;
    let outcome = guarded(runner, world, &file.spec(), Options::traced(true));
    let style = Style::of_stdout();
    if let Some(recorded) = &outcome.trace {
        println!("{}", excerpt::whole(recorded, style));
    }
    let mut told = format!("{}\n", file.sentence);
    for broken in outcome.by_severity() {
        told += &failure::violation(broken, style);
    }
    told += &failure::storm(&outcome.all_faults(), style);
    let compared = again::compare(&file, &outcome, style);
    told += &compared.text;
    if compared.fails {
        let command = ReplayBy::Test.file(path);
        return Err(told + &failure::replay_lines(&[command], style));
    }
    println!("{told}");
    let same = Campaign {
        plan: Some(file.plan),
        ..Campaign::over(world, Seeds::one(file.seed))
    };
    Ok(Some(same.run_by(runner, &mut |_| ())))
}
