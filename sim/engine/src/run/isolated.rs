//! Runs in a process of their own: what comes back from them.

use serde::{Serialize, de::DeserializeOwned};

use squall_core::{
    event::{Event, Kind, Scope, What},
    time::VirtualTime,
};

use super::{Options, Outcome, Verdict, add_cpu_time};
use crate::{
    check::{Class, Violation},
    isolation::{Child, End, Isolation, Turn},
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
        let Turn { node, at, goes_on } = child.last_turn.clone().unwrap_or_default();
        // The last that is known.
        let at = VirtualTime(at);
        let whose = match (&*node, goes_on) {
            ("", _) => String::new(),
            (node, true) => format!(", while {node} had its turn"),
            (node, false) => format!(", after a turn of {node}"),
        };
        let found = found + &whose;
        let trace = options.full.then(|| trace(child, &node, at, &found));
        let violation = Violation {
            invariant: INVARIANT.to_owned(),
            tag: tag.to_owned(),
            class: Class::Damage,
            at,
            entities: Some(node)
                .filter(|node| !node.is_empty())
                .into_iter()
                .collect(),
            expected: "the run goes on to its end".to_owned(),
            found,
        };
        Outcome {
            verdict: Verdict::Violated,
            violations: vec![violation],
            faults: faults(&plan, trace.as_ref()),
            ended: at,
            trace,
            ..Outcome::harness_failed(plan, String::new())
        }
    }
}

/// All that a child told of its run, with its end.
fn trace(child: &Child, node: &str, at: VirtualTime, found: &str) -> Trace {
    let mut trace = Trace::told(&child.told);
    *trace.counts.entry(Kind::Violation).or_default() += 1;
    trace.events.push(Event {
        index: trace.events.len() as u64,
        at: trace.events.last().map_or(at, |event| event.at.max(at)),
        node: node.to_owned(),
        scope: Scope::NONE,
        what: What::Violation {
            invariant: INVARIANT.into(),
            detail: found.to_owned().into(),
        },
    });
    trace
}

/// Which faults have fired, as far as the trace tells. Nobody lives who knows what they touched.
fn faults(plan: &Plan, trace: Option<&Trace>) -> Vec<FaultReport> {
    let fired = |ordinal: usize| {
        let mut events = trace.iter().flat_map(|trace| &trace.events);
        let fires =
            |event: &&Event| matches!(event.what, What::Fault { index, .. } if index == ordinal);
        events.find(fires).map(|event| event.at)
    };
    let report = |(ordinal, fault): (usize, &Fault)| FaultReport {
        fault: fault.clone(),
        fired: fired(ordinal),
        site: None,
        effective: false,
    };
    (0..).zip(&plan.faults).map(report).collect()
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
