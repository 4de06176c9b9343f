//! `sweep`: every kind of fault at every site of a scenario, then pairs.

use std::{io::Write, slice, time::Instant};

use squall_core::seed::Seeds;
use squall_explore::{
    campaign::Mismatch,
    strategy::{Strategy, Sweep},
};
use squall_report::{junit, render::campaign::Report, sweep};

use super::{
    Exit, Refusal, Session,
    args::{Format, SweepArgs, Variant},
    bar::Bar,
    choice,
    run::failed,
};
use crate::triage::Triage;

impl Session<'_> {
    pub(super) fn sweep(&mut self, args: &SweepArgs) -> Result<Exit, Refusal> {
        let variant = Variant {
            shape: args.shape.clone(),
            plant: args.plant.clone(),
            plan: None,
            explore: Strategy::default(),
        };
        let seeds = args.seeds.unwrap_or(Seeds::one(args.seed));
        let names = slice::from_ref(&args.scenario);
        let campaigns = choice::campaigns(self.catalogue, names, &variant, seeds)?;
        let mut campaign = campaigns.into_iter().next().expect("one scenario is named");
        campaign.strategy = Strategy::Sweep;
        campaign.stop_at_first = args.stop_at_first;
        if let Some(jobs) = args.jobs {
            campaign.jobs = usize::from(jobs);
        }

        let began = Instant::now();
        let mut explorer = Sweep::new(campaign.scenario, seeds, args.pairs as usize);
        let bar = Bar::new(self.bars, campaign.scenario.name(), seeds.len());
        let totals = campaign.explore_by(self.runner, &mut explorer, &mut |now| bar.show(now));
        drop(bar);
        let elapsed = began.elapsed();

        let matrix = explorer.matrix();
        let budget = (!args.no_shrink).then(|| args.shrinking.budget());
        let mut triage = Triage::new(budget, args.shrinking.out.as_deref(), &self.failures);
        let (all, campaigns) = (slice::from_ref(&totals), slice::from_ref(&campaign));
        let shown = match args.format {
            Format::Text => {
                write!(self.out, "{}", sweep::text(&totals, &matrix, self.style))?;
                self.failures(campaigns, all, &mut triage)?
            }
            format => {
                let shown = self.triage_all(campaigns, all, &mut triage);
                let failures = failed(all, &shown);
                let replay = |_, of: &Mismatch| campaign.replay_of(&of.trial(&campaign));
                let text = match format {
                    Format::Junit => junit::report(all, &failures, elapsed, &replay),
                    _ => sweep::json(&totals, &matrix, failures, elapsed),
                };
                write!(self.out, "{text}")?;
                shown
            }
        };
        self.annotate(&shown)?;
        self.timing(all, elapsed)?;
        if let Some(file) = &args.html {
            let title = format!("sweep {}", totals.scenario);
            let mut report = Report::of(title, all, elapsed);
            report.sweep = Some(&matrix);
            self.report(file, report, &shown)?;
        }
        Ok(Exit::survived_if(totals.is_clean()))
    }
}
