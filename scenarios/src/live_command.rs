//! `squall live-storm`: one storm, carried out on real processes.

use std::{io::Write, path::PathBuf, time::Duration};

use squall::{
    cli::{
        ExtraCommand, ExtraCommandError,
        clap::{Arg, ArgMatches, Command, value_parser},
    },
    run::{Outcome, Spec, Verdict},
    seed::Seed,
    storm::{Plan, PlanError},
};

use crate::live_storm::{Place, not_carried_out, otherwise, services_of, storm};

const HELP: &str = "\
The scenario's services run as processes of their own, on real sockets and files, or over a PostgreSQL server, with a
proxy on each link. Clients, operators and invariants are the scenario's; time is real. Faults of a plan that cannot be
carried out on processes are told by name.

Build the processes' program first:
  cargo build --config .cargo/live.toml --release -p squall-services --bin squall-live

Examples:
  cargo run --release -- live-storm order-saga --seed 7
  cargo run --release -- live-storm order-saga --plan plan.json --plant no-journal
  cargo run --release -- live-storm order-saga --seed 7 --store postgres://shop@localhost/shop

Exit codes:
  0  survived
  1  an invariant was broken, or the storm could not be carried out
  2  bad usage";

/// Where cargo puts the program of the processes.
const PROGRAM: &str = "target/live/release/squall-live";

/// The command.
pub fn brought() -> ExtraCommand {
    let command = Command::new("live-storm")
        .about("Carry out one storm on real processes, and judge it by the same invariants")
        .after_help(HELP)
        .arg(
            Arg::new("scenario")
                .value_name("SCENARIO")
                .required(true)
                .help("The scenario"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("S")
                .help("The seed: it draws the workload, and the storm unless a plan is given")
                .default_value("0")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            Arg::new("plan")
                .long("plan")
                .value_name("FILE")
                .help("The storm, as a plan file")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("plant")
                .long("plant")
                .value_name("BUG")
                .help("Plant a bug into the services"),
        )
        .arg(
            Arg::new("store")
                .long("store")
                .value_name("postgres://USER@HOST/DATABASE")
                .help("Keep the rows on a PostgreSQL server: give an empty database"),
        )
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .value_name("SECONDS")
                .help("How long nothing is committed after the storm until what is open is taken for open for ever")
                .default_value("45")
                .value_parser(value_parser!(u64).range(1..=3_600)),
        )
        .arg(
            Arg::new("program")
                .long("program")
                .value_name("FILE")
                .help("The program that the processes run")
                .default_value(PROGRAM)
                .value_parser(value_parser!(PathBuf)),
        );
    ExtraCommand {
        command,
        run: Box::new(carry_out),
    }
}

fn carry_out(args: &ArgMatches, out: &mut dyn Write) -> Result<(), ExtraCommandError> {
    let usage = |error: String| ExtraCommandError::Usage(error);
    let name = args.get_one::<String>("scenario").expect("it is required");
    let catalogue = crate::catalogue();
    let scenario = catalogue.get(name).ok_or_else(|| {
        usage(format!(
            "no scenario is called {name}; `list` tells which there are"
        ))
    })?;
    let place = Place {
        program: args
            .get_one::<PathBuf>("program")
            .expect("it has a default")
            .clone(),
        store: args.get_one::<String>("store").cloned(),
        quiet: Duration::from_secs(*args.get_one::<u64>("quiet").expect("it has a default")),
    };
    if !place.program.exists() {
        return Err(ExtraCommandError::Failed(format!(
            "{} is not there; build it: cargo build --config .cargo/live.toml --release -p squall-services --bin squall-live",
            place.program.display()
        )));
    }
    let seed = *args.get_one::<u64>("seed").expect("it has a default");
    let mut spec = Spec {
        plant: args.get_one::<String>("plant").cloned(),
        ..Spec::of(scenario, Seed(seed))
    };
    if let Some(file) = args.get_one::<PathBuf>("plan") {
        spec.plan = Plan::read(file).map_err(|error| match error {
            PlanError::Unreadable { .. } => ExtraCommandError::Failed(error.to_string()),
            _ => usage(error.to_string()),
        })?;
    }
    let (outcome, kept) = storm(scenario, &spec, &place)?;
    tell(&outcome, services_of(scenario).unwrap_or_default(), out)?;
    match &outcome.verdict {
        Verdict::Survived => Ok(()),
        verdict => Err(ExtraCommandError::Failed(format!("{verdict:?}{kept}"))),
    }
}

/// Tells what became of the storm.
fn tell(outcome: &Outcome, services: &[&str], out: &mut dyn Write) -> std::io::Result<()> {
    for report in &outcome.faults {
        let missed = not_carried_out(&report.fault, services);
        let done = match (missed, report.fired) {
            (Some(what), _) => format!("not carried out: {what}"),
            (None, None) => "did not happen: its site was not met".to_owned(),
            (None, Some(at)) => format!("at {at}{}", otherwise(&report.fault)),
        };
        writeln!(out, "{}: {done}", report.fault)?;
    }
    for violation in &outcome.violations {
        writeln!(out, "VIOLATED {violation}")?;
    }
    for (what, times) in &outcome.counts {
        writeln!(out, "{what}: {times}")?;
    }
    writeln!(out, "{:?} after {}", outcome.verdict, outcome.ended)
}
