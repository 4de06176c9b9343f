//! What it means that a fault does no more than another.

use proptest::prelude::*;

use super::*;
use crate::shrink::weaken;
use squall_core::fault::{
    Crash, CrashLoop, Cut, DiskFull, Flap, HalfOpen, HangConnects, Isolate, LoseBurst, Number,
    Overlap, PowerLoss, Refuse, ResetBurst, ResetConnections, Restart, Upgrade, WriteError,
};

/// Kinds by how much they do, within a family.
fn family(action: &Action) -> (&'static str, u32) {
    use FaultKind as K;
    match action.kind() {
        K::Restart => ("death", 0),
        K::Crash | K::Upgrade => ("death", 1),
        K::CrashLoop => ("death", 2),
        K::PowerLoss => ("death", 3),
        K::Overlap => ("death", 4),
        K::ResetBurst => ("link", 0),
        K::LoseBurst => ("link", 1),
        K::ResetConnections => ("link", 2),
        K::Cut => (
            "link",
            3 + u32::from(matches!(action, Action::Cut(Cut { both: true, .. }))),
        ),
        K::HalfOpen => ("link", 5),
        K::Flap => ("link", 6),
        K::Isolate => ("link", 7),
        K::Refuse => ("connects", 0),
        K::HangConnects => ("connects", 1),
        K::WriteError => ("disk", 0),
        K::DiskFull => ("disk", 1),
        other => (other.name(), 0),
    }
}

/// All numbers of an action, the larger the stronger.
fn amounts(action: &Action) -> Vec<i128> {
    let mut action = action.clone();
    let numbers = action.numbers().into_iter();
    numbers
        .map(|number| match number {
            Number::Rate(n) => -i128::from(*n),
            other => i128::from(other.get()),
        })
        .collect()
}

pub fn is_no_stronger(weak: &Action, strong: &Action) -> bool {
    let ((of, rank), (family, limit)) = (family(weak), family(strong));
    of == family
        && (rank < limit
            || rank == limit
                && amounts(weak)
                    .iter()
                    .zip(amounts(strong))
                    .all(|(weak, strong)| *weak <= strong))
}

#[test]
fn the_weaker_kinds_of_each_kind_are_these() {
    let links = [("teller", "vault")];
    let crash = |down_ms| Action::Crash(Crash::new("vault", down_ms));
    let restart = Action::Restart(Restart::new("vault"));
    let cut = |from: &str, to: &str, both| Action::Cut(Cut::new(from, to, both, 9));
    let (node, from, to) = ("vault".to_owned(), "teller".to_owned(), "vault".to_owned());
    let cases = [
        (crash(9), vec![restart.clone()]),
        (
            Action::PowerLoss(PowerLoss::new(node.clone(), 9)),
            vec![restart.clone(), crash(9)],
        ),
        (
            Action::CrashLoop(CrashLoop::new(node.clone(), 3, 9)),
            vec![
                restart.clone(),
                crash(9),
                Action::CrashLoop(CrashLoop::new(node.clone(), 2, 9)),
            ],
        ),
        (
            Action::Overlap(Overlap::new(node.clone(), 9)),
            vec![restart],
        ),
        (
            Action::Isolate(Isolate::new(node.clone(), 9)),
            vec![cut("teller", "vault", true)],
        ),
        (
            cut("teller", "vault", true),
            vec![cut("teller", "vault", false), cut("vault", "teller", false)],
        ),
        (
            Action::Flap(Flap::new(from.clone(), to.clone(), 2, 9)),
            vec![cut("teller", "vault", true)],
        ),
        (
            Action::HangConnects(HangConnects::new(node.clone(), 9)),
            vec![Action::Refuse(Refuse::new(node.clone(), 9))],
        ),
        (
            Action::HalfOpen(HalfOpen::new(from.clone(), to.clone())),
            vec![Action::ResetConnections(ResetConnections::new(from, to))],
        ),
        (
            Action::LoseBurst(LoseBurst {}),
            vec![Action::ResetBurst(ResetBurst {})],
        ),
        (
            Action::DiskFull(DiskFull::new(node.clone(), 9)),
            vec![Action::WriteError(WriteError::new(node))],
        ),
        (Action::ResetBurst(ResetBurst {}), Vec::new()),
        (
            Action::Upgrade(Upgrade::new("vault")),
            vec![Action::Restart(Restart::new("vault"))],
        ),
    ];
    for (action, weaker) in cases {
        assert_eq!(action.weaker(&links), weaker, "{action}");
    }
}

#[test]
fn numbers_become_those_that_people_choose() {
    let tried = |down_ms| -> Vec<u64> {
        let node = "vault".to_owned();
        let smaller = weaken::smaller_actions(&Action::Crash(Crash::new(node, down_ms)));
        let downs = smaller.iter().map(|action| match action {
            Action::Crash(Crash { down_ms, .. }) => *down_ms,
            other => panic!("{other} is no crash"),
        });
        downs.collect()
    };
    assert_eq!(tried(37), [1, 2, 5, 10, 20, 30]);
    assert_eq!(tried(7_749)[9..], [1_000, 2_000, 5_000, 7_000, 7_700]);
    assert!(tried(1).is_empty());
}

proptest! {
    #[test]
    fn whatever_is_tried_in_place_of_a_fault_does_less(fault in fault()) {
        let links = [("teller", "vault")];
        let kinds = fault.action.weaker(&links);
        for action in kinds.into_iter().chain(weaken::smaller_actions(&fault.action)) {
            prop_assert!(is_no_stronger(&action, &fault.action), "{} for {}", action, fault.action);
            prop_assert!(!is_no_stronger(&fault.action, &action), "{} for {}", action, fault.action);
        }
    }
}
