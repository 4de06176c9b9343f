//! `squall sync-windows`: how long the challenge service shows what the catalog has changed already, by mode and storm.

use std::{fs, io::Write, path::PathBuf};

use squall::cli::{
    ExtraCommand, ExtraCommandError,
    clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser, value_parser},
};

use crate::experiments::sync_windows::{measure::measure, page, table};

const HELP: &str = "\
Every way of product sync (live, cache, and events by webhook, pub/sub and stream) runs through the same storms: calm,
partition (the challenge service is cut off from catalog and bus), crash of catalog, crash of challenge, lost notices,
and random ones. A window lasts from the catalog's commit of a version to the instant from which the challenge service's
own state would answer with it or a later one. The same arguments give the same table.

Examples:
  cargo run --release -- sync-windows
  cargo run --release -- sync-windows --seeds 100 --format markdown
  cargo run --release -- sync-windows --html windows.html

Exit codes:
  0  measured
  1  a run broke an invariant, or a file could not be written
  2  bad usage";

/// The command.
pub fn brought() -> ExtraCommand {
    let command = Command::new("sync-windows")
        .about("Measure the inconsistency windows of product sync, by mode and storm")
        .after_help(HELP)
        .arg(
            Arg::new("seeds")
                .long("seeds")
                .value_name("N")
                .help("Seeds of each storm and mode")
                .default_value("20")
                .value_parser(value_parser!(u64).range(1..=100_000)),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .help("How the table is written")
                .default_value("text")
                .value_parser(PossibleValuesParser::new(["text", "json", "markdown"])),
        )
        .arg(
            Arg::new("html")
                .long("html")
                .value_name("FILE")
                .help("Write the distribution of the windows, and the table, as an HTML page")
                .value_parser(value_parser!(PathBuf)),
        );
    ExtraCommand {
        command,
        run: Box::new(carry_out),
    }
}

fn carry_out(args: &ArgMatches, out: &mut dyn Write) -> Result<(), ExtraCommandError> {
    let seeds = *args.get_one::<u64>("seeds").expect("it has a default");
    let format = args.get_one::<String>("format").expect("it has a default");
    let cells = measure(seeds).map_err(ExtraCommandError::Failed)?;
    match format.as_str() {
        "json" => writeln!(out, "{:#}", table::json(&cells, seeds))?,
        "markdown" => write!(out, "{}", table::markdown(&cells))?,
        _ => write!(out, "{}", table::text(&cells))?,
    }
    if let Some(file) = args.get_one::<PathBuf>("html") {
        fs::write(file, page::html(&cells, seeds)).map_err(|error| {
            ExtraCommandError::Failed(format!(
                "cannot write {}: {error}; choose a file in a directory that is there and may be written to",
                file.display()
            ))
        })?;
    }
    Ok(())
}
