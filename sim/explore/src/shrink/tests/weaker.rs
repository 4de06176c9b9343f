//! What it means that a fault does no more than another.

use proptest::prelude::*;

use super::*;
use crate::shrink::weaken;

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
            3 + u32::from(matches!(action, Action::Cut { both: true, .. })),
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
    use Action::*;
    match action {
        Trickle {
            bytes_per_s,
            for_ms,
            ..
        } => vec![-i128::from(*bytes_per_s), i128::from(*for_ms)],
        CrashLoop {
            times, down_ms: n, ..
        }
        | Flap {
            times, each_ms: n, ..
        } => {
            vec![i128::from(*times), i128::from(*n)]
        }
        Loss {
            percent, for_ms, ..
        } => vec![i128::from(*percent), i128::from(*for_ms)],
        ClockJump { by_ms, .. } => vec![i128::from(by_ms.unsigned_abs())],
        ClockDrift { ppm, for_ms, .. } => {
            vec![i128::from(ppm.unsigned_abs()), i128::from(*for_ms)]
        }
        SlowNode {
            wait_ms: a,
            for_ms: b,
            ..
        }
        | Latency {
            extra_ms: a,
            for_ms: b,
            ..
        }
        | SlowDisk {
            extra_ms: a,
            for_ms: b,
            ..
        }
        | Custom {
            amount: a,
            for_ms: b,
            ..
        } => vec![i128::from(*a), i128::from(*b)],
        Crash { down_ms: n, .. }
        | PowerLoss { down_ms: n, .. }
        | Pause { for_ms: n, .. }
        | Overlap { for_ms: n, .. }
        | Cut { for_ms: n, .. }
        | Isolate { for_ms: n, .. }
        | Refuse { for_ms: n, .. }
        | HangConnects { for_ms: n, .. }
        | DelayBurst { by_ms: n }
        | DuplicateBurst { after_ms: n }
        | UnreadableRow { for_ms: n, .. }
        | DiskFull { for_ms: n, .. } => vec![i128::from(*n)],
        _ => Vec::new(),
    }
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
    let crash = |down_ms| Action::Crash {
        node: "vault".to_owned(),
        down_ms,
    };
    let restart = Action::Restart {
        node: "vault".to_owned(),
    };
    let cut = |from: &str, to: &str, both| Action::Cut {
        from: from.to_owned(),
        to: to.to_owned(),
        both,
        for_ms: 9,
    };
    let (node, from, to) = ("vault".to_owned(), "teller".to_owned(), "vault".to_owned());
    let cases = [
        (crash(9), vec![restart.clone()]),
        (
            Action::PowerLoss {
                node: node.clone(),
                down_ms: 9,
            },
            vec![restart.clone(), crash(9)],
        ),
        (
            Action::CrashLoop {
                node: node.clone(),
                times: 3,
                down_ms: 9,
            },
            vec![
                restart.clone(),
                crash(9),
                Action::CrashLoop {
                    node: node.clone(),
                    times: 2,
                    down_ms: 9,
                },
            ],
        ),
        (
            Action::Overlap {
                node: node.clone(),
                for_ms: 9,
            },
            vec![restart],
        ),
        (
            Action::Isolate {
                node: node.clone(),
                for_ms: 9,
            },
            vec![cut("teller", "vault", true)],
        ),
        (
            cut("teller", "vault", true),
            vec![cut("teller", "vault", false), cut("vault", "teller", false)],
        ),
        (
            Action::Flap {
                from: from.clone(),
                to: to.clone(),
                times: 2,
                each_ms: 9,
            },
            vec![cut("teller", "vault", true)],
        ),
        (
            Action::HangConnects {
                node: node.clone(),
                for_ms: 9,
            },
            vec![Action::Refuse {
                node: node.clone(),
                for_ms: 9,
            }],
        ),
        (
            Action::HalfOpen {
                from: from.clone(),
                to: to.clone(),
            },
            vec![Action::ResetConnections { from, to }],
        ),
        (Action::LoseBurst {}, vec![Action::ResetBurst {}]),
        (
            Action::DiskFull {
                node: node.clone(),
                for_ms: 9,
            },
            vec![Action::WriteError { node }],
        ),
        (Action::ResetBurst {}, Vec::new()),
        (
            Action::Upgrade {
                node: "vault".to_owned(),
            },
            vec![Action::Restart {
                node: "vault".to_owned(),
            }],
        ),
    ];
    for (action, weaker) in cases {
        assert_eq!(weaken::kinds(&action, &links), weaker, "{action}");
    }
}

#[test]
fn numbers_become_those_that_people_choose() {
    let tried = |down_ms| -> Vec<u64> {
        let node = "vault".to_owned();
        let smaller = weaken::smaller_actions(&Action::Crash { node, down_ms });
        let downs = smaller.iter().map(|action| match action {
            Action::Crash { down_ms, .. } => *down_ms,
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
        let kinds = weaken::kinds(&fault.action, &links);
        for action in kinds.into_iter().chain(weaken::smaller_actions(&fault.action)) {
            prop_assert!(is_no_stronger(&action, &fault.action), "{} for {}", action, fault.action);
            prop_assert!(!is_no_stronger(&fault.action, &action), "{} for {}", action, fault.action);
        }
    }
}
