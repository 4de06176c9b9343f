//! Shrinking over made-up runs: whether a plan fails is a function of the plan.

use proptest::prelude::*;

use squall_fixtures::{self as fake, BANK};

use super::*;

use squall_core::{
    event::{Phase, Scope, What},
    fault::{Crash, PowerLoss, SyncError},
    seed::Seed,
    site::{Kind, Met, Site},
};
use squall_engine::{
    run::{Options, Verdict},
    storm::{Action, Fault, FaultKind, FaultReport, Plan, When},
    trace::{Mode, Recorder, Trace},
    world::Operation,
};

mod plans;
mod weaker;

use plans::{NODES, fault, plan};

/// A run that is made up from its plan: each fault fires at its place in the plan, and the clients that do not stay
/// away call for their operations.
fn outcome(spec: &Spec, options: Options, fails: bool) -> Outcome {
    let plan = spec.plan.clone();
    let mut faults = Vec::new();
    for (place, fault) in (1..).zip(&plan.faults) {
        let site = match &fault.when {
            When::Nth { node, kind, .. } => Some(Site::new(node.clone(), kind.clone(), "ann-1", 1)),
            When::Site(site) => Some(site.clone()),
            When::AtMs(_) => None,
        };
        faults.push(FaultReport {
            fault: fault.clone(),
            fired: Some(VirtualTime(place)),
            site,
            effective: true,
        });
    }
    let made_up = fake::run(&BANK, spec, options);
    Outcome {
        verdict: if fails {
            Verdict::Violated
        } else {
            Verdict::Survived
        },
        violations: fails
            .then(|| fake::violation("little", 1))
            .into_iter()
            .collect(),
        faults,
        operations: operations(&plan),
        unmet: unmet(&plan),
        trace: options.full.then(|| calls(&plan)),
        plan,
        ..made_up
    }
}

const CALLS: [(&str, &str); 5] = [
    ("ann", "ann-1"),
    ("ann", "ann-2"),
    ("ben", "ben-1"),
    ("ben", "ben-2"),
    ("cho", "cho-1"),
];

fn happens(plan: &Plan, client: &str, op: &str) -> bool {
    !plan.without.iter().any(|name| name == client || name == op)
}

/// A client who is there asks of each operation whether it is to happen.
fn operations(plan: &Plan) -> Vec<Operation> {
    let is_there = |(client, _): &&(&str, &str)| !plan.without.iter().any(|name| name == client);
    let operation = |(client, op): &(&str, &str)| Operation {
        name: (*op).to_owned(),
        client: (*client).to_owned(),
    };
    CALLS.iter().filter(is_there).map(operation).collect()
}

/// Names of no client, and of operations whose client is not there to ask.
fn unmet(plan: &Plan) -> Vec<String> {
    let operations = operations(plan);
    let is_met = |name: &&String| {
        CALLS.iter().any(|(client, _)| client == name)
            || operations.iter().any(|one| one.name == **name)
    };
    let names = plan.without.iter();
    names.filter(|name| !is_met(name)).cloned().collect()
}

fn calls(plan: &Plan) -> Trace {
    let mut recorder = Recorder::new(Mode::Full);
    for (client, op) in CALLS {
        if happens(plan, client, op) {
            let what = What::Client {
                op: op.into(),
                phase: Phase::Invoked,
                detail: "".into(),
            };
            recorder.record(VirtualTime(1), client, &Scope::NONE, what);
        }
    }
    recorder.finish()
}

fn signature() -> Signature {
    let outcome = outcome(&spec(Plan::calm()), Options::default(), true);
    outcome.signature("bank", "hardened").expect("it fails")
}

fn spec(plan: Plan) -> Spec {
    Spec::of(&BANK, Seed(7)).under(plan)
}

fn budget(jobs: usize) -> Budget {
    Budget {
        jobs,
        time: Duration::from_secs(600),
        ..Budget::default()
    }
}

/// Shrinks a plan of which `fails` says whether it fails.
fn shrunk_by(plan: &Plan, jobs: usize, fails: impl Fn(&Plan) -> bool + Sync) -> Shrunk {
    let runner =
        |_: &dyn Scenario, spec: &Spec, options: Options| outcome(spec, options, fails(&spec.plan));
    shrink_by(
        &runner,
        &BANK,
        &spec(plan.clone()),
        &signature(),
        budget(jobs),
    )
    .expect("it fails at its start")
}

fn crash(node: &str, down_ms: u64) -> Fault {
    Fault::at_ms(1_234, Crash::new(node, down_ms))
}

#[test]
fn what_a_failure_does_not_need_is_left_out() {
    let storm = Plan::new(vec![
        crash("vault", 700),
        Fault::at_ms(77, PowerLoss::new("vault", 7_749)),
        crash("teller", 3_333),
    ]);
    // It takes a power loss of two seconds or more, and ben's second request.
    let fails = |plan: &Plan| {
        let long = |fault: &Fault| matches!(fault.action, Action::PowerLoss(PowerLoss { down_ms, .. }) if down_ms >= 2_000);
        plan.faults.iter().any(long) && happens(plan, "ben", "ben-2")
    };
    let shrunk = shrunk_by(&storm, 2, fails);
    let plan = shrunk.spec.plan;
    let expected = Fault::at_ms(0, PowerLoss::new("vault", 2_000));
    assert_eq!(plan.faults, [expected]);
    assert_eq!(plan.without, ["ann", "cho", "ben-1"]);
    assert_eq!(plan.schedule, None);
    let size = |sizes: Sizes| (sizes.faults, sizes.clients, sizes.requests);
    assert_eq!(size(shrunk.before), (3, 3, 5));
    assert_eq!(size(shrunk.after), (1, 1, 1));
    assert!(!shrunk.effort.cut_short, "{:?}", shrunk.effort);
}

#[test]
fn a_failure_that_needs_another_schedule_once_something_is_gone_is_still_made_small() {
    let storm = Plan::new(vec![
        crash("vault", 5),
        crash("teller", 5),
        crash("vault", 6),
    ]);
    // With fewer faults only one schedule in four shows it.
    let fails = |plan: &Plan| match plan.schedule {
        None => plan.faults.len() == 3,
        Some(schedule) => schedule.is_multiple_of(4) && !plan.faults.is_empty(),
    };
    let shrunk = shrunk_by(&storm, 3, fails);
    let plan = shrunk.spec.plan;
    assert_eq!(plan.faults.len(), 1);
    assert!(plan.schedule.is_some_and(|s| s.is_multiple_of(4)));
}

/// One sync for each request, all under the same name.
fn syncs(plan: &Plan) -> Vec<Met> {
    let made = (1..).zip(
        CALLS
            .iter()
            .filter(|(client, op)| happens(plan, client, op)),
    );
    let sync = |(attempt, (client, _)): (u32, &(&str, &str))| Met {
        site: Site::new("vault", Kind::Sync, "", attempt),
        at: VirtualTime(u64::from(attempt) * 1_000),
        behalf: (*client).to_owned(),
        asks: None,
        ends: 0,
        thing: 0,
        alike: squall_core::seed::hash(client.as_bytes()),
    };
    made.map(sync).collect()
}

#[test]
fn a_fault_at_a_counted_site_does_not_keep_the_requests_that_it_counts() {
    let storm = Plan::new(vec![Fault::new(
        When::nth("vault", Kind::Sync, 4),
        SyncError::new("vault"),
    )]);
    // The sync of ben's second request has to fail, whichever it is.
    let fails = |plan: &Plan| {
        let made = CALLS
            .iter()
            .filter(|(client, op)| happens(plan, client, op));
        let nth = (1..).zip(made).find(|(_, call)| call.1 == "ben-2");
        plan.faults.iter().any(|fault| match (&fault.when, nth) {
            (When::Nth { nth: n, .. }, Some((at, _))) => *n == at,
            (When::Site(site), Some((at, _))) => site.attempt == at,
            _ => false,
        })
    };
    let runner = |_: &dyn Scenario, spec: &Spec, options: Options| {
        let plan = &spec.plan;
        let mut outcome = outcome(spec, options, fails(plan));
        if options.census {
            outcome.sites = syncs(plan);
        }
        let named = |site: &mut Site| {
            site.attempt = match plan.faults[0].when {
                When::Nth { nth, .. } => nth,
                _ => site.attempt,
            }
        };
        for site in outcome
            .faults
            .iter_mut()
            .flat_map(|report| &mut report.site)
        {
            site.label = String::new();
            named(site);
        }
        outcome
    };
    let shrunk =
        shrink_by(&runner, &BANK, &spec(storm), &signature(), budget(2)).expect("it fails");
    assert_eq!(shrunk.after.requests, 1, "{:?}", shrunk.spec.plan);
    let plan = shrunk.spec.plan;
    assert_eq!(plan.without, ["ann", "cho", "ben-1"]);
    assert!(fails(&plan));
}

#[test]
fn whoever_watches_hears_of_each_run_and_of_what_is_left() {
    let storm = Plan::new(vec![crash("vault", 5), crash("teller", 5)]);
    let runner = |_: &dyn Scenario, spec: &Spec, options: Options| {
        outcome(spec, options, happens(&spec.plan, "ben", "ben-2"))
    };
    let told = std::sync::Mutex::new(Vec::new());
    let watch = |progress| told.lock().expect("nobody panics").push(progress);
    let shrunk = shrink_watched(
        &runner,
        &BANK,
        &spec(storm),
        &signature(),
        budget(1),
        &watch,
    )
    .expect("it fails");
    let told = told.into_inner().expect("nobody panics");
    assert_eq!(told.len() as u64, shrunk.effort.runs);
    let runs: Vec<u64> = told.iter().map(|progress| progress.runs).collect();
    assert!(runs.is_sorted(), "{runs:?}");
    let last = told.last().expect("there were runs");
    assert_eq!((last.faults, last.requests), (0, 1));
    assert_eq!(last.runs, shrunk.effort.runs);
}

#[test]
fn names_that_a_scenario_does_not_heed_are_not_left_out() {
    let runner = |_: &dyn Scenario, spec: &Spec, options: Options| {
        let mut outcome = outcome(spec, options, true);
        outcome.trace = options.full.then(|| calls(&Plan::calm()));
        outcome
    };
    let storm = spec(Plan::new(vec![crash("vault", 5)]));
    let shrunk = shrink_by(&runner, &BANK, &storm, &signature(), budget(1)).expect("it fails");
    assert_eq!(shrunk.spec.plan, Plan::calm());
}

#[test]
fn a_failure_that_does_not_happen_again_is_told() {
    let runner = |_: &dyn Scenario, spec: &Spec, options: Options| outcome(spec, options, false);
    let storm = spec(Plan::new(vec![crash("vault", 5)]));
    let gone = shrink_by(&runner, &BANK, &storm, &signature(), budget(1)).unwrap_err();
    assert_eq!(gone.expected, signature());
    let told = gone.to_string();
    assert!(
        told.contains("no money is lost (little)") && told.contains("it survived"),
        "{told}"
    );
    assert!(told.contains("not deterministic"), "{told}");
}

#[test]
fn another_failure_is_not_the_one_that_is_shrunk() {
    let storm = Plan::new(vec![crash("vault", 5), crash("teller", 5)]);
    let runner = |_: &dyn Scenario, spec: &Spec, options: Options| {
        let faults = spec.plan.faults.len();
        let mut outcome = outcome(spec, options, true);
        if faults < 2 {
            outcome.violations[0].tag = "lot".to_owned();
        }
        outcome
    };
    let shrunk =
        shrink_by(&runner, &BANK, &spec(storm), &signature(), budget(2)).expect("it fails");
    assert_eq!(shrunk.outcome.plan.faults.len(), 2);
}

#[test]
fn a_budget_is_kept_and_its_end_is_told() {
    let storm = Plan::new((0..40).map(|n| crash("vault", 1_001 + n)).collect());
    let fails = |plan: &Plan| plan.faults.len() >= 13;
    let runner =
        |_: &dyn Scenario, spec: &Spec, options: Options| outcome(spec, options, fails(&spec.plan));
    for runs in [0, 1, 10, 60] {
        for time in [Duration::ZERO, Duration::from_secs(600)] {
            let budget = Budget {
                runs,
                time,
                jobs: 2,
            };
            let shrunk = shrink_by(&runner, &BANK, &spec(storm.clone()), &signature(), budget);
            let shrunk = shrunk.expect("it fails");
            assert!(fails(&shrunk.outcome.plan));
            assert!(shrunk.effort.cut_short);
            // What is adopted is run once more, with its trace.
            assert!(
                shrunk.effort.runs <= runs + 2,
                "{runs}: {:?}",
                shrunk.effort
            );
        }
    }
}

/// Whether `small` can do nothing that `large` can't.
fn is_weakening(small: &Plan, large: &Plan) -> bool {
    let mut from = large.faults.iter();
    let mut came_from =
        |fault: &Fault| from.any(|larger| weaker::is_no_stronger(&fault.action, &larger.action));
    small.faults.iter().all(&mut came_from)
        && CALLS
            .iter()
            .all(|(client, op)| happens(large, client, op) || !happens(small, client, op))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_shrunk_plan_fails_in_the_same_way_and_is_a_weakening_whatever_the_number_of_jobs(
        storm in plan(),
        key in any::<u64>(),
    ) {
        // Whether a plan fails is arbitrary, save that the given one does.
        let fails = |plan: &Plan| {
            *plan == storm || squall_core::seed::hash(plan.to_json().as_bytes()).wrapping_add(key).is_multiple_of(3)
        };
        let alone = shrunk_by(&storm, 1, fails);
        let plan = alone.spec.plan.clone();
        prop_assert!(fails(&plan));
        prop_assert!(is_weakening(&plan, &storm), "{plan:?}");
        prop_assert!(plan.check(&NODES).is_ok() && plan.check_without(&["vault"]).is_ok());
        let together = shrunk_by(&storm, 4, fails);
        prop_assert_eq!(plan, together.spec.plan);
        prop_assert_eq!(alone.effort.runs, together.effort.runs);
        prop_assert_eq!(alone.outcome, together.outcome);
    }

    #[test]
    fn a_plan_survives_json(storm in plan()) {
        let back = Plan::parse(&storm.to_json(), "it").expect("it was written so");
        prop_assert_eq!(back, storm);
    }
}

#[test]
fn a_failure_file_survives_json_and_is_called_after_its_signature() {
    let storm = Plan::new(vec![crash("vault", 700)]);
    let shrunk = shrunk_by(&storm, 1, |plan| !plan.faults.is_empty());
    let file = crate::failure::FailureFile::of(&signature(), &shrunk);
    assert_eq!(file.name(), "bank-no-money-is-lost-little.json");
    let back = crate::failure::FailureFile::parse(&file.to_json(), "it").expect("just written");
    assert_eq!(back, file);
    assert!(back.is_same_run(&shrunk.outcome) && back.build.is_present());
    assert_eq!(back.spec(), shrunk.spec);
}
