//! No command: storms over everything that must survive, then the self-test.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use squall_core::seed::Seeds;
use squall_engine::scenario::Catalogue;
use squall_explore::{
    campaign::{Campaign, Totals},
    shrink::Budget,
};
use squall_report::{self as report, Paint};

use super::{Exit, Refusal, Session};
use crate::triage::Triage;

/// Storms in all, split evenly. With the same seeds on every machine that is quick enough.
const STORMS: u64 = 1_000;

/// Real time for all of them. What one campaign leaves over the next may use.
const LIMIT: Duration = Duration::from_secs(25);

impl Session<'_> {
    pub(super) fn default_campaign(&mut self) -> Result<Exit, Refusal> {
        let mut campaigns = all_that_must_survive(self.catalogue);
        if campaigns.is_empty() {
            return Err(Refusal::Usage(
                "no scenario has a shape that must survive".to_owned(),
            ));
        }
        let began = Instant::now();
        let parts = campaigns.len() as u32;
        let mut all = Vec::new();
        for (place, campaign) in (1..).zip(&mut campaigns) {
            campaign.seeds = Seeds::up_to(STORMS.div_ceil(u64::from(parts)));
            campaign.limit = Some((LIMIT * place / parts).saturating_sub(began.elapsed()));
            all.push(self.campaign(campaign));
        }
        let elapsed = began.elapsed();
        self.tables(&all)?;
        let mut triage = Triage::new(Some(Budget::default()), None, &self.failures);
        let shown = self.failures(&campaigns, &all, &mut triage)?;
        self.annotate(&shown)?;
        let survived = all.iter().all(Totals::is_clean);
        writeln!(self.out)?;
        let caught = self.self_test()?;
        let (paint, line) = match (survived, caught) {
            (true, None) => (
                Paint::Warning,
                "All survived. Nothing shows that the checks still bite: the catalogue has no canary.",
            ),
            (true, Some(true)) => (Paint::Good, "All survived, and the canary was caught."),
            (true, Some(false)) => (
                Paint::Bad,
                "All survived, but the canary was not caught: the silence means nothing.",
            ),
            (false, Some(false)) => (
                Paint::Bad,
                "Failures were found, and the canary was not caught.",
            ),
            (false, _) => (Paint::Bad, "Failures were found: see above."),
        };
        writeln!(self.out, "\n{}", self.style.paint(paint, line))?;
        self.timing(&all, elapsed)?;
        let cut_short =
            |(campaign, totals): (&Campaign<'_>, &Totals)| totals.tally.runs < campaign.seeds.len();
        if campaigns.iter().zip(&all).any(cut_short) {
            let limit = report::duration(LIMIT);
            writeln!(
                self.err,
                "time is up after {limit}: fewer storms than {STORMS}"
            )?;
        }
        Ok(Exit::survived_if(survived && caught != Some(false)))
    }
}

fn all_that_must_survive(catalogue: &Catalogue) -> Vec<Campaign<'_>> {
    let mut campaigns = Vec::new();
    for scenario in &catalogue.scenarios {
        for shape in scenario.shapes().iter().filter(|s| s.must_survive) {
            let mut campaign = Campaign::over(&**scenario, Seeds::up_to(STORMS));
            campaign.shape = shape.name.to_owned();
            campaigns.push(campaign);
        }
    }
    campaigns
}
