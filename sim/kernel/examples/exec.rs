//! Runs an executable in the simulated kernel, and ends as it does: `exec [OPTION].. NAME ARGUMENTS..`.
//!
//! `--disk TAR` puts an archive's files on its disk first, `--keep TAR` writes what the disk holds at the end,
//! `--env NAME=VALUE` sets an environment variable, `--for SECONDS` gives it so much virtual time (an hour),
//! `--seed SEED` draws another run, and `--trace` tells what happened.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Client, Node, Sim,
    run::Verdict,
    seed::Seed,
    storm::Plan,
    trace::{What, text},
};
use squall_core::event::Level;
use squall_engine::disk::Snapshot;
use squall_kernel::{Command, prepare_programs};

struct Options {
    disk: Option<String>,
    keep: Option<String>,
    environment: Vec<(String, String)>,
    time: Duration,
    seed: u64,
    traces: bool,
    command: Vec<String>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        disk: None,
        keep: None,
        environment: Vec::new(),
        time: Duration::from_secs(3600),
        seed: 1,
        traces: false,
        command: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} what?"));
        let number = |text: String| text.parse().map_err(|_| format!("{text} is no number"));
        match argument.as_str() {
            "--disk" => options.disk = Some(value()?),
            "--keep" => options.keep = Some(value()?),
            "--env" => {
                let said = value()?;
                let (name, value) = said.split_once('=').unwrap_or((&said, ""));
                options.environment.push((name.into(), value.into()));
            }
            "--for" => options.time = Duration::from_secs(number(value()?)?),
            "--seed" => options.seed = number(value()?)?,
            "--trace" => options.traces = true,
            _ => options.command.push(argument),
        }
        if !options.command.is_empty() {
            options.command.extend(&mut arguments);
        }
    }
    match options.command.is_empty() {
        true => Err("run what?".into()),
        false => Ok(options),
    }
}

/// Runs it on its node, and then keeps what there is to keep.
async fn carry_out(options: &Options, node: &Node) -> Result<(), String> {
    if let Some(disk) = &options.disk {
        let archive = std::fs::read(disk).map_err(|error| format!("{disk}: {error}"))?;
        let snapshot =
            Snapshot::from_tar(archive.leak()).map_err(|error| format!("{disk}: {error}"))?;
        node.disk().begin_with(&snapshot);
    }
    let environment = options.environment.iter().cloned();
    let command = Command::new(&options.command[0]).arguments(&options.command[1..]);
    let command = environment.fold(command, |command, (name, value)| command.env(name, value));
    let ended = command.run(node.clone()).await;
    if let Some(keep) = &options.keep {
        let archive = node.disk().snapshot().to_tar();
        let written = archive.and_then(|archive| std::fs::write(keep, archive));
        written.map_err(|error| format!("{keep}: {error}"))?;
    }
    ended
}

fn build(sim: &Sim, options: &Arc<Options>) {
    prepare_programs().expect("a process for programs can be made");
    let ended = Arc::new(Mutex::new(None));
    let (tells, options_of_node, time) = (ended.clone(), options.clone(), options.time);
    sim.node("machine", move |node: Node| {
        let (tells, options) = (tells.clone(), options_of_node.clone());
        async move {
            let how = carry_out(&options, &node).await;
            *tells.lock().expect("nobody panics with it") = Some(how);
            std::future::pending::<Result<(), String>>().await
        }
    });
    sim.client("waits", async move |client: Client| {
        const OFTEN: Duration = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while ended.lock().expect("nobody panics with it").is_none() && waited < time {
            client.sleep(OFTEN).await;
            waited += OFTEN;
        }
        let how = ended.lock().expect("nobody panics with it").take();
        match how.unwrap_or_else(|| Err("its time is over".into())) {
            Ok(()) => {}
            Err(why) => panic!("{why}"),
        }
    });
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => Arc::new(options),
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let outcome = squall::storms("exec")
        .plan(Plan::calm())
        .one(Seed(options.seed), |sim: &Sim| build(sim, &options));
    let trace = outcome.trace.as_ref().expect("it is kept");
    match options.traces {
        true => println!("{}", text::render(trace, &text::Options::default())),
        false => {
            for event in &trace.events {
                match &event.what {
                    What::Log {
                        level: Level::Out,
                        message,
                        ..
                    } => println!("{message}"),
                    What::Log {
                        level: Level::Err,
                        message,
                        ..
                    } => eprintln!("{message}"),
                    _ => {}
                }
            }
        }
    }
    for violation in &outcome.violations {
        eprintln!("{}: {}", violation.invariant, violation.found);
    }
    match outcome.verdict {
        Verdict::Survived => ExitCode::SUCCESS,
        Verdict::Violated => ExitCode::FAILURE,
        other => {
            eprintln!("{other:?}");
            ExitCode::FAILURE
        }
    }
}
