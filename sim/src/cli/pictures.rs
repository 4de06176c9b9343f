//! Files beside what is printed: pages and traces for viewers.

use std::{fs, io::Write, path::Path, time::Duration};

use super::{Refusal, Session, args::Pictures};
use crate::{
    campaign::{Campaign, Totals, guarded},
    picture::{Subject, campaign::Report, page, perfetto},
    seed::Seed,
};

/// So many distinct failures of a report get a page of their own.
const PAGES_MAX: usize = 50;

impl Session<'_> {
    /// Writes the pictures of one run that are wanted.
    pub(super) fn pictures(&mut self, wanted: &Pictures, of: &Subject<'_>) -> Result<(), Refusal> {
        // What was found is told even if a picture of it can't be written.
        self.out.flush()?;
        if let Some(file) = &wanted.html {
            write_file(file, &page::html(of))?;
        }
        if let Some(file) = &wanted.perfetto {
            write_file(file, &perfetto::json(of))?;
        }
        Ok(())
    }

    /// Writes the report of campaigns, and the pages of their failures beside it.
    pub(super) fn report(
        &mut self,
        file: &Path,
        campaigns: &[Campaign<'_>],
        all: &[Totals],
        elapsed: Duration,
    ) -> Result<(), Refusal> {
        self.out.flush()?;
        let replay = |place: usize, seed| campaigns[place].replay_command(seed);
        let mut scenarios: Vec<&str> = all.iter().map(|totals| &*totals.scenario).collect();
        scenarios.dedup();
        let title = format!("run {}", scenarios.join(" "));
        let mut report = Report::of(title, all, elapsed, &replay);
        // The report first: whether it can be written is known before any seed is run again.
        write_file(file, &report.html())?;
        let of_one = |(campaign, totals): (_, &Totals)| vec![campaign; totals.failures.len()];
        let owners: Vec<&Campaign<'_>> = campaigns.iter().zip(all).flat_map(of_one).collect();
        for (number, (failure, campaign)) in report
            .failures
            .iter_mut()
            .zip(owners)
            .take(PAGES_MAX)
            .enumerate()
        {
            let name = page_name(file, number + 1);
            let spec = campaign.spec(Seed(failure.seed));
            let outcome = guarded(self.runner, campaign.scenario, &spec, true);
            let subject = Subject {
                scenario: &failure.scenario,
                spec: &spec,
                outcome: &outcome,
                sentence: failure.sentence.as_deref(),
                replay: &failure.replay,
            };
            write_file(&file.with_file_name(&name), &page::html(&subject))?;
            failure.page = Some(name);
        }
        write_file(file, &report.html())
    }
}

/// `report-2.html`, for the second failure of `report.html`.
fn page_name(report: &Path, number: usize) -> String {
    let stem = report.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}-{number}.html")
}

fn write_file(file: &Path, text: &str) -> Result<(), Refusal> {
    fs::write(file, text).map_err(|error| Refusal::File {
        file: file.to_owned(),
        error,
    })
}
