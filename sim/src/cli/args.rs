//! The arguments.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

use squall_core::{
    seed::{Seed, Seeds},
    time::VirtualTime,
};
use squall_engine::{run::this_program, scenario::Catalogue};
use squall_explore::{fuzz::Shard, shrink::Budget, strategy::Strategy};

use super::{ExtraCommand, duration, number::whole};

#[derive(Debug, Parser)]
#[command(
    version,
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
    /// Run one seed, or the failure of a file, again and tell everything about it
    Replay(ReplayArgs),
    /// Try every kind of fault at every site of a scenario, then pairs of faults
    Sweep(SweepArgs),
    /// Run storms until time is up; can be stopped, gone on with and split over machines
    Fuzz(FuzzArgs),
    /// Unite what several `fuzz --out` directories found into one report
    Merge(MergeArgs),
    /// Measure how quickly each strategy finds each bug that can be planted
    #[command(alias = "bank")]
    Bugs(BugsArgs),
    /// Make the failure of a file smaller
    Shrink(ShrinkArgs),
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
    #[arg(long, value_name = "J", value_parser = whole::<u16>(1..=1024), allow_hyphen_values = true)]
    pub jobs: Option<u16>,
    #[command(flatten)]
    pub variant: Variant,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// End at the first seed that fails
    #[arg(long)]
    pub stop_at_first: bool,
    /// With `--explore guided`: begin with the storms kept in this folder, and keep there what covers something new
    #[arg(long, value_name = "DIR")]
    pub corpus: Option<PathBuf>,
    /// Write a report as an HTML page, and beside it a page for each distinct failure
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show failures as they were found; with --out they are written so, too
    #[arg(long, conflicts_with_all = ["budget", "max_runs"])]
    pub no_shrink: bool,
    #[command(flatten)]
    pub shrinking: Shrinking,
}

/// What making a failure small may cost, and where it is written.
#[derive(Debug, Default, Args)]
pub(super) struct Shrinking {
    /// Real time for making one failure small [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = budget, allow_hyphen_values = true)]
    pub budget: Option<Duration>,
    /// Runs for making one failure small [default: 1000]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX), allow_hyphen_values = true)]
    pub max_runs: Option<u64>,
    /// Where failures are written [default: failures; for `shrink` beside the file]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Shrinking {
    pub fn budget(&self) -> Budget {
        let usual = Budget::default();
        Budget {
            runs: self.max_runs.unwrap_or(usual.runs),
            time: self.budget.unwrap_or(usual.time),
            jobs: usual.jobs,
        }
    }
}

fn budget(text: &str) -> Result<Duration, String> {
    let read = text.parse::<VirtualTime>().ok();
    read.map(VirtualTime::since_start).ok_or_else(|| {
        format!("'{text}' is no time: write seconds (10s), minutes (2min) or milliseconds (500ms)")
    })
}

#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    /// A failure file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Worker threads; one for each processor if not said
    #[arg(long, value_name = "J", value_parser = whole::<u16>(1..=1024), allow_hyphen_values = true)]
    pub jobs: Option<u16>,
    #[command(flatten)]
    pub shrinking: Shrinking,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The scenario, or a failure file
    #[arg(value_name = "SCENARIO|FILE")]
    pub what: String,
    /// The seed; a failure file has its own
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub seed: Option<Seed>,
    #[command(flatten)]
    pub variant: Variant,
    /// Print everything that happened
    #[arg(long)]
    pub trace: bool,
    /// Print every store at this virtual time (361.04, 1.25s, 250ms), and what the last commit before it changed
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub at: Option<VirtualTime>,
    #[command(flatten)]
    pub render: RenderArgs,
}

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// The scenario
    pub scenario: String,
    /// The seed whose workload is swept
    #[arg(
        long,
        value_name = "S",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub seed: Seed,
    /// Sweep the workloads of several seeds: sites that are alike are tried once for each length of faults
    #[arg(
        long,
        value_name = "N|A..B",
        allow_hyphen_values = true,
        conflicts_with = "seed"
    )]
    pub seeds: Option<Seeds>,
    /// A shape of the scenario (see `list`); its first if not said
    #[arg(long)]
    pub shape: Option<String>,
    /// Plant a bug of the scenario (see `list`)
    #[arg(long, value_name = "BUG")]
    pub plant: Option<String>,
    /// After single faults, try this many pairs
    #[arg(
        long,
        value_name = "BUDGET",
        default_value_t = 0,
        value_parser = whole::<u32>(0..=u64::from(u32::MAX)),
        allow_hyphen_values = true
    )]
    pub pairs: u32,
    /// Worker threads; one for each processor if not said
    #[arg(long, value_name = "J", value_parser = whole::<u16>(1..=1024), allow_hyphen_values = true)]
    pub jobs: Option<u16>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// End at the first storm that breaks something
    #[arg(long)]
    pub stop_at_first: bool,
    /// Show failures as they were found; with --out they are written so, too
    #[arg(long, conflicts_with_all = ["budget", "max_runs"])]
    pub no_shrink: bool,
    #[command(flatten)]
    pub shrinking: Shrinking,
    /// Write a report as an HTML page, with a map of sites and faults, and beside it a page for each distinct failure
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Files that show one run.
#[derive(Debug, Default, Args)]
pub(super) struct RenderArgs {
    /// Write the run as one HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the run as a trace file for ui.perfetto.dev
    #[arg(long, value_name = "FILE")]
    pub perfetto: Option<PathBuf>,
}

impl RenderArgs {
    /// Whether any is wanted: they need the whole trace.
    pub fn wanted(&self) -> bool {
        self.html.is_some() || self.perfetto.is_some()
    }
}

#[derive(Debug, Args)]
pub(super) struct FuzzArgs {
    /// The scenarios; all of them if none is named. They take turns
    pub scenarios: Vec<String>,
    /// A shape of the scenario (see `list`); its first if not said
    #[arg(long)]
    pub shape: Option<String>,
    /// Plant a bug of the scenario (see `list`)
    #[arg(long, value_name = "BUG")]
    pub plant: Option<String>,
    /// How storms are found
    #[arg(long, value_name = "STRATEGY", value_parser = seed_strategy(), default_value_t)]
    pub explore: Strategy,
    /// Begin no run after this much real time: 90s, 30m, 8h; 30m if neither this nor --runs is said. A failure that is
    /// found at its end is still made small for a second
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse, allow_hyphen_values = true)]
    pub time: Option<Duration>,
    /// End after this many seeds of each scenario, all shards and all sittings counted
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=u64::MAX), allow_hyphen_values = true)]
    pub runs: Option<u64>,
    /// The first seed of the range that the shards share
    #[arg(
        long,
        value_name = "SEED",
        default_value = "0",
        allow_hyphen_values = true
    )]
    pub from: Seed,
    /// This machine's part of the range: I of N, the first being 0
    #[arg(
        long,
        value_name = "I/N",
        default_value = "0/1",
        allow_hyphen_values = true
    )]
    pub shard: Shard,
    /// Keep what was done in this directory, and go on with what it holds
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// With `--explore guided`: the storms that cover something new; DIR/corpus of --out if not said
    #[arg(long, value_name = "DIR")]
    pub corpus: Option<PathBuf>,
    /// Worker threads; one for each processor if not said
    #[arg(long, value_name = "J", value_parser = whole::<u16>(1..=1024), allow_hyphen_values = true)]
    pub jobs: Option<u16>,
}

impl FuzzArgs {
    /// What is built and how it is explored.
    pub fn variant(&self) -> Variant {
        Variant {
            shape: self.shape.clone(),
            plant: self.plant.clone(),
            plan: None,
            explore: self.explore,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Directories that `fuzz --out` has written
    #[arg(required = true, value_name = "DIR")]
    pub logs: Vec<PathBuf>,
    /// Keep the united log and the report, as text and JSON, in this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the report as an HTML page too, and beside it a page for each failure whose file is there and still fails
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub(super) struct BugsArgs {
    /// The scenarios; all of them if none is named
    pub scenarios: Vec<String>,
    /// The strategies to compare; all of them if none is named
    #[arg(long, alias = "ways", value_name = "STRATEGY,..", value_parser = any_strategy, value_delimiter = ',')]
    pub strategies: Vec<Strategy>,
    /// Campaigns for each bug and strategy, with seeds of their own
    #[arg(long, value_name = "N", default_value = "5", value_parser = whole::<u64>(1..=1_000), allow_hyphen_values = true)]
    pub campaign_seeds: u64,
    /// Give a campaign up after this many storms
    #[arg(long, value_name = "N", default_value = "2000", value_parser = whole::<u64>(1..=1_000_000), allow_hyphen_values = true)]
    pub cut_off: u64,
    /// Add each measurement to this file as it is done, and do not repeat those that it holds; another build's file is
    /// refused
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Only damage counts: what only a look into a service shows is passed over
    #[arg(long)]
    pub damage: bool,
    /// Do not make the failing storms small
    #[arg(long)]
    pub no_shrink: bool,
    /// Campaigns that are measured at the same time; one for each processor if not said
    #[arg(long, value_name = "J", value_parser = whole::<u16>(1..=1024), allow_hyphen_values = true)]
    pub jobs: Option<u16>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    pub format: BugsFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum BugsFormat {
    /// A table, for people
    #[default]
    Text,
    /// The figures, for scripts
    Json,
    /// A table with a row a bug, for a file
    Markdown,
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
    /// How storms are found
    #[arg(
        long,
        value_name = "STRATEGY",
        value_parser = seed_strategy(),
        default_value_t,
        conflicts_with = "plan"
    )]
    pub explore: Strategy,
}

/// A strategy by its name, the sweep too.
fn any_strategy(name: &str) -> Result<Strategy, String> {
    Strategy::named(name).ok_or_else(|| {
        let names: Vec<&str> = Strategy::ALL.iter().map(|s| s.name()).collect();
        format!("there is no such strategy; there are: {}", names.join(", "))
    })
}

/// A strategy that goes through seeds, by its name.
fn seed_strategy() -> impl TypedValueParser<Value = Strategy> {
    let all = Strategy::ALL.iter().filter(|s| s.goes_by_seeds());
    let values = all.map(|s| PossibleValue::new(s.name()).help(s.about()));
    PossibleValuesParser::new(values)
        .map(|name| Strategy::named(&name).expect("only these names are let through"))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables, for people
    #[default]
    Text,
    /// One JSON object, for scripts
    Json,
    /// JUnit XML, for CI systems: a failing test case for each distinct failure
    Junit,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  everything survived
  1  a violation was found (in a shape that need not survive or with a bug planted, too), a run was stuck, the harness
     failed, a seed gave two different runs, the self-test did not find its bug, or a result (on stdout or in a file)
     could not be written
  2  bad usage";

/// What is to be done.
pub(super) enum Asked {
    /// There is no command.
    DefaultCampaign,
    Command(Command),
    /// The program's own, by its place.
    Extra(usize, ArgMatches),
}

/// Reads the arguments, the program's name first.
pub(super) fn parse(
    catalogue: &Catalogue,
    extra: &[ExtraCommand],
    args: impl IntoIterator<Item = OsString>,
) -> Result<Asked, clap::Error> {
    let own = extra.iter().map(|extra| extra.command.clone());
    let matches = command(catalogue)
        .subcommands(own)
        .try_get_matches_from(args)?;
    if let Some((name, args)) = matches.subcommand()
        && let Some(index) = extra.iter().position(|b| b.command.get_name() == name)
    {
        return Ok(Asked::Extra(index, args.clone()));
    }
    let command = Line::from_arg_matches(&matches)?.command;
    Ok(command.map_or(Asked::DefaultCampaign, Asked::Command))
}

/// The command line with examples that work for this catalogue.
fn command(catalogue: &Catalogue) -> clap::Command {
    let scenario = catalogue.scenarios.first().map_or("SCENARIO", |s| s.name());
    let plant = catalogue
        .canary
        .map(|(scenario, bug)| format!("{scenario} --plant {bug}"))
        .unwrap_or_else(|| format!("{scenario} --plant BUG"));
    let cargo = &this_program();
    let alone = cargo.trim_end_matches(" --");
    let whole = format!(
        "Examples:
  {alone}
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
    let sweep = format!(
        "A calm run is told to name every site that it meets: messages, commits, disk writes and syncs, log events, timers. Sites
that are alike but for whose they are are tried once.

Examples:
  {cargo} sweep {scenario}
  {cargo} sweep {scenario} --seeds 4 --pairs 2000
  {cargo} sweep {plant} --stop-at-first --out failures

{EXIT_CODES}"
    );
    let fuzz = format!(
        "The seeds are dealt to the shards in blocks of 1,024; shards never overlap and together are the whole range.
With --out every step is a line of DIR/log.jsonl, on the disk before the next begins. Ctrl-C keeps what was done;
the same command goes on where it ended, and first tells what was found and not told.

Examples:
  {cargo} fuzz --for 30m --out fuzzing
  {cargo} fuzz {scenario} --runs 100000 --shard 2/8 --out shard-2
  {cargo} fuzz {plant} --for 60s

{EXIT_CODES}"
    );
    let merge = format!(
        "Examples:
  {cargo} merge shard-0 shard-1 shard-2 --out nightly
  {cargo} merge fuzzing --format json

{EXIT_CODES}"
    );
    let bugs = format!(
        "Every bug of the scenarios is planted into their first shape and looked for by each strategy, in several campaigns.

Examples:
  {cargo} bugs
  {cargo} bugs {scenario} --strategies random,swarm --resume bugs.jsonl
  {cargo} bugs --resume bugs.jsonl --format markdown

Exit codes:
  0  every bug was found by some strategy
  1  a bug was found by none, or the measuring was stopped before its end
  2  bad usage"
    );
    let replay = format!(
        "The same arguments print the same bytes to stdout every time; timings go to stderr.

Examples:
  {cargo} replay {scenario} --seed 42
  {cargo} replay {plant} --seed 7 --trace
  {cargo} replay {plant} --seed 7 --html run.html --perfetto run.json
  {cargo} replay {scenario} --seed 42 --plan storm.json --trace
  {cargo} replay failures/FAILURE.json --trace
  {cargo} replay failures/FAILURE.json --at 1.25s

{EXIT_CODES}

Exit codes of a failure file:
  0  the failure does not happen any more with this build
  1  it happens as recorded; or something else happens; or this very build gave another run before (not deterministic);
     or a page or trace file could not be written
  2  bad usage: the file can't be used, or the scenario is gone

To find the commit that brought a failure:
  git bisect start BAD GOOD
  git bisect run sh -c 'cargo build --release || exit 125
    target/release/squall replay /tmp/FAILURE.json; code=$?; [ $code = 2 ] && exit 125; exit $code'
(125 skips what can't be built or can't run the file.)"
    );
    let shrink = format!(
        "The smaller failure replaces the file of its name in the directory.

Examples:
  {cargo} shrink failures/FAILURE.json --budget 2min --max-runs 100000
  {cargo} shrink failures/FAILURE.json --out smaller --jobs 1

Exit codes:
  0  the failure was made small, or is as small as it gets
  1  it does not happen any more, or the harness failed
  2  bad usage"
    );
    Line::command()
        .after_help(whole)
        .mut_subcommand("run", |c| c.after_help(run))
        .mut_subcommand("sweep", |c| c.after_help(sweep))
        .mut_subcommand("fuzz", |c| c.after_help(fuzz))
        .mut_subcommand("merge", |c| c.after_help(merge))
        .mut_subcommand("bugs", |c| c.after_help(bugs))
        .mut_subcommand("replay", |c| c.after_help(replay))
        .mut_subcommand("shrink", |c| c.after_help(shrink))
}
