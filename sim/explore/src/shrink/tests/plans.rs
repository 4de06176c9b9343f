//! Arbitrary storms, with every kind of fault at every kind of site.

use proptest::{collection::vec, option, prelude::*, sample::select};

use squall_core::{
    fault::{
        ClockDrift, ClockJump, Crash, CrashLoop, Custom, Cut, DelayBurst, DiskFull, DuplicateBurst,
        Flap, HalfOpen, HangConnects, Isolate, Latency, LoseBurst, Loss, Overlap, Pause, PowerLoss,
        Refuse, ResetBurst, ResetConnections, Restart, SectorError, SlowDisk, SlowNode, StaleNames,
        SyncError, Trickle, UnreadableRow, Upgrade, WriteError,
    },
    site::{Kind, Site},
    storm::{Action, Fault, PCT_MAX, PLAN_VERSION, Plan, When},
};

pub const NODES: [&str; 5] = ["vault", "teller", "ann", "ben", "cho"];

fn node() -> impl Strategy<Value = String> {
    select(&["vault", "teller"][..]).prop_map(str::to_owned)
}

fn kind() -> BoxedStrategy<Kind> {
    prop_oneof![
        node().prop_map(Kind::Send),
        Just(Kind::Commit),
        Just(Kind::Write),
        Just(Kind::Sync),
        "[a-z]{1,8}".prop_map(Kind::Event),
        Just(Kind::Timer),
        Just(Kind::Clock),
    ]
    .boxed()
}

fn when(kind: BoxedStrategy<Kind>) -> impl Strategy<Value = When> {
    let site = (node(), kind.clone(), "[a-z0-9/-]{0,12}", 1u32..9);
    prop_oneof![
        site.prop_map(|(node, kind, label, attempt)| {
            When::Site(Site::new(node, kind, label, attempt))
        }),
        (node(), kind, 1u32..99).prop_map(|(node, kind, nth)| When::Nth { node, kind, nth }),
    ]
}

fn anywhere() -> impl Strategy<Value = Action> {
    let ms = || 1u64..100_000;
    let ends = || {
        select(&[("vault", "teller"), ("teller", "vault")][..])
            .prop_map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    let of_a_node =
        (node(), ms(), ms(), 2u32..9, any::<i32>()).prop_flat_map(|(node, a, b, times, signed)| {
            let node = || node.clone();
            let signed = i64::from(signed % 1_000_000).max(1);
            select(vec![
                Action::Crash(Crash::new(node(), a)),
                Action::PowerLoss(PowerLoss::new(node(), a)),
                Action::CrashLoop(CrashLoop::new(node(), times, a)),
                Action::Pause(Pause::new(node(), a)),
                Action::Restart(Restart::new(node())),
                Action::Overlap(Overlap::new(node(), a)),
                Action::SlowNode(SlowNode::new(node(), a, b)),
                Action::Isolate(Isolate::new(node(), a)),
                Action::Refuse(Refuse::new(node(), a)),
                Action::HangConnects(HangConnects::new(node(), a)),
                Action::SlowDisk(SlowDisk::new(node(), a, b)),
                Action::SyncError(SyncError::new(node())),
                Action::WriteError(WriteError::new(node())),
                Action::DiskFull(DiskFull::new(node(), a)),
                Action::SectorError(SectorError::new(node(), a)),
                Action::UnreadableRow(UnreadableRow {
                    node: node(),
                    table: (a % 2 == 0).then(|| "deposits".to_owned()),
                    key: None,
                    choice: b,
                    for_ms: a,
                }),
                Action::StaleNames(StaleNames::new(node(), a, b)),
                Action::ClockJump(ClockJump::new(node(), signed)),
                Action::ClockDrift(ClockDrift::new(node(), -signed, a)),
                Action::Upgrade(Upgrade::new(node())),
                Action::Custom(Custom::new("doubt".to_owned(), node(), a, b)),
            ])
        });
    let of_a_link = (ends(), ms(), ms(), 2u32..9, 1u8..=100, any::<bool>()).prop_flat_map(
        |((from, to), a, b, times, percent, both)| {
            let (from, to) = (|| from.clone(), || to.clone());
            select(vec![
                Action::Cut(Cut::new(from(), to(), both, a)),
                Action::Flap(Flap::new(from(), to(), times, a)),
                Action::Latency(Latency::new(from(), to(), a, b)),
                Action::Loss(Loss::new(from(), to(), percent, a)),
                Action::Trickle(Trickle::new(from(), to(), a, b)),
                Action::ResetConnections(ResetConnections::new(from(), to())),
                Action::HalfOpen(HalfOpen::new(from(), to())),
            ])
        },
    );
    prop_oneof![of_a_node, of_a_link]
}

fn at_a_burst() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::LoseBurst(LoseBurst {})),
        Just(Action::ResetBurst(ResetBurst {})),
        (1u64..100_000).prop_map(|by_ms| Action::DelayBurst(DelayBurst::new(by_ms))),
        (1u64..100_000).prop_map(|after_ms| Action::DuplicateBurst(DuplicateBurst::new(after_ms))),
    ]
}

pub fn fault() -> impl Strategy<Value = Fault> {
    let anywhere = (
        prop_oneof![(0u64..300_000).prop_map(When::AtMs), when(kind())],
        anywhere(),
    );
    let at_a_burst = (when(node().prop_map(Kind::Send).boxed()), at_a_burst());
    prop_oneof![3 => anywhere, 1 => at_a_burst].prop_map(|(when, action)| Fault { when, action })
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let names = proptest::sample::subsequence(vec!["ann-1", "ann-2", "ben", "nobody"], 0..=2);
    let schedule = (option::of(any::<u64>()), option::of(1..=PCT_MAX));
    (schedule, names, vec(fault(), 0..5)).prop_map(|((schedule, pct), names, faults)| Plan {
        version: PLAN_VERSION,
        schedule,
        pct,
        without: names.into_iter().map(str::to_owned).collect(),
        faults,
    })
}
