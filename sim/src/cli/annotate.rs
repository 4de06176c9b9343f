//! On a hosted CI runner of GitHub: each distinct failure is an annotation, and a row of the step's summary.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

use squall_report::annotation::{Finding, SUMMARY_HEAD};

use super::{Refusal, Session, render::Shown};

/// Where the summary of a step goes, if the program runs in one.
#[derive(Debug, Clone)]
pub(super) struct Step {
    summary: Option<PathBuf>,
}

impl Step {
    /// The step that this process is part of, as its environment says.
    pub fn of_environment() -> Option<Self> {
        let is_step = std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
        is_step.then(|| Step {
            summary: std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from),
        })
    }

    #[cfg(test)]
    pub fn with_summary(summary: PathBuf) -> Self {
        Step {
            summary: Some(summary),
        }
    }
}

impl Session<'_> {
    /// Tells the step of failures that were triaged.
    pub(super) fn annotate(&mut self, shown: &[Shown<'_>]) -> Result<(), Refusal> {
        let findings = shown.iter().map(|(campaign, failed, triaged)| {
            let sentence = triaged.kept().map(|kept| &*kept.sentence);
            let replay = triaged.replay(campaign, failed);
            Finding::new(campaign.scenario.name(), failed, sentence, replay)
        });
        self.annotate_with(&findings.collect::<Vec<_>>())
    }

    /// The annotations go to stderr, so that stdout stays what a script reads.
    pub(super) fn annotate_with(&mut self, findings: &[Finding]) -> Result<(), Refusal> {
        let Some(step) = self.step.clone().filter(|_| !findings.is_empty()) else {
            return Ok(());
        };
        let mut table = SUMMARY_HEAD.to_owned();
        for finding in findings {
            writeln!(self.err, "{}", finding.annotation())?;
            table += &finding.row();
        }
        if let Some(file) = &step.summary
            && let Err(error) = append(file, &table)
        {
            let file = file.display();
            writeln!(self.err, "the summary {file} could not be written: {error}")?;
        }
        Ok(())
    }
}

fn append(file: &PathBuf, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(file)?;
    writeln!(file, "{text}")
}
