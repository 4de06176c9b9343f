//! `shrink`: the failure of a file made smaller still.

use std::{io::Write, path::Path};

use squall_explore::{
    failure::{FailureFile, replay_command},
    shrink::{Budget, shrink_watched},
};
use squall_report::{self as report, Paint, failure, sentence, words::NOT_DETERMINISTIC};

use super::{Exit, Refusal, Session, args::ShrinkArgs, bar::Bar};
use crate::triage::file_of;

impl Session<'_> {
    pub(super) fn shrink(&mut self, args: &ShrinkArgs) -> Result<Exit, Refusal> {
        let (file, scenario) = self.failure(&args.file)?;
        let usual = args.shrinking.budget();
        let budget = Budget {
            jobs: args.jobs.map_or(usual.jobs, usize::from),
            ..usual
        };
        let (spec, signature) = (file.spec(), file.signature());
        let bar = Bar::shrinking(self.bars, scenario.name());
        let watch = |progress| bar.shrinks(progress);
        let shrunk = shrink_watched(self.runner, scenario, &spec, &signature, budget, &watch);
        drop(bar);
        let shrunk = match shrunk {
            Ok(shrunk) => shrunk,
            Err(gone) if file.build.is_present() => {
                let defect = self.style.paint(Paint::Bad, NOT_DETERMINISTIC);
                writeln!(self.out, "{defect}: {gone}")?;
                return Ok(Exit::Failed);
            }
            Err(gone) => {
                writeln!(
                    self.out,
                    "the failure \"{signature}\" does not happen with this build: {}\nwritten by  {}",
                    gone.found, file.build
                )?;
                return Ok(Exit::Failed);
            }
        };
        let sentence = sentence::of(scenario, &shrunk.outcome);
        let smaller = FailureFile {
            before: file.before,
            ..file_of(&signature, &shrunk, &sentence)
        };
        let beside = args.file.parent().unwrap_or(Path::new(""));
        let directory = args.shrinking.out.as_deref().unwrap_or(beside);
        write!(
            self.out,
            "{}",
            failure::small(&sentence, &shrunk, self.style)
        )?;
        self.out.flush()?;
        let path = smaller
            .write(directory)
            .map_err(|source| Refusal::Unwritable {
                directory: directory.display().to_string(),
                source,
            })?;
        writeln!(self.out, "written to {}", path.display())?;
        let command = [replay_command(&path)];
        write!(self.out, "{}", failure::replay_lines(&command, self.style))?;
        let spent = std::time::Duration::from_millis(shrunk.effort.runs_ms);
        writeln!(
            self.err,
            "{} of runs, all jobs together",
            report::duration(spent)
        )?;
        Ok(Exit::Survived)
    }
}
