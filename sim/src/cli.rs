//! The command line of every program that has a catalogue of scenarios.
//!
//! ```no_run
//! use squall::scenario::Catalogue;
//!
//! fn main() -> std::process::ExitCode {
//!     squall::cli::main(Catalogue { scenarios: vec![], canary: None })
//! }
//! ```
//!
//! Exit codes: 0 everything survived; 1 a violation, a stuck run, a failure of the harness, a run that is not
//! deterministic, a canary that was not caught or a result (on stdout or in a file) that could not be written; 2 bad
//! usage. A failure that a file holds and that does not happen any more is 0.

mod annotate;
mod args;
mod bar;
mod bugs;
mod canary;
mod choice;
mod default_campaign;
mod duration;
mod extra_command;
mod fuzz;
mod list;
mod merge;
mod number;
mod output;
mod render;
mod replay;
mod run;
mod shrink;
mod stop;
mod sweep;

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use args::{Asked, Command};
use bar::Bar;
use output::Output;
use squall_core::names::Unknown;
use squall_engine::{scenario::Catalogue, storm::PlanError};
use squall_explore::{
    campaign::{Campaign, Failure, Runner, Totals},
    failure::FileError,
    fuzz::{LogError, lines::LinesError},
    strategy::corpus::CorpusError,
};
use squall_report::Style;

use crate::triage::{Triage, Triaged, tell_mismatch};

/// The parser of arguments, for programs that add commands.
pub use clap;
pub use extra_command::{ExtraCommand, ExtraCommandError};

/// The whole program: reads the arguments, runs, prints, and gives the exit code.
pub fn main(catalogue: Catalogue) -> ExitCode {
    main_with(catalogue, Vec::new())
}

/// The same with commands of the program's own.
pub fn main_with(catalogue: Catalogue, extra: Vec<ExtraCommand>) -> ExitCode {
    let mut session = Session {
        catalogue: &catalogue,
        extra: &extra,
        runner: &squall_engine::run::run_with,
        out: Output::new(Box::new(io::stdout())),
        err: Output::new(Box::new(io::stderr())),
        style: Style::of_stdout(),
        bars: io::stderr().is_terminal(),
        failures: PathBuf::from("failures"),
        step: annotate::Step::of_environment(),
    };
    ExitCode::from(session.serve(std::env::args_os()) as u8)
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    Survived = 0,
    Failed = 1,
    Usage = 2,
}

impl Exit {
    fn survived_if(survived: bool) -> Self {
        if survived {
            Exit::Survived
        } else {
            Exit::Failed
        }
    }
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// A command of the program's own has failed.
    #[error(transparent)]
    Extra(#[from] ExtraCommandError),
    /// What was asked for makes no sense here.
    #[error("{0}")]
    Usage(String),
    /// A name on the command line stands for nothing.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The plan can't be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan is not for this scenario.
    #[error("{scenario}: {wrong}")]
    Misplaced { scenario: String, wrong: PlanError },
    /// A file of measurements can't be used.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// The log of a long campaign can't be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The corpus can't be read or written.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// The failure file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something can't be written into a directory.
    #[error("cannot write into {directory}: {source}; choose a directory that may be written to")]
    Unwritable {
        directory: String,
        source: io::Error,
    },
    /// The result could not be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    /// A file could not be written: what was run is told, and lost.
    #[error("cannot write {}: {error}; choose a file in a directory that is there and may be written to", file.display())]
    Render { file: PathBuf, error: io::Error },
}

impl Refusal {
    fn exit(&self) -> Exit {
        match self {
            // What was run may have failed: to say "bad usage" would hide it.
            Refusal::Output(_)
            | Refusal::Render { .. }
            | Refusal::Unwritable { .. }
            | Refusal::Corpus(CorpusError::Unwritable { .. })
            | Refusal::Lines(LinesError::Lost { .. })
            | Refusal::Log(LogError::Lines(LinesError::Lost { .. })) => Exit::Failed,
            Refusal::Extra(ExtraCommandError::Failed(_) | ExtraCommandError::Output(_)) => {
                Exit::Failed
            }
            _ => Exit::Usage,
        }
    }
}

/// One invocation of the program.
struct Session<'a> {
    catalogue: &'a Catalogue,
    extra: &'a [ExtraCommand],
    runner: Runner<'a>,
    /// Results.
    out: Output,
    /// Errors and timings.
    err: Output,
    style: Style,
    /// Whether stderr shows progress bars.
    bars: bool,
    /// Where failures are written by default.
    failures: PathBuf,
    /// The CI step that the program is part of.
    step: Option<annotate::Step>,
}

impl Session<'_> {
    fn serve(&mut self, args: impl IntoIterator<Item = OsString>) -> Exit {
        let done = match args::parse(self.catalogue, self.extra, args) {
            Ok(Asked::DefaultCampaign) => self.default_campaign(),
            Ok(Asked::Command(Command::Run(args))) => self.run(&args),
            Ok(Asked::Command(Command::Replay(args))) => self.replay(&args),
            Ok(Asked::Command(Command::Fuzz(args))) => self.fuzz(&args),
            Ok(Asked::Command(Command::Merge(args))) => self.merge(&args),
            Ok(Asked::Command(Command::Bugs(args))) => self.bugs(&args),
            Ok(Asked::Command(Command::Sweep(args))) => self.sweep(&args),
            Ok(Asked::Command(Command::Shrink(args))) => self.shrink(&args),
            Ok(Asked::Command(Command::List)) => self.list(),
            Ok(Asked::Extra(index, args)) => self.extra(index, &args),
            Err(asked) if !asked.use_stderr() => write!(self.out, "{asked}")
                .map(|()| Exit::Survived)
                .map_err(Refusal::from),
            Err(wrong) => {
                // Nothing is left to be told if stderr is gone too.
                let _ = write!(self.err, "{wrong}");
                Ok(Exit::Usage)
            }
        };
        let flushed = |exit| self.out.flush().map(|()| exit).map_err(Refusal::from);
        done.and_then(flushed).unwrap_or_else(|refusal| {
            let _ = writeln!(self.err, "error: {refusal}");
            refusal.exit()
        })
    }

    /// Shrinks and saves a failure, if that is wanted.
    fn triage(&self, campaign: &Campaign<'_>, failed: &Failure, triage: &mut Triage) -> Triaged {
        let bar = Bar::shrinking(self.bars, campaign.scenario.name());
        let watch = |progress| bar.shrinks(progress);
        triage.failure(self.runner, campaign, failed, &watch)
    }

    /// Prints a failure with the command that replays it.
    fn tell_failure(
        &mut self,
        campaign: &Campaign<'_>,
        totals: &Totals,
        failed: &Failure,
        triaged: &Triaged,
    ) -> io::Result<()> {
        let replay = [triaged.replay(campaign, failed)];
        let of = (totals, failed);
        let text = triaged.tell(self.runner, campaign, of, &replay, self.style);
        write!(self.out, "{text}")
    }

    /// Prints the seeds of a campaign that gave two different runs.
    fn tell_mismatches(&mut self, campaign: &Campaign<'_>, totals: &Totals) -> io::Result<()> {
        for mismatch in &totals.mismatches {
            let replay = [campaign.replay_of(&mismatch.trial(campaign))];
            let of = (totals, mismatch);
            let text = tell_mismatch(self.runner, campaign, of, &replay, self.style);
            write!(self.out, "\n{text}")?;
        }
        Ok(())
    }
}
