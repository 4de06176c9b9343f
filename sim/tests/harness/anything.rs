//! Any plan that passes its check can be run: the harness survives it, tells the truth about it, and does it again.

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use squall::{
    run::{Spec, Verdict, run},
    scenario::Scenario,
    seed::Seed,
    site::{Kind, Site},
    storm::{Fault, Plan, STORM_MS_MAX, When},
};

use crate::bank::{Bank, NODES};

fn node() -> impl Strategy<Value = String> {
    prop::sample::select(&NODES[..]).prop_map(str::to_owned)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => node().prop_map(Kind::Send),
        2 => Just(Kind::Commit),
        1 => Just(Kind::Write),
        1 => Just(Kind::Sync),
        1 => Just(Kind::Clock),
        1 => "[a-z ]{0,9}".prop_map(Kind::Event),
    ]
}

/// Any moment, far beyond those that storms are drawn with.
fn when() -> impl Strategy<Value = When> {
    let label = prop_oneof!["", "alice-[1-5]", "bob-[1-5]", "#[0-9]"];
    prop_oneof![
        3 => (0..3_000u64).prop_map(When::AtMs),
        1 => (0..=STORM_MS_MAX).prop_map(When::AtMs),
        3 => (node(), kind(), 1..40u32).prop_map(|(node, kind, nth)| When::Nth { node, kind, nth }),
        2 => (node(), kind(), label, 1..4u32)
            .prop_map(|(node, kind, label, attempt)| When::Site(Site { node, kind, label, attempt })),
    ]
}

/// A fault of a drawn storm, at some other moment if it can happen there.
fn fault() -> impl Strategy<Value = Fault> {
    (any::<u64>(), any::<prop::sample::Index>(), when()).prop_map(|(seed, which, when)| {
        let drawn = Bank.profile().draw(Seed(seed)).faults;
        let drawn = which.get(&drawn).clone();
        let moved = Fault::new(when, drawn.action.clone());
        let possible = Plan::new(vec![moved.clone()]).check(&NODES).is_ok();
        if possible { moved } else { drawn }
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        prop::option::of(any::<u64>()),
        prop::collection::vec(fault(), 0..12),
    )
        .prop_map(|(schedule, faults)| Plan {
            schedule,
            ..Plan::new(faults)
        })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/anything.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_plan_over_any_workload_is_carried_out_survived_and_repeated(seed: u64, plan in plan()) {
        prop_assert!(plan.check(&NODES).is_ok());
        let spec = Spec::of(&Bank, Seed(seed)).under(plan.clone());
        let one = run(&Bank, &spec, false);
        prop_assert_eq!(&one.verdict, &Verdict::Survived, "{:?}", one.violations);
        prop_assert_eq!(&one.plan, &plan);
        let reported: Vec<&Fault> = one.faults.iter().map(|report| &report.fault).collect();
        prop_assert_eq!(reported, plan.faults.iter().collect::<Vec<_>>());
        for report in &one.faults {
            prop_assert!(report.fired.is_some() || !report.effective, "{:?} bit before it came", report.fault);
        }
        let other = run(&Bank, &spec, true);
        prop_assert_eq!(one.hash, other.hash, "a run that is watched closely is another run");
        prop_assert_eq!(one.faults, other.faults);
        prop_assert_eq!(one.ended, other.ended);
    }
}
