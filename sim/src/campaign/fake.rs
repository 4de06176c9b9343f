//! A scenario without a world, and a runner that makes its outcomes up: each is a function of its spec.

use std::collections::BTreeMap;

use crate::{
    check::{Class, Violation},
    fault::Restart,
    run::{Options, Outcome, Sim, Spec, Verdict},
    scenario::{Bug, Scenario, Setup, Shape},
    site::{Kind, Met, Site},
    storm::{Fault, FaultReport, Plan, Profile, When},
    time::VirtualTime,
    trace::{Mode, Recorder, Scope, Trace, What},
};

pub(crate) struct Fake {
    pub name: &'static str,
}

pub(crate) const BANK: Fake = Fake { name: "bank" };

impl Scenario for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        "two tellers and a vault"
    }

    fn shapes(&self) -> Vec<Shape> {
        let shape = |name, must_survive| Shape {
            name,
            about: "a shape",
            must_survive,
        };
        match self.name {
            "shop" => vec![shape("hardened", true), shape("in-a-hurry", true)],
            _ => vec![shape("hardened", true), shape("documented", false)],
        }
    }

    fn bugs(&self) -> Vec<Bug> {
        let bug = |name| Bug {
            name,
            about: "a bug",
        };
        match self.name {
            "shop" => vec![bug("oversells")],
            _ => vec![bug("forgets"), bug("invisible")],
        }
    }

    fn profile(&self) -> Profile {
        Profile::new(&["vault"], &[("teller", "vault")])
    }

    fn build(&self, _: &Sim, _: &Setup) {
        unreachable!("no world is built for a fake")
    }
}

/// Survives, unless a bug other than `invisible` is planted: then seeds 10, 20, 30 ... lose money, 15, 45 ...
/// lose more of it, and 25, 55 ... never end. The `documented` shape breaks with seed 3.
pub(crate) fn run(scenario: &dyn Scenario, spec: &Spec, options: Options) -> Outcome {
    let seed = spec.seed.0;
    let buggy = matches!(spec.plant.as_deref(), Some(bug) if bug != "invisible");
    let verdict = match seed {
        3 if spec.shape == "documented" => Verdict::Violated,
        0 => Verdict::Survived,
        _ if buggy && (seed.is_multiple_of(10) || seed % 30 == 15) => Verdict::Violated,
        _ if buggy && seed % 30 == 25 => Verdict::Stuck("a teller waits for ever".to_owned()),
        _ => Verdict::Survived,
    };
    let tag = if seed % 30 == 15 { "lot" } else { "little" };
    let violations = match verdict {
        Verdict::Violated => vec![violation(tag, seed)],
        _ => Vec::new(),
    };
    let plan = spec.plan.clone().unwrap_or_else(|| {
        Plan::new(vec![Fault {
            when: When::AtMs(seed),
            action: Restart {
                node: "vault".to_owned(),
            }
            .into(),
        }])
    });
    let report = |fault: &Fault| FaultReport {
        fault: fault.clone(),
        fired: Some(VirtualTime(seed.saturating_mul(1_000_000))),
        site: None,
        effective: seed.is_multiple_of(2),
    };
    let trace = options.full.then(|| trace(seed, &violations));
    Outcome {
        verdict,
        violations,
        invariants: BTreeMap::new(),
        hash: crate::seed::mix(seed ^ crate::seed::hash(scenario.name().as_bytes())),
        faults: plan.faults.iter().map(report).collect(),
        sites: if options.census { sites() } else { Vec::new() },
        operations: Vec::new(),
        unmet: plan
            .without
            .iter()
            .filter(|name| *name != "teller")
            .cloned()
            .collect(),
        plan,
        counts: BTreeMap::from([
            ("completed".to_owned(), 3),
            ("compensated".to_owned(), seed % 2),
        ]),
        sometimes: BTreeMap::from([
            ("a seed was odd".to_owned(), seed % 2),
            ("a seed was a thousand".to_owned(), u64::from(seed == 1_000)),
        ]),
        features: Vec::new(),
        ended: VirtualTime(1_000_000_000),
        trace,
    }
}

/// Two commits that are alike, and a sync.
fn sites() -> Vec<Met> {
    let met = |kind, label: &str, alike| Met {
        site: Site {
            node: "vault".to_owned(),
            kind,
            label: label.to_owned(),
            attempt: 1,
        },
        at: VirtualTime::ZERO,
        behalf: label.to_owned(),
        asks: None,
        thing: alike,
        alike,
        ends: 0,
    };
    vec![
        met(Kind::Commit, "teller-1", 1),
        met(Kind::Sync, "teller-1", 2),
        met(Kind::Commit, "teller-2", 1),
    ]
}

/// Twenty boots, then what was broken, then another boot.
fn trace(seed: u64, violations: &[Violation]) -> Trace {
    let mut recorder = Recorder::new(Mode::Full);
    let boot = |n: u64| What::Node {
        event: "boots",
        detail: format!("for the {n}th time, seed {seed}").into(),
    };
    let mut record =
        |ms, what| recorder.record(VirtualTime(ms * 1_000_000), "vault", &Scope::NONE, what);
    (1..=20).for_each(|n| record(n, boot(n)));
    for broken in violations {
        let what = What::Violation {
            invariant: broken.invariant.as_str().into(),
            detail: broken.to_string().into(),
        };
        record(21, what);
    }
    record(22, boot(21));
    recorder.finish()
}

pub(crate) fn violation(tag: &str, seed: u64) -> Violation {
    Violation {
        invariant: "no money is lost".to_owned(),
        tag: tag.to_owned(),
        class: Class::Damage,
        at: VirtualTime(12_003_450_000),
        entities: vec![format!("account {seed}")],
        expected: "100".to_owned(),
        found: "93".to_owned(),
    }
}
