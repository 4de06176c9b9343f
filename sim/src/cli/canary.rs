//! The self-test: a known bug is planted and must be found, so that silence is never mistaken for health.

use std::{io::Write, time::Duration};

use squall_core::seed::Seeds;
use squall_engine::run::this_program;
use squall_explore::{campaign::Campaign, shrink::Budget};
use squall_report::{Paint, count};

use super::{Refusal, Session};
use crate::triage::Triage;

/// The number of seeds within which the canary must be found.
const SEEDS: u64 = 2_000;

/// The most runs for shrinking it.
const RUNS: u64 = 500;

/// The most real time for that: a user who has just cloned the project waits for it.
const TIME: Duration = Duration::from_secs(5);

impl Session<'_> {
    /// Whether the canary was caught; `None` if there is none.
    pub(super) fn self_test(&mut self) -> Result<Option<bool>, Refusal> {
        let Some((scenario, bug)) = self.catalogue.canary else {
            return Ok(None);
        };
        let title = format!("self-test: {bug} is planted into {scenario}");
        writeln!(self.out, "{}", self.style.paint(Paint::Heading, &title))?;
        let planted = self
            .catalogue
            .get(scenario)
            .filter(|s| s.bugs().iter().any(|b| b.name == bug));
        let Some(scenario) = planted else {
            writeln!(
                self.out,
                "there is no such bug: the catalogue's canary is wrong"
            )?;
            return Ok(Some(false));
        };
        let mut campaign = Campaign::over(scenario, Seeds::up_to(SEEDS));
        campaign.plant = Some(bug.to_owned());
        campaign.stop_at_first = true;
        let totals = self.campaign(&campaign);
        let Some(found) = totals.failures.first() else {
            writeln!(
                self.out,
                "NOT CAUGHT in {} storms: the checks or the storms are blind\nsearch: {}",
                count(totals.tally.runs),
                format_args!(
                    "{} run {} --plant {bug} --seeds {SEEDS}",
                    this_program(),
                    scenario.name()
                ),
            )?;
            self.tell_mismatches(&campaign, &totals)?;
            return Ok(Some(false));
        };
        let budget = Budget {
            runs: RUNS,
            time: TIME,
            ..Budget::default()
        };
        let mut triage = Triage::new(Some(budget), None, &self.failures);
        let triaged = self.triage(&campaign, found, &mut triage);
        self.tell_failure(&campaign, &totals, found, &triaged)?;
        self.tell_mismatches(&campaign, &totals)?;
        Ok(Some(found.is_finding() && totals.mismatches.is_empty()))
    }
}
