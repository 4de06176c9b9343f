//! `run`: campaigns over the scenarios that are named.

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use squall_explore::{
    campaign::{Campaign, Mismatch, Tally, Totals, rate},
    strategy::{Guided, Strategy, corpus},
};
use squall_report::{
    self as report,
    json::{self, Failed},
    junit,
    render::campaign::Report,
    summary,
    words::system,
};

use super::{
    Exit, Refusal, Session,
    args::{Format, RunArgs},
    bar::Bar,
    choice,
    render::Shown,
};
use crate::triage::Triage;

impl Session<'_> {
    pub(super) fn run(&mut self, args: &RunArgs) -> Result<Exit, Refusal> {
        if args.corpus.is_some() && args.variant.explore != Strategy::Guided {
            return Err(Refusal::Usage(
                "--corpus is for --explore guided: no other strategy learns".to_owned(),
            ));
        }
        let mut campaigns =
            choice::campaigns(self.catalogue, &args.scenarios, &args.variant, args.seeds)?;
        for campaign in &mut campaigns {
            campaign.stop_at_first = args.stop_at_first;
            if let Some(jobs) = args.jobs {
                campaign.jobs = usize::from(jobs);
            }
        }
        let began = Instant::now();
        let mut all: Vec<Totals> = Vec::new();
        for campaign in &campaigns {
            let totals = match &args.corpus {
                Some(dir) => {
                    let mut guided = self.guide(campaign, Some(dir))?;
                    self.guided(campaign, &mut guided, Some(dir))?
                }
                None => self.campaign(campaign),
            };
            let failed = totals.tally.failed() > 0;
            all.push(totals);
            if failed && args.stop_at_first {
                break;
            }
        }
        let elapsed = began.elapsed();
        let budget = (!args.no_shrink).then(|| args.shrinking.budget());
        let mut triage = Triage::new(budget, args.shrinking.out.as_deref(), &self.failures);
        let shown = match args.format {
            format @ (Format::Json | Format::Junit) => {
                let shown = self.triage_all(&campaigns, &all, &mut triage);
                let failures = failed(&all, &shown);
                let replay = |place: usize, of: &Mismatch| {
                    let campaign = &campaigns[place];
                    campaign.replay_of(&of.trial(campaign))
                };
                let text = match format {
                    Format::Junit => junit::report(&all, &failures, elapsed, &replay),
                    _ => json::report(&all, failures, elapsed, &replay),
                };
                write!(self.out, "{text}")?;
                shown
            }
            Format::Text => {
                self.tables(&all)?;
                let counts = Tally::sum(all.iter().map(|totals| &totals.tally)).counts;
                if !counts.is_empty() {
                    write!(self.out, "\n{}", summary::counts(&counts, self.style))?;
                }
                self.failures(&campaigns, &all, &mut triage)?
            }
        };
        self.annotate(&shown)?;
        self.timing(&all, elapsed)?;
        if let Some(file) = &args.html {
            let mut scenarios: Vec<&str> = all.iter().map(|totals| &*totals.scenario).collect();
            scenarios.dedup();
            let title = format!("run {}", scenarios.join(" "));
            self.report(file, Report::of(title, &all, elapsed), &shown)?;
        }
        Ok(Exit::survived_if(all.iter().all(Totals::is_clean)))
    }

    /// Runs one campaign behind its bar.
    pub(super) fn campaign(&self, campaign: &Campaign<'_>) -> Totals {
        let name = system(campaign.scenario.name(), &campaign.shape, None);
        let bar = Bar::new(self.bars, &name, campaign.seeds.len());
        campaign.run_by(self.runner, &mut |progress| bar.show(progress))
    }

    /// A guided explorer for a campaign; it begins with what the corpus holds, if there is one.
    pub(super) fn guide(
        &self,
        campaign: &Campaign<'_>,
        corpus: Option<&Path>,
    ) -> Result<Guided, Refusal> {
        let guided = Guided::new(campaign.scenario, campaign.seeds);
        let Some(dir) = corpus else {
            return Ok(guided);
        };
        // Whether it can be written is known before hours of storms are to be kept there.
        corpus::write(dir, &[]).map_err(|error| Refusal::Usage(error.to_string()))?;
        let scenario = campaign.scenario;
        let corpus = corpus::read(dir, scenario.name(), &scenario.profile())?;
        Ok(guided.with_corpus(corpus))
    }

    /// Runs one guided campaign, and adds what it found to the corpus, if there is one.
    pub(super) fn guided(
        &self,
        campaign: &Campaign<'_>,
        guided: &mut Guided,
        corpus: Option<&Path>,
    ) -> Result<Totals, Refusal> {
        let name = system(campaign.scenario.name(), &campaign.shape, None);
        let bar = Bar::new(self.bars, &name, campaign.seeds.len());
        let totals = campaign.explore_by(self.runner, guided, &mut |progress| bar.show(progress));
        let found = guided.take_found();
        if let Some(dir) = corpus {
            corpus::write(dir, &found)?;
        }
        Ok(totals)
    }

    /// The table of campaigns and that of faults.
    pub(super) fn tables(&mut self, all: &[Totals]) -> Result<(), Refusal> {
        write!(self.out, "{}", summary::tables(all, self.style))?;
        Ok(())
    }

    /// Every distinct failure of the campaigns that were run, and every seed that gave two different runs.
    pub(super) fn failures<'s>(
        &mut self,
        campaigns: &'s [Campaign<'s>],
        all: &'s [Totals],
        triage: &mut Triage,
    ) -> Result<Vec<Shown<'s>>, Refusal> {
        let mut shown = Vec::new();
        for (campaign, totals) in campaigns.iter().zip(all) {
            for failed in &totals.failures {
                writeln!(self.out)?;
                let triaged = self.triage(campaign, failed, triage);
                self.tell_failure(campaign, totals, failed, &triaged)?;
                shown.push((campaign, failed, triaged));
            }
            self.tell_mismatches(campaign, totals)?;
        }
        Ok(shown)
    }

    /// The same without a word.
    pub(super) fn triage_all<'s>(
        &self,
        campaigns: &'s [Campaign<'s>],
        all: &'s [Totals],
        triage: &mut Triage,
    ) -> Vec<Shown<'s>> {
        let mut shown = Vec::new();
        for (campaign, totals) in campaigns.iter().zip(all) {
            for failed in &totals.failures {
                let triaged = self.triage(campaign, failed, triage);
                shown.push((campaign, failed, triaged));
            }
        }
        shown
    }

    /// How long it took: to stderr, so that stdout has the same bytes each time.
    pub(super) fn timing(&mut self, all: &[Totals], elapsed: Duration) -> Result<(), Refusal> {
        let runs = all.iter().map(|totals| totals.tally.runs).sum();
        writeln!(
            self.err,
            "{} storms in {} ({})",
            report::count(runs),
            report::duration(elapsed),
            report::rate(rate(runs, elapsed))
        )?;
        Ok(())
    }
}

/// The failures that were triaged, for scripts.
pub(super) fn failed<'s>(all: &'s [Totals], shown: &'s [Shown<'s>]) -> Vec<Failed<'s>> {
    let owners = all
        .iter()
        .flat_map(|totals| vec![totals; totals.failures.len()]);
    owners
        .zip(shown)
        .map(|(totals, (campaign, failed, made))| {
            json::failed(totals, failed, made.kept(), made.replay(campaign, failed))
        })
        .collect()
}
