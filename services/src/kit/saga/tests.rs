//! The saga's state machine, without any runtime.

use proptest::prelude::*;

use super::{Event, Role, SagaRecord, Status, Step, StepStatus};
use crate::kit::{Code, Context};

const NAMES: [(&str, &str); 6] = [
    ("a-do", "a-undo"),
    ("b-do", "b-undo"),
    ("c-do", "c-undo"),
    ("d-do", "d-undo"),
    ("e-do", "e-undo"),
    ("f-do", "f-undo"),
];

/// Compensatable steps, perhaps a pivot, retriable steps; each local or not.
fn plans() -> impl Strategy<Value = Vec<Step>> {
    (0..3usize, any::<bool>(), 0..3usize, any::<[bool; 6]>()).prop_map(
        |(before, pivot, after, local)| {
            let roles = std::iter::repeat_n(Role::Compensatable, before)
                .chain(pivot.then_some(Role::Pivot))
                .chain(std::iter::repeat_n(Role::Retriable, after));
            let steps = roles.zip(NAMES).zip(local);
            steps
                .map(|((role, (name, undo)), local)| {
                    let step = match role {
                        Role::Compensatable => Step::compensatable(name, undo),
                        Role::Pivot => Step::pivot(name),
                        Role::Retriable => Step::retriable(name),
                    };
                    if local { step.local() } else { step }
                })
                .collect()
        },
    )
}

fn events() -> impl Strategy<Value = Event> {
    let why = || Code::OutOfStock.because("none left");
    prop_oneof![
        4 => Just(Event::Done),
        1 => Just(Event::DoneButTurnBack(why())),
        1 => Just(Event::Refused(why())),
        1 => Just(Event::Abandoned(why())),
        4 => Just(Event::Undone),
        1 => Just(Event::Spent),
        1 => Just(Event::Redriven),
    ]
}

fn begin(plan: &[Step]) -> SagaRecord<()> {
    let id = "SAGA-00000001".to_owned();
    SagaRecord::begin((id, "test"), Context::default(), (), plan, 1, 100)
}

/// What the documentation of [`SagaRecord`] promises.
fn assert_invariants(saga: &SagaRecord<()>, plan: &[Step]) {
    use StepStatus::*;
    let statuses: Vec<_> = saga.steps.iter().map(|step| step.status).collect();
    let running = || {
        let (last, before) = statuses.split_last().expect("a running saga has a step");
        *last == Intended && before.iter().all(|s| *s == Done)
    };
    let compensating = || {
        let at = saga.current().expect("an undo is under way");
        statuses[at] == CompensationIntended
            && statuses[..at].iter().all(|s| *s == Done)
            && statuses[at + 1..]
                .iter()
                .all(|s| matches!(s, Failed | Compensated))
    };
    let sound = match saga.status {
        Status::Running => running() && saga.refusal.is_none(),
        Status::Compensating => compensating() && saga.refusal.is_some(),
        Status::Completed => statuses.len() == plan.len() && statuses.iter().all(|s| *s == Done),
        Status::Compensated => statuses.iter().all(|s| matches!(s, Failed | Compensated)),
        Status::NeedsAttention if saga.refusal.is_some() => compensating(),
        Status::NeedsAttention => running(),
    };
    assert!(sound, "{saga:?}");
    assert_eq!(saga.status.is_ended(), saga.ended_ms.is_some());
    for (step, declared) in saga.steps.iter().zip(plan) {
        assert_eq!(step.name, declared.name);
        let undone = matches!(step.status, CompensationIntended | Compensated);
        assert!(!undone || declared.role == Role::Compensatable, "{saga:?}");
    }
}

proptest! {
    #[test]
    fn whatever_happens_a_saga_keeps_its_invariants_and_what_cannot_happen_changes_nothing(
        plan in plans(),
        events in proptest::collection::vec(events(), 0..40),
    ) {
        let mut saga = begin(&plan);
        assert_invariants(&saga, &plan);
        for event in events {
            let before = saga.clone();
            if saga.apply(&plan, event, 2).is_err() {
                prop_assert_eq!(&before, &saga);
            }
            prop_assert!(!before.status.is_ended() || before == saga, "an ended saga stays as it is");
            let pivot_done = |saga: &SagaRecord<()>| {
                saga.steps.iter().zip(&plan).any(|(record, step)| {
                    step.role != Role::Compensatable && record.status == StepStatus::Done
                })
            };
            prop_assert!(!pivot_done(&before) || saga.refusal.is_none(), "turned back after the pivot");
            assert_invariants(&saga, &plan);
        }
    }

    #[test]
    fn a_saga_that_turns_back_undoes_newest_first_what_was_or_may_have_been_done(
        plan in plans(),
        done in 0..3usize,
        event in events(),
    ) {
        let mut saga = begin(&plan);
        for _ in 0..done {
            let _ = saga.apply(&plan, Event::Done, 2);
        }
        let under_way = saga.current();
        let _ = saga.apply(&plan, event.clone(), 2);
        let (mut undone, mut turns) = (Vec::new(), 0);
        while saga.status == Status::Compensating {
            undone.extend(saga.current());
            saga.apply(&plan, Event::Undone, 2).unwrap();
            turns += 1;
            prop_assert!(turns <= plan.len(), "it does not end: {saga:?}");
        }
        if saga.status == Status::Compensated {
            let refused = matches!(event, Event::Refused(_));
            let expected: Vec<_> = (0..=under_way.unwrap())
                .rev()
                .filter(|i| !plan[*i].local && (!refused || Some(*i) != under_way))
                .collect();
            prop_assert_eq!(undone, expected);
        }
    }
}
