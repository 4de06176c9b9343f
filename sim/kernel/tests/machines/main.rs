//! The same client and server on two machines: in network namespaces of Linux with a router between them, and in the
//! simulation. What they observe of cuts, power losses, resets and time must be equal.

mod linux;
mod probes;

use std::{
    env,
    fmt::Debug,
    io,
    sync::OnceLock,
    time::{Duration, Instant},
};

use probes::{PROBES, Probe};
use squall::{
    Processes, Sim,
    fault::{Cut, PowerLoss},
    seed::Seed,
    storm::{Fault, Plan, When},
};
use squall_core::event::What;

/// Where the two differ, and why that is so.
const EXPLAINED: &[(&str, &str)] = &[];

/// What happens to the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing passes between them any more.
    Cut,
    /// Nothing comes from the server any more.
    CutBack,
    /// Everything passes again.
    Heal,
    /// The server's machine loses power.
    PowerLoss,
    /// It is switched on again.
    Boot,
}

/// For longer than any probe.
const FOR_EVER_MS: u64 = 50_000;
const MARK: &str = "seen ";
const READY: &str = "is ready";

/// What a probe observes, line by line: where, what, and the observation.
pub struct Seen(&'static str);

impl Seen {
    fn note(&mut self, what: &str, value: impl Debug) {
        println!("{MARK}{}: {what}: {value:?}", self.0);
    }

    fn result<T: Debug>(&mut self, what: &str, result: io::Result<T>) {
        let error = |error: io::Error| match error.raw_os_error() {
            Some(_) => format!("{error}"),
            None => format!("{:?}", error.kind()),
        };
        match result {
            Ok(value) => self.note(what, value),
            Err(failed) => self.note(what, error(failed)),
        }
    }

    fn outcome<T>(&mut self, what: &str, result: io::Result<T>) {
        self.result(what, result.map(|_| ()));
    }

    fn took(&mut self, what: &str, began: Instant) {
        println!(
            "{MARK}{}: {what}: {} ms",
            self.0,
            began.elapsed().as_millis()
        );
    }
}

/// When this machine's part began.
fn began() -> Instant {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    *BEGAN.get_or_init(Instant::now)
}

/// The server, by name or address.
fn server() -> String {
    env::var("SERVER").expect("it is said")
}

/// Plays the part that the environment says.
fn part() {
    began();
    let name = env::var("PROBE").expect("it is said");
    let found = PROBES.iter().find(|probe| probe.name == name);
    let probe = found.expect("there is such a probe");
    match env::var("PART").as_deref() {
        Ok("client") => (probe.client)(&mut Seen("client")),
        _ => (probe.server)(&mut Seen("server")),
    }
}

/// A part of a simulated run: its machine stays up.
fn program() {
    part();
    std::thread::sleep(Duration::from_secs(1_000));
}

/// The storm that does to simulated machines what the steps say.
fn plan(steps: &[(u64, Step)]) -> Plan {
    let ends = |from: u64, end: Step| {
        let mut later = steps.iter().filter(|(at, step)| *at > from && *step == end);
        later.next().map_or(FOR_EVER_MS, |(at, _)| at - from)
    };
    let fault = |(at, step): &(u64, Step)| {
        let action = match step {
            Step::Cut => Cut::new("client", "server", true, ends(*at, Step::Heal)).into(),
            Step::CutBack => Cut::new("server", "client", false, ends(*at, Step::Heal)).into(),
            Step::PowerLoss => PowerLoss::new("server", ends(*at, Step::Boot)).into(),
            Step::Heal | Step::Boot => return None,
        };
        let when = When::AtMs(*at);
        Some(Fault { when, action })
    };
    Plan::new(steps.iter().filter_map(fault).collect())
}

fn simulated(probe: &'static Probe) -> Vec<String> {
    let storms = squall::storms("machines").plan(plan(probe.steps));
    let outcome = storms.one(Seed(1), move |sim: &Sim| {
        for part in ["server", "client"] {
            let described = sim.program(part, program).env("PROBE", probe.name);
            described.env("PART", part).env("SERVER", "server");
        }
        sim.client("waits", async |client: squall::Client| {
            client.sleep(Duration::from_secs(15)).await;
        });
    });
    let mut lines = Vec::new();
    for event in outcome.trace.iter().flat_map(|trace| &trace.events) {
        if let What::Log { message, .. } = &event.what {
            match message.strip_prefix(MARK) {
                Some(line) => lines.push(line.to_owned()),
                None => eprintln!("{}: {message}", probe.name),
            }
        }
    }
    let violations = outcome.violations.iter();
    lines.extend(violations.map(|found| format!("finding: {found:?}")));
    lines
}

/// A line apart: what is observed, and the observation.
fn apart(line: &str) -> (&str, &str) {
    let mut colons = line.match_indices(": ").map(|(at, _)| at);
    let at = colons.nth(1).unwrap_or(line.len());
    (&line[..at], line[at..].trim_start_matches(": "))
}

/// Whether two observations are the same; a time is, if it is about the same.
fn agree(linux: &str, simulated: &str) -> bool {
    let ms = |text: &str| text.strip_suffix(" ms")?.parse::<i64>().ok();
    match (ms(linux), ms(simulated)) {
        (Some(linux), Some(simulated)) => (linux - simulated).abs() <= 400.max(linux / 10),
        _ => linux == simulated,
    }
}

#[test]
fn two_machines_observe_of_each_other_what_they_would_on_linux() {
    /// Linux is looked at so often: a busy machine is late now and then.
    const LOOKS: usize = 3;
    if env::var("SQUALL_NETNS").is_err() {
        eprintln!("SKIPPED: it takes real time, and root: SQUALL_NETNS=1 runs it");
        return;
    }
    linux::prepare().expect("network namespaces can be made");
    let simulated: Vec<_> = PROBES.iter().map(simulated).collect();
    let mut differences = String::new();
    for _ in 0..LOOKS {
        differences = differ(&linux::run_all(), &simulated);
        if differences.is_empty() {
            return;
        }
    }
    panic!("{differences}");
}

/// In what both differ, as far as it is not explained.
fn differ(on_linux: &[Vec<String>], simulated: &[Vec<String>]) -> String {
    let (mut differences, mut count) = (String::new(), 0);
    for (probe, (linux, simulated)) in PROBES.iter().zip(on_linux.iter().zip(simulated)) {
        if env::var("SQUALL_SHOW").is_ok() {
            eprintln!("{}\n  {linux:#?}\n  {simulated:#?}", probe.name);
        }
        count += linux.len();
        let find = |lines: &[String], key: &str| {
            let found = lines
                .iter()
                .map(|line| apart(line))
                .find(|(other, _)| *other == key);
            found.map(|(_, value)| value.to_owned())
        };
        let mut keys: Vec<&str> = linux.iter().chain(simulated).map(|l| apart(l).0).collect();
        keys.dedup();
        for key in keys {
            let of_both = (find(linux, key), find(simulated, key));
            let is_equal = matches!(&of_both, (Some(a), Some(b)) if agree(a, b));
            let name = format!("{}: {key}", probe.name);
            if !is_equal && !EXPLAINED.iter().any(|(known, _)| *known == name) {
                differences += &format!("{name}: Linux and the simulation: {of_both:?}\n");
            }
        }
    }
    eprintln!("{count} observations");
    differences
}

/// The part of a machine of Linux, as the test above starts it.
#[test]
fn plays_a_part() {
    if env::var("PART").is_ok() {
        println!("{READY}");
        // All parts begin when they are told to: starting them takes its time.
        let _ = io::stdin().read_line(&mut String::new());
        part();
    }
}
