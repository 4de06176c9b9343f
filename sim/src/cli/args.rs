//! The arguments.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, builder::PossibleValue,
};

use crate::{campaign::Seeds, explore::Way, scenario::Catalogue, seed::Seed};

#[derive(Debug, Parser)]
#[command(
    about = "Seeded storms over a whole system of services",
    long_about = "Seeded storms over a whole system of services inside one process.\n\nWithout a command: storms over \
                  every scenario in every shape that must survive, then the self-test: a known bug is planted and has \
                  to be found.",
    disable_help_subcommand = true
)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run storms over scenarios, a seed each
    Run(RunArgs),
    /// Run one seed again and tell everything about it
    Replay(ReplayArgs),
    /// List the scenarios with their shapes and the bugs that can be planted
    List,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The scenarios; all of them if none is named
    pub scenarios: Vec<String>,
    /// A count (1000 for the seeds 0..1000) or a range (200..300, 200..=299)
    #[arg(
        long,
        value_name = "N|A..B",
        default_value = "1000",
        allow_hyphen_values = true
    )]
    pub seeds: Seeds,
    /// Worker threads; one for each processor if not said
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    #[command(flatten)]
    pub variant: Variant,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// End at the first seed that fails
    #[arg(long)]
    pub stop_at_first: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The scenario
    pub scenario: String,
    /// The seed
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub seed: Seed,
    #[command(flatten)]
    pub variant: Variant,
    /// Print everything that happened
    #[arg(long)]
    pub trace: bool,
}

/// Which system is built, and the storm over it.
#[derive(Debug, Args)]
pub(super) struct Variant {
    /// A shape of the scenario (see `list`); its first if not said
    #[arg(long)]
    pub shape: Option<String>,
    /// Plant a bug of the scenario (see `list`)
    #[arg(long, value_name = "BUG")]
    pub plant: Option<String>,
    /// Read the storm from a file, for every seed the same; else each seed draws its own
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// How storms are found: random (from all kinds of fault) or swarm (each seed first draws its kinds)
    #[arg(
        long,
        value_name = "WAY",
        value_enum,
        default_value_t,
        conflicts_with = "plan"
    )]
    pub explore: Way,
}

impl ValueEnum for Way {
    fn value_variants<'a>() -> &'a [Self] {
        Way::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables, for people
    #[default]
    Text,
    /// One JSON object, for scripts
    Json,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  everything survived
  1  a violation was found (in a shape that need not survive or with a bug planted, too), a run was stuck, the harness
     failed, a seed gave two different runs, or the self-test did not find its bug
  2  bad usage";

/// Reads the arguments, the program's name first. `None`: there is no command.
pub(super) fn parse(
    catalogue: &Catalogue,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Option<Command>, clap::Error> {
    let matches = command(catalogue).try_get_matches_from(args)?;
    Ok(Line::from_arg_matches(&matches)?.command)
}

/// The command line with examples that work for this catalogue.
fn command(catalogue: &Catalogue) -> clap::Command {
    let scenario = catalogue.scenarios.first().map_or("SCENARIO", |s| s.name());
    let plant = catalogue
        .canary
        .map(|(scenario, bug)| format!("{scenario} --plant {bug}"))
        .unwrap_or_else(|| format!("{scenario} --plant BUG"));
    let cargo = "cargo run --release --";
    let whole = format!(
        "Examples:
  cargo run --release
  {cargo} run {scenario} --seeds 20000
  {cargo} run {plant} --stop-at-first
  {cargo} replay {scenario} --seed 42 --trace

{EXIT_CODES}"
    );
    let run = format!(
        "Examples:
  {cargo} run
  {cargo} run {scenario} --seeds 5000..6000 --jobs 1
  {cargo} run {plant} --seeds 2000 --stop-at-first
  {cargo} run {scenario} --plan storm.json --seeds 100 --format json

{EXIT_CODES}"
    );
    let replay = format!(
        "The same arguments print the same bytes to stdout every time; timings go to stderr.

Examples:
  {cargo} replay {scenario} --seed 42
  {cargo} replay {plant} --seed 7 --trace
  {cargo} replay {scenario} --seed 42 --plan storm.json --trace

{EXIT_CODES}"
    );
    Line::command()
        .after_help(whole)
        .mut_subcommand("run", |c| c.after_help(run))
        .mut_subcommand("replay", |c| c.after_help(replay))
}
