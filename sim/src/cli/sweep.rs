//! `sweep`: every kind of fault at every site of a scenario, then pairs.

use std::{io::Write, slice, time::Instant};

use squall_core::seed::Seeds;
use squall_explore::strategy::{Strategy, Sweep, Trial};
use squall_report::{json, junit, render::campaign::Report, sweep};

use super::{
    Exit, Refusal, Session,
    args::{Format, SweepArgs, Variant},
    bar::Bar,
    choice,
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
        if args.format == Format::Text {
            write!(self.out, "{}", sweep::text(&totals, &matrix, self.style))?;
        }
        let mut triaged = Vec::new();
        for failed in &totals.failures {
            let made = self.triage(&campaign, failed, &mut triage);
            if args.format == Format::Text {
                writeln!(self.out)?;
                self.tell_failure(&campaign, &totals, failed, &made)?;
            }
            triaged.push((&campaign, failed, made));
        }
        match args.format {
            format @ (Format::Json | Format::Junit) => {
                let failures = triaged.iter().map(|(campaign, failed, made)| {
                    let replay = made.replay(campaign, failed);
                    json::failed(&totals, failed, made.kept(), replay)
                });
                let failures: Vec<_> = failures.collect();
                let replay = |_, trial: &Trial| campaign.replay_of(trial);
                let text = match format {
                    Format::Junit => {
                        junit::report(slice::from_ref(&totals), &failures, elapsed, &replay)
                    }
                    _ => sweep::json(&totals, &matrix, failures, elapsed),
                };
                write!(self.out, "{text}")?;
            }
            Format::Text => self.tell_mismatches(&campaign, &totals)?,
        }
        self.annotate(&triaged)?;
        self.timing(slice::from_ref(&totals), elapsed)?;
        if let Some(file) = &args.html {
            let title = format!("sweep {}", totals.scenario);
            let mut report = Report::of(title, slice::from_ref(&totals), elapsed);
            report.sweep = Some(matrix.into());
            self.report(file, report, &triaged)?;
        }
        Ok(Exit::survived_if(totals.is_clean()))
    }
}
