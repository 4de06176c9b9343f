//! Runs in a process of their own: what comes back from them.

use serde::{Serialize, de::DeserializeOwned};

use squall_core::time::VirtualTime;

use super::{Options, Outcome, Verdict, add_cpu_time};
use crate::{
    check::{Class, Violation},
    isolation::{Child, End, Isolation},
    storm::{Fault, FaultReport, Plan},
    trace::Trace,
};

/// No process came back with a result.
#[derive(Clone, Debug)]
pub enum Died {
    /// None could be had, or what it said makes no sense.
    Harness(String),
    /// It came to its end before.
    Child(Child),
}

/// The result of work that is done in another process.
///
/// # Errors
/// There is none.
pub fn isolated<T: Serialize + DeserializeOwned>(
    isolation: Isolation,
    work: impl Fn() -> T,
) -> Result<T, Died> {
    // The result is data of the harness's own, which JSON has a form for: its maps are by name, its floats are none.
    let encoded = || serde_json::to_vec(&work()).expect("a result can be written");
    let child = isolation(&encoded)
        .map_err(|error| Died::Harness(format!("no process can be forked: {error}")))?;
    add_cpu_time(child.cpu);
    match &child.end {
        End::Returned(bytes) => serde_json::from_slice(bytes).map_err(|error| {
            Died::Harness(format!("the result of a child can't be read: {error}"))
        }),
        _ => Err(Died::Child(child)),
    }
}

/// What is broken if a run takes its process along.
const INVARIANT: &str = "no run brings its process down";

impl Died {
    /// What the run has given.
    pub fn outcome(&self, plan: Plan, options: Options) -> Outcome {
        let child = match self {
            Died::Harness(why) => return Outcome::harness_failed(plan, why.clone()),
            Died::Child(child) => child,
        };
        let (tag, found) = match &child.end {
            End::Signal(KILL) => {
                let why = "the run's process was killed from outside: is there too little memory?";
                return Outcome::harness_failed(plan, why.to_owned());
            }
            End::Stalled => {
                let why =
                    "the run's process waited for something that never came, three times over";
                return Outcome::harness_failed(plan, why.to_owned());
            }
            End::Returned(_) => ("returned", "an end".to_owned()),
            End::Signal(signal) => (signal_name(*signal), format!("it died by signal {signal}")),
            End::StackOverflow => ("stack overflow", "it used up a stack".to_owned()),
            End::Exit(status) => ("exit", format!("it exited with status {status}")),
            End::Hang(cpu) => {
                let found = format!("no system call within {cpu:?} of CPU time");
                ("hang", found)
            }
        };
        let turn = child.last_turn.clone().unwrap_or_default();
        let whose = match (turn.node.is_empty(), turn.goes_on) {
            (true, _) => String::new(),
            (_, true) => format!(", while {} had its turn", turn.node),
            (_, false) => format!(", after a turn of {}", turn.node),
        };
        let at = VirtualTime(turn.at);
        let violation = Violation {
            invariant: INVARIANT.to_owned(),
            tag: tag.to_owned(),
            class: Class::Damage,
            at,
            entities: Some(turn.node)
                .filter(|node| !node.is_empty())
                .into_iter()
                .collect(),
            expected: "the run goes on to its end".to_owned(),
            found: found + &whose,
        };
        // Nobody lives who knows what became of them.
        let unknown = |fault: &Fault| FaultReport {
            fault: fault.clone(),
            fired: None,
            site: None,
            effective: false,
        };
        Outcome {
            verdict: Verdict::Violated,
            faults: plan.faults.iter().map(unknown).collect(),
            violations: vec![violation],
            ended: at,
            trace: options.full.then(Trace::default),
            programs: true,
            ..Outcome::harness_failed(plan, String::new())
        }
    }
}

const KILL: i32 = 9;

/// The name of a signal by which a process may die through its own fault.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        31 => "SIGSYS",
        _ => "a signal",
    }
}
