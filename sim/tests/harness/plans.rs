//! Storms as files, and storms as they are drawn.

use proptest::prelude::*;
use squall::{
    fault::{
        ClockDrift, ClockJump, Crash, CrashLoop, Custom, Cut, DelayBurst, DiskFull, DuplicateBurst,
        Flap, HalfOpen, HangConnects, Isolate, Latency, LoseBurst, Loss, Overlap, Pause, PowerLoss,
        Refuse, ResetBurst, ResetConnections, Restart, SectorError, SlowDisk, SlowNode, SyncError,
        Trickle, UnreadableRow, Upgrade, WriteError,
    },
    run::{Spec, Verdict, run},
    seed::Seed,
    site::{Kind, Site},
    storm::{Action, CustomFault, Fault, FaultKind, Plan, PlanError, Profile, STORM_MS_MAX, When},
};

use crate::{
    bank::{Bank, NODES},
    little::{at, nth, send_to},
};
use squall::scenario::Scenario;

fn name() -> impl Strategy<Value = String> {
    "[a-zé\"\\\\ -]{1,12}"
}

fn action() -> impl Strategy<Value = Action> {
    let n = any::<u64>;
    prop_oneof![
        (name(), n()).prop_map(|(node, down_ms)| Action::Crash(Crash::new(node, down_ms))),
        (name(), n()).prop_map(|(node, down_ms)| Action::PowerLoss(PowerLoss::new(node, down_ms))),
        (name(), any::<u32>(), n()).prop_map(|(node, times, down_ms)| Action::CrashLoop(
            CrashLoop::new(node, times, down_ms)
        )),
        (name(), n()).prop_map(|(node, for_ms)| Action::Pause(Pause::new(node, for_ms))),
        name().prop_map(|node| Action::Restart(Restart::new(node))),
        (name(), n()).prop_map(|(node, for_ms)| Action::Overlap(Overlap::new(node, for_ms))),
        (name(), n(), n()).prop_map(|(node, wait_ms, for_ms)| Action::SlowNode(SlowNode::new(
            node, wait_ms, for_ms
        ))),
        (name(), name(), any::<bool>(), n())
            .prop_map(|(from, to, both, for_ms)| Action::Cut(Cut::new(from, to, both, for_ms))),
        (name(), n()).prop_map(|(node, for_ms)| Action::Isolate(Isolate::new(node, for_ms))),
        (name(), name(), any::<u32>(), n()).prop_map(|(from, to, times, each_ms)| Action::Flap(
            Flap::new(from, to, times, each_ms)
        )),
        (name(), name(), n(), n()).prop_map(|(from, to, extra_ms, for_ms)| Action::Latency(
            Latency::new(from, to, extra_ms, for_ms)
        )),
        (name(), name(), any::<u8>(), n()).prop_map(|(from, to, percent, for_ms)| Action::Loss(
            Loss::new(from, to, percent, for_ms)
        )),
        (name(), name(), n(), n()).prop_map(|(from, to, bytes_per_s, for_ms)| Action::Trickle(
            Trickle::new(from, to, bytes_per_s, for_ms)
        )),
        (name(), n()).prop_map(|(node, for_ms)| Action::Refuse(Refuse::new(node, for_ms))),
        (name(), n())
            .prop_map(|(node, for_ms)| Action::HangConnects(HangConnects::new(node, for_ms))),
        (name(), name())
            .prop_map(|(from, to)| Action::ResetConnections(ResetConnections::new(from, to))),
        (name(), name()).prop_map(|(from, to)| Action::HalfOpen(HalfOpen::new(from, to))),
        Just(Action::LoseBurst(LoseBurst {})),
        Just(Action::ResetBurst(ResetBurst {})),
        n().prop_map(|by_ms| Action::DelayBurst(DelayBurst::new(by_ms))),
        n().prop_map(|after_ms| Action::DuplicateBurst(DuplicateBurst::new(after_ms))),
        (name(), n(), n()).prop_map(|(node, extra_ms, for_ms)| Action::SlowDisk(SlowDisk::new(
            node, extra_ms, for_ms
        ))),
        name().prop_map(|node| Action::SyncError(SyncError::new(node))),
        name().prop_map(|node| Action::WriteError(WriteError::new(node))),
        (name(), n()).prop_map(|(node, for_ms)| Action::DiskFull(DiskFull::new(node, for_ms))),
        (name(), n())
            .prop_map(|(node, choice)| Action::SectorError(SectorError::new(node, choice))),
        (
            name(),
            proptest::option::of(name()),
            proptest::option::of(name()),
            n(),
            n()
        )
            .prop_map(|(node, table, key, choice, for_ms)| Action::UnreadableRow(
                UnreadableRow {
                    node,
                    table,
                    key,
                    choice,
                    for_ms
                }
            )),
        (name(), any::<i64>())
            .prop_map(|(node, by_ms)| Action::ClockJump(ClockJump::new(node, by_ms))),
        (name(), any::<i64>(), n())
            .prop_map(|(node, ppm, for_ms)| Action::ClockDrift(ClockDrift::new(node, ppm, for_ms))),
        (name(), name(), n(), n()).prop_map(|(name, node, amount, for_ms)| Action::Custom(
            Custom::new(name, node, amount, for_ms)
        )),
        name().prop_map(|node| Action::Upgrade(Upgrade::new(node))),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        name().prop_map(Kind::Send),
        Just(Kind::Commit),
        Just(Kind::Write),
        Just(Kind::Sync),
        Just(Kind::Clock),
        name().prop_map(Kind::Event),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        any::<u64>().prop_map(When::AtMs),
        (name(), kind(), name(), any::<u32>()).prop_map(|(node, kind, label, attempt)| {
            When::Site(Site::new(node, kind, label, attempt))
        }),
        (name(), kind(), any::<u32>()).prop_map(|(node, kind, nth)| When::Nth { node, kind, nth }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let fault = (when(), action()).prop_map(|(when, action)| Fault { when, action });
    let faults = proptest::collection::vec(fault, 0..8);
    let schedule = proptest::option::of(any::<u64>());
    let pct = proptest::option::of(1..=64_u32);
    (schedule, pct, faults).prop_map(|(schedule, pct, faults)| Plan {
        schedule,
        pct,
        ..Plan::new(faults)
    })
}

/// Some of these nodes and links, with some limits.
fn profile() -> impl Strategy<Value = Profile> {
    let nodes = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let all = vec![("a", "b"), ("b", "c"), ("client", "a")];
    let links = proptest::sample::subsequence(all, 0..=3);
    let never = proptest::sample::subsequence(FaultKind::ALL.to_vec(), 0..FaultKind::ALL.len());
    let numbers = (0..10_000u64, 1..9u64, 0..50u64, 0..50u64);
    let upgrades = proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    (nodes, links, never, any::<bool>(), numbers, upgrades).prop_map(
        |(nodes, links, never, customs, (horizon_ms, max_faults, commits, bursts), upgrades)| {
            Profile {
                custom: customs
                    .then_some(CustomFault {
                        name: "odd",
                        node: "c",
                        amount: (1, 3),
                    })
                    .into_iter()
                    .collect(),
                events: vec![("a", "something happened")],
                overlaps: nodes.iter().copied().take(1).collect(),
                held: vec![("a", "something is held")],
                horizon_ms,
                max_faults,
                commits,
                bursts,
                never,
                upgrades,
                ..Profile::new(&nodes, &links)
            }
        },
    )
}

proptest! {
    #[test]
    fn a_plan_is_read_back_as_it_was_written(plan in plan()) {
        let read = Plan::parse(&plan.to_json(), "plan.json");
        prop_assert_eq!(read.expect("it was just written"), plan);
    }

    #[test]
    fn whatever_a_profile_draws_can_happen_and_is_what_it_was_asked_for(
        profile in profile(), seed in any::<u64>()
    ) {
        let plan = profile.draw(Seed(seed));
        prop_assert!(plan.check(&["a", "b", "c", "client"]).is_ok());
        prop_assert_eq!(&plan, &profile.draw(Seed(seed)));
        prop_assert!(plan.faults.len() as u64 <= profile.max_faults);
        prop_assert_eq!(plan.faults.is_empty(), profile.kinds().is_empty());
        for fault in &plan.faults {
            prop_assert!(!profile.never.contains(&fault.action.kind()), "{}", fault);
            match &fault.when {
                When::AtMs(ms) => prop_assert!(*ms <= profile.horizon_ms),
                When::Nth { nth, .. } => prop_assert!(*nth >= 1),
                When::Site(_) => prop_assert!(false, "nobody knows the sites beforehand"),
            }
        }
        let read = Plan::parse(&plan.to_json(), "plan.json");
        prop_assert_eq!(read.expect("it was just written"), plan);
    }
}

/// The kinds that strike unmodified programs, and disks that may lie: the bank has neither.
pub fn kinds_of_programs() -> Vec<FaultKind> {
    let profile = Profile {
        programs: vec!["a program"],
        lying: vec!["a disk"],
        ..Profile::new(&[], &[])
    };
    profile.kinds()
}

#[test]
fn every_kind_of_fault_is_drawn() {
    let mut drawn: Vec<FaultKind> = (0..500)
        .flat_map(|seed| Bank.profile().draw(Seed(seed)).faults)
        .map(|fault| fault.action.kind())
        .collect();
    drawn.sort();
    drawn.dedup();
    let of_programs = kinds_of_programs();
    let mut all = FaultKind::ALL.to_vec();
    all.retain(|kind| !of_programs.contains(kind));
    assert_eq!(drawn, all);
}

#[test]
fn a_plan_file_reads_well() {
    let plan = Plan::new(vec![
        at(1_500, Crash::new("order", 2_000)),
        nth("order", send_to("payment"), 3, LoseBurst {}),
    ]);
    let text = r#"{
  "version": 1,
  "faults": [
    {
      "when": {
        "at-ms": 1500
      },
      "action": {
        "do": "crash",
        "node": "order",
        "down_ms": 2000
      }
    },
    {
      "when": {
        "nth": {
          "node": "order",
          "kind": {
            "send": "payment"
          },
          "nth": 3
        }
      },
      "action": {
        "do": "lose-burst"
      }
    }
  ]
}
"#;
    assert_eq!(plan.to_json(), text);
    let lines: Vec<String> = plan.faults.iter().map(Fault::to_string).collect();
    assert_eq!(
        lines,
        [
            "at 1.5 s: order crashes; back 2 s later",
            "at burst 3 of order→payment: it is lost and the connection is dead"
        ]
    );
}

#[test]
fn what_is_no_plan_is_refused_with_the_reason() {
    let error = |text: &str| Plan::parse(text, "storm.json").expect_err(text).to_string();
    for (text, says) in [
        ("", "storm.json is not a plan: EOF while parsing"),
        ("{", "storm.json is not a plan: EOF while parsing"),
        ("[]", "storm.json is not a plan: it has no \"version\""),
        (r#"{"faults": []}"#, "it has no \"version\""),
        (r#"{"version": "1", "faults": []}"#, "it has no \"version\""),
        (
            r#"{"version": 2, "storms": []}"#,
            "storm.json is a plan of version 2; this build reads version 1",
        ),
        (r#"{"version": 1}"#, "missing field `faults`"),
        (
            r#"{"version": 1, "faults": [], "fault": []}"#,
            "unknown field `fault`",
        ),
        (
            r#"{"version": 1, "faults": [{"when": {"at-ms": 1}, "action": {"do": "explode"}}]}"#,
            "unknown variant `explode`",
        ),
        (
            r#"{"version": 1, "faults": [{"when": {"at-ms": -1}, "action": {"do": "lose-burst"}}]}"#,
            "-1",
        ),
        (
            r#"{"version": 1, "faults": [{"when": {"at-ms": 1}, "action": {"do": "crash", "node": "a"}}]}"#,
            "down_ms",
        ),
        (
            r#"{"version": 1, "faults": [{"when": {"at-ms": 1}, "action": {"do": "restart", "node": "a", "down_ms": 1}}]}"#,
            "down_ms",
        ),
    ] {
        let said = error(text);
        assert!(said.contains(says), "{text}: {said}");
    }
    let missing = Plan::read(std::path::Path::new("no/such/plan.json"));
    assert!(
        matches!(missing, Err(PlanError::Unreadable { path, .. }) if path == "no/such/plan.json")
    );
}

#[test]
fn a_plan_that_cannot_happen_is_refused_with_the_reason() {
    let error = |fault: Fault| {
        let plan = Plan::new(vec![at(1, Restart::new("a")), fault]);
        plan.check(&["a", "b"])
            .expect_err("it cannot happen")
            .to_string()
    };
    let restart = |node: &str| Action::Restart(Restart::new(node));
    assert_eq!(
        error(at(1, restart("c"))),
        "the plan's fault 1 (at 0.001 s: c is restarted) cannot happen here: there is no node \"c\"; there are a, b"
    );
    assert!(error(nth("c", Kind::Commit, 1, restart("a"))).contains("no node \"c\""));
    assert!(error(nth("a", send_to("c"), 1, restart("a"))).contains("no node \"c\""));
    let burst_faults = [
        Action::LoseBurst(LoseBurst {}),
        Action::ResetBurst(ResetBurst {}),
        Action::DelayBurst(DelayBurst::new(1)),
        Action::DuplicateBurst(DuplicateBurst::new(1)),
    ];
    for action in burst_faults {
        assert!(error(at(1, action.clone())).contains("\"send\" site"));
        assert!(error(nth("a", Kind::Commit, 1, action.clone())).contains("\"send\" site"));
        let possible = Plan::new(vec![nth("a", send_to("b"), 1, action)]);
        assert!(possible.check(&["a", "b"]).is_ok());
    }
}

/// Every fault with the greatest numbers that a plan may have, or `more`.
fn extremes(more: u64) -> Vec<Fault> {
    let most = 86_400_000 + more;
    let times = 1_000 + more as u32;
    let node = || "vault".to_owned();
    let (from, to) = (|| "alice".to_owned(), || "front".to_owned());
    let times_and_places = [
        Action::Crash(Crash::new(node(), most)),
        Action::PowerLoss(PowerLoss::new(node(), most)),
        Action::CrashLoop(CrashLoop::new(node(), times, 1)),
        Action::CrashLoop(CrashLoop::new(node(), 2, most)),
        Action::Pause(Pause::new(node(), most)),
        Action::SlowNode(SlowNode::new(node(), most, 1)),
        Action::SlowNode(SlowNode::new(node(), 1, most)),
        Action::Cut(Cut::new(from(), to(), true, most)),
        Action::Isolate(Isolate::new(node(), most)),
        Action::Flap(Flap::new(from(), to(), times, 1)),
        Action::Flap(Flap::new(from(), to(), 2, most)),
        Action::Latency(Latency::new(from(), to(), most, 1_000)),
        Action::Latency(Latency::new(from(), to(), 1, most)),
        Action::Loss(Loss::new(from(), to(), 99 + more as u8, 1_000)),
        Action::Trickle(Trickle::new(from(), to(), 1 - more, 1_000)),
        Action::Refuse(Refuse::new(node(), most)),
        Action::HangConnects(HangConnects::new(node(), most)),
        Action::SlowDisk(SlowDisk::new(node(), most, 1)),
        Action::DiskFull(DiskFull::new(node(), most)),
        Action::ClockJump(ClockJump::new(node(), -(36_500 * 86_400_000 + more as i64))),
        Action::ClockDrift(ClockDrift::new(node(), -(1_000_000 + more as i64), 1_000)),
        Action::Custom(Custom::new("doubt".into(), node(), u64::MAX, most)),
    ];
    let at_bursts = [
        Action::DelayBurst(DelayBurst::new(most)),
        Action::DuplicateBurst(DuplicateBurst::new(most)),
    ];
    let timed = times_and_places.into_iter().map(|action| at(100, action));
    let at_bursts = at_bursts
        .into_iter()
        .map(|action| nth("alice", send_to("front"), 1, action));
    timed
        .chain(at_bursts)
        .chain([at(STORM_MS_MAX + more, Restart::new("vault"))])
        .collect()
}

fn verdict(fault: &Fault) -> Verdict {
    let spec = Spec::of(&Bank, Seed(1)).under(Plan::new(vec![fault.clone()]));
    run(&Bank, &spec, false).verdict
}

#[test]
fn a_plan_may_go_to_its_limits() {
    for fault in extremes(0) {
        assert!(
            Plan::new(vec![fault.clone()]).check(&NODES).is_ok(),
            "{fault}"
        );
        let verdict = verdict(&fault);
        let fine = matches!(verdict, Verdict::Survived | Verdict::Stuck(_));
        assert!(fine, "{fault}: {verdict:?}");
    }
}

#[test]
fn a_plan_beyond_all_limits_is_refused() {
    for fault in extremes(1) {
        let refused = Plan::new(vec![fault.clone()]).check(&NODES);
        assert!(
            matches!(refused, Err(PlanError::Impossible { .. })),
            "{fault}"
        );
    }
}

#[test]
fn a_plan_that_cannot_happen_is_never_run_in_silence() {
    let fault = at(1, Restart::new("valut"));
    let Verdict::HarnessFailed(text) = verdict(&fault) else {
        panic!("it was run");
    };
    assert!(text.contains("no node \"valut\""), "{text}");
}
