//! Files beside what is printed: pages and traces for viewers.

use std::{fs, io::Write, path::Path};

use squall_engine::run::{Options, Outcome, Spec};
use squall_explore::campaign::{Campaign, Failure, guarded};
use squall_report::render::{
    Subject,
    campaign::{Report, Seen},
    page, perfetto,
};

use super::{Refusal, Session, args::RenderArgs};
use crate::triage::Triaged;

/// How many distinct failures of a report get a page of their own.
const PAGES_MAX: usize = 50;

impl Session<'_> {
    /// Writes the page and the trace file of one run that were asked for.
    pub(super) fn render(&mut self, wanted: &RenderArgs, of: &Subject<'_>) -> Result<(), Refusal> {
        // What was found is told even if a file of it can't be written.
        self.out.flush()?;
        if let Some(file) = &wanted.html {
            write_file(file, &page::html(of))?;
        }
        if let Some(file) = &wanted.perfetto {
            write_file(file, &perfetto::json(of))?;
        }
        Ok(())
    }

    /// Writes a report, and beside it the pages of its failures: for each its campaign and what was done with it.
    pub(super) fn report(
        &mut self,
        file: &Path,
        mut report: Report<'_>,
        failures: &[Shown<'_>],
    ) -> Result<(), Refusal> {
        let seen = |(campaign, failed, triaged): &Shown<'_>| Seen {
            sentence: triaged.kept().map(|kept| kept.sentence.clone()),
            replay: triaged.replay(campaign, failed),
            page: None,
        };
        report.seen = failures.iter().map(seen).collect();
        let runner = self.runner;
        self.report_with(file, report, &|place| {
            let (campaign, failed, triaged) = &failures[place];
            Some(match triaged.kept() {
                Some(kept) => (kept.shrunk.spec.clone(), kept.shrunk.outcome.clone()),
                None => {
                    let spec = campaign.spec_of(&failed.trial(campaign));
                    let run = Options::traced(true);
                    let outcome = guarded(runner, campaign.scenario, &spec, run);
                    (spec, outcome)
                }
            })
        })
    }

    /// Writes a report, and beside it a page for each of its failures that has a run to show.
    pub(super) fn report_with(
        &mut self,
        file: &Path,
        mut report: Report<'_>,
        run_of: &dyn Fn(usize) -> Option<(Spec, Outcome)>,
    ) -> Result<(), Refusal> {
        self.out.flush()?;
        // The report first: whether it can be written is known before any seed is run again.
        write_file(file, &report.html())?;
        let scenarios = report.all.iter().flat_map(|totals| {
            let failures = totals.failures.iter();
            failures.map(|_| &totals.scenario)
        });
        let failures = scenarios.zip(&mut report.seen).take(PAGES_MAX);
        for (place, (scenario, seen)) in failures.enumerate() {
            let Some((spec, outcome)) = run_of(place) else {
                continue;
            };
            let subject = Subject {
                scenario,
                spec: &spec,
                outcome: &outcome,
                sentence: seen.sentence.as_deref(),
                replay: &seen.replay,
            };
            let name = page_name(file, place + 1);
            write_file(&file.with_file_name(&name), &page::html(&subject))?;
            seen.page = Some(name);
        }
        write_file(file, &report.html())
    }
}

/// A failure of a campaign, and what was done with it.
pub(super) type Shown<'a> = (&'a Campaign<'a>, &'a Failure, Triaged);

/// `report-2.html`, for the second failure of `report.html`.
fn page_name(report: &Path, number: usize) -> String {
    let stem = report.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}-{number}.html")
}

fn write_file(file: &Path, text: &str) -> Result<(), Refusal> {
    fs::write(file, text).map_err(|error| Refusal::Render {
        file: file.to_owned(),
        error,
    })
}
