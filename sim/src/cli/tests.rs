//! The command line over fake runs: what it prints where, and its exit codes.

mod ci;
mod default_campaign;
mod files;
mod long;
mod render;
mod replay;
mod run;
mod sweep;
mod usage;

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use serde_json::Value;

use squall_fixtures::{self as fake, Fake};

use super::*;

use squall_core::seed::Seed;
use squall_engine::{
    run::{Options, Outcome, Spec},
    scenario::Scenario,
};

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A stream that fails always in the same way.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn catalogue() -> Catalogue {
    Catalogue {
        scenarios: vec![
            Box::new(Fake { name: "bank" }),
            Box::new(Fake { name: "shop" }),
        ],
        canary: Some(("bank", "forgets")),
    }
}

struct Said {
    exit: Exit,
    out: String,
    err: String,
}

fn squall_with(catalogue: &Catalogue, runner: Runner<'_>, line: &str) -> Said {
    squall_bringing(catalogue, &[], runner, line)
}

fn squall_bringing(
    catalogue: &Catalogue,
    extra: &[ExtraCommand],
    runner: Runner<'_>,
    line: &str,
) -> Said {
    squall_in(None, catalogue, extra, runner, line)
}

fn squall_in(
    step: Option<annotate::Step>,
    catalogue: &Catalogue,
    extra: &[ExtraCommand],
    runner: Runner<'_>,
    line: &str,
) -> Said {
    let (out, err) = (Pipe::default(), Pipe::default());
    let exit = Session {
        catalogue,
        extra,
        runner,
        out: Output::new(Box::new(out.clone())),
        err: Output::new(Box::new(err.clone())),
        style: Style::PLAIN,
        bars: false,
        failures: failures(),
        step,
    }
    .serve(
        ["squall"]
            .into_iter()
            .chain(line.split_whitespace())
            .map(OsString::from),
    );
    Said {
        exit,
        out: out.text(),
        err: err.text(),
    }
}

/// Where the tests write failures.
fn failures() -> PathBuf {
    std::env::temp_dir().join(format!("squall-cli-tests-{}", std::process::id()))
}

/// The command that replays a failure that was written there.
fn replay_of(file: &str) -> String {
    let path = failures().join(file);
    format!(
        "cargo run --release -p squall -- replay {} --trace",
        path.display()
    )
}

fn squall(line: &str) -> Said {
    squall_with(&catalogue(), &fake::run, line)
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is missing in:\n{text}");
    }
}
