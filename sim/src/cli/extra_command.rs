//! Commands that a program adds to those of the harness.
//!
//! ```no_run
//! use squall::{cli::{self, ExtraCommand, clap}, scenario::Catalogue};
//!
//! fn main() -> std::process::ExitCode {
//!     let greet = ExtraCommand {
//!         command: clap::Command::new("greet").about("Say hello"),
//!         run: Box::new(|_, out| Ok(writeln!(out, "hello")?)),
//!     };
//!     cli::main_with(Catalogue { scenarios: vec![], canary: None }, vec![greet])
//! }
//! ```

use std::io::{self, Write};

use clap::{ArgMatches, Command};

use super::{Exit, Refusal, Session};

/// A command that a program adds: it is listed in the help with the others.
pub struct ExtraCommand {
    /// Its name, arguments and help.
    pub command: Command,
    /// Runs the command. Results go to the writer, which is stdout.
    #[allow(clippy::type_complexity)]
    pub run: Box<dyn Fn(&ArgMatches, &mut dyn Write) -> Result<(), ExtraCommandError>>,
}

/// Why such a command failed. The message should say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ExtraCommandError {
    /// Bad usage; the exit code is 2.
    #[error("{0}")]
    Usage(String),
    /// The command failed; the exit code is 1.
    #[error("{0}")]
    Failed(String),
    /// The result could not be written; the exit code is 1.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl Session<'_> {
    pub(super) fn extra(&mut self, index: usize, args: &ArgMatches) -> Result<Exit, Refusal> {
        (self.extra[index].run)(args, &mut self.out)?;
        Ok(Exit::Survived)
    }
}
