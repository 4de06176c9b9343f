//! The same probes on Linux and on the simulated kernel: what they observe must be equal.

// A call of libc's is unsafe whatever it is given, and the probes give them everything.
#![allow(clippy::macro_metavars_in_unsafe)]

mod datagrams;
mod files;
mod mappings;
mod readiness;
mod signals;
mod sockets;
mod threads;
mod unix;

use std::{fmt::Debug, io, time::Duration};

use squall::{Processes, seed::Seed, storm::Plan, unmodified};
use squall_core::event::What;

/// Where the two differ, and why that is so.
const EXPLAINED: &[(&str, &str)] = &[
    (
        "bind: from its port",
        "connections leave from a port of the network's choice, also of a socket that was bound to another",
    ),
    (
        "dual stack: v4 to v6 only",
        "a machine has one address: a listener is found by its port alone",
    ),
    (
        "shared mapping, rights: no more",
        "a program's process lets its memory be written to, whatever the file may be opened for",
    ),
];

/// Where processes of one address space differ from programs.
const EXPLAINED_OF_PROCESSES: &[(&str, &str)] = &[
    ("duplicates: at least", NUMBERS),
    ("bad descriptors: dup", NUMBERS),
];

const NUMBERS: &str =
    "no two processes of an address space have the same descriptors, which are told apart by it";

/// What a probe observes, line by line.
pub struct Seen<'a> {
    probe: &'static str,
    tell: &'a mut dyn FnMut(String),
}

impl Seen<'_> {
    fn note(&mut self, what: &str, value: impl Debug) {
        (self.tell)(format!("{}: {what}: {value:?}", self.probe));
    }

    /// Notes what a call gave, or its error.
    fn result<T: Debug>(&mut self, what: &str, result: io::Result<T>) {
        match result {
            Ok(value) => self.note(what, value),
            Err(error) => self.note(what, error_of(&error)),
        }
    }

    /// Notes whether a call succeeded, or its error.
    fn outcome<T>(&mut self, what: &str, result: io::Result<T>) {
        self.result(what, result.map(|_| ()));
    }
}

fn error_of(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{} = {error}", number),
        None => format!("{:?}", error.kind()),
    }
}

/// A call of libc's that says -1 when it fails.
#[macro_export]
macro_rules! call {
    ($name:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the probes hand over valid descriptors, or ones that must be refused, and buffers that are there.
        $crate::checked(unsafe { libc::$name($($argument),*) } as i64)
    };
}

fn checked(result: i64) -> io::Result<i64> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// Long enough for what is under way to arrive.
fn settle() {
    std::thread::sleep(Duration::from_millis(30));
}

type Probe = (&'static str, fn(&mut Seen));

fn probes() -> Vec<Probe> {
    let all = [
        sockets::PROBES,
        datagrams::PROBES,
        readiness::PROBES,
        files::PROBES,
        mappings::PROBES,
        threads::PROBES,
        signals::PROBES,
        unix::PROBES,
    ];
    all.concat()
}

fn observe((name, probe): Probe, tell: &mut dyn FnMut(String)) {
    let mut seen = Seen { probe: name, tell };
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| probe(&mut seen)));
    if ended.is_err() {
        seen.note("panics", "");
    }
}

fn on_linux(probe: Probe) -> Vec<String> {
    let thread = std::thread::spawn(move || {
        let mut lines = Vec::new();
        observe(probe, &mut |line| lines.push(line));
        lines
    });
    thread.join().expect("panics are caught")
}

const MARK: &str = "seen ";

fn tell(probe: Probe) {
    observe(probe, &mut |line| println!("{MARK}{line}"));
}

fn program() {
    let ordinal: usize = std::env::var("PROBE").map_or(0, |n| n.parse().unwrap_or(0));
    tell(probes()[ordinal]);
    loop {
        std::thread::park();
    }
}

/// Everything that a run's processes have told, and what the run found wrong.
fn simulated(build: impl Fn(&squall::Sim) + Send + Sync + 'static) -> Vec<String> {
    let outcome = squall::storms("parity")
        .plan(Plan::calm())
        .one(Seed(1), build);
    let mut lines = Vec::new();
    for event in outcome.trace.iter().flat_map(|trace| &trace.events) {
        if let What::Log { message, .. } = &event.what {
            match message.strip_prefix(MARK) {
                Some(line) => lines.push(line.to_owned()),
                None => eprintln!("{message}"),
            }
        }
    }
    for violation in &outcome.violations {
        lines.push(format!("finding: {violation:?}"));
    }
    lines
}

/// What of a line says which observation it is.
fn key(line: &str) -> &str {
    let mut colons = line.match_indices(": ").map(|(at, _)| at);
    &line[..colons.nth(1).unwrap_or(line.len())]
}

/// Runs all probes in both ways; each observation that differs, and is not explained, is told.
fn compare(explained: &[(&str, &str)], simulated: impl Fn(usize) -> Vec<String>) {
    // A storm's process has a copy of all descriptors: what is closed meanwhile on Linux is still open there.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let (mut differences, mut count) = (String::new(), 0);
    for (ordinal, probe) in probes().into_iter().enumerate() {
        let (here, there) = (on_linux(probe), simulated(ordinal));
        count += here.len();
        let is_explained = |line: &str| explained.iter().any(|(known, _)| key(line) == *known);
        for line in there
            .iter()
            .filter(|line| !here.contains(line) && !is_explained(line))
        {
            let linux: Vec<_> = here
                .iter()
                .filter(|other| key(other) == key(line))
                .collect();
            differences += &format!("simulated: {line}\n    Linux: {linux:?}\n");
        }
        let missing: Vec<_> = here
            .iter()
            .filter(|line| !there.iter().any(|other| key(other) == key(line)))
            .filter(|line| !is_explained(line))
            .collect();
        if !missing.is_empty() {
            differences += &format!("{}: missing: {missing:?}\n", probe.0);
        }
    }
    eprintln!("{count} observations");
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn a_program_observes_what_it_would_on_linux() {
    compare(EXPLAINED, |ordinal| {
        simulated(move |sim| {
            sim.program("probes", program)
                .env("PROBE", ordinal.to_string());
            sim.client("waits", async |client: squall::Client| {
                client.sleep(Duration::from_secs(30)).await;
            });
        })
    });
}

#[test]
fn a_process_observes_what_it_would_on_linux() {
    compare(&[EXPLAINED, EXPLAINED_OF_PROCESSES].concat(), |ordinal| {
        simulated(move |sim| {
            let probe = probes()[ordinal];
            sim.client(
                "probes",
                unmodified(async move |_: squall::Client| tell(probe)),
            );
        })
    });
}
