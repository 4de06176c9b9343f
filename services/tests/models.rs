//! The state machines are total: any state meets any event with an answer, never with a panic, and a refusal changes
//! nothing. Journals may hold what no run of this build has written.

use std::time::Duration;

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use squall_services::{
    kit::{
        Code, Context, Problem,
        resource_pool::Countable,
        saga::{Event, SagaRecord, Status, Step, StepRecord, StepStatus},
    },
    orchestration::orders::model::{Flow, Status as OrderStatus},
    rewards::challenge::model::{CompletionEvent, CompletionStatus, Freshness, Verdict},
    shared::{
        inventory::model::{
            LockEvent, LockState, Move, ReservationEvent, ReservationState, SemanticLock, Units,
        },
        payment::model::{Event as PaymentEvent, Mode, Status as PaymentStatus},
    },
};

#[test]
fn a_payment_answers_every_event_in_every_state() {
    use PaymentEvent::*;
    let events = [
        Authorize,
        Charge,
        Capture,
        Cancel,
        Done,
        Refused,
        FoundCaptured,
    ];
    let mut moved = 0;
    for from in PaymentStatus::ALL {
        for event in events {
            match from.after(event) {
                Ok(to) => moved += usize::from(to != from),
                Err(illegal) => assert_eq!((illegal.from, illegal.event), (from, event)),
            }
        }
        assert!(!(from.is_over() && from.is_unsettled()), "{from:?}");
    }
    assert!(
        moved >= PaymentStatus::ALL.len() - 1,
        "every state but the first is reached"
    );
    for mode in [Mode::TwoStep, Mode::OneStep] {
        assert!(PaymentStatus::Created.after(mode.begin()).is_ok());
    }
}

#[test]
fn a_completion_answers_every_event_in_every_state() {
    use {CompletionEvent::*, CompletionStatus::*};
    for status in [
        None,
        Some(Pending),
        Some(Completed),
        Some(Failed),
        Some(NeedsAttention),
    ] {
        for event in [Begin, Save, RollBack, GiveUp] {
            let after = CompletionStatus::after(status, event);
            assert!(
                status != Some(Completed) || after.is_err() || after == Ok(Completed),
                "{event:?} took a completion back"
            );
        }
    }
}

#[test]
fn a_reservation_answers_every_event_in_every_state() {
    use {ReservationEvent::*, ReservationState::*};
    for state in [
        None,
        Some(Reserving),
        Some(Reserved),
        Some(Confirmed),
        Some(Released),
    ] {
        for event in [Begin, Hold, Confirm, Release] {
            if let Ok(after) = ReservationState::after(state, event) {
                assert!(
                    (event == Release || state == Some(Released)) == (after == Released),
                    "{event:?} made {after:?} of {state:?}"
                );
            }
        }
    }
}

#[test]
fn an_order_knows_its_way_between_any_two_states() {
    use OrderStatus::*;
    let all = [Pending, Confirmed, Completed, Cancelling, Cancelled];
    for from in all {
        assert_eq!(from.toward(from), Ok(from));
        for to in all {
            match from.toward(to) {
                Ok(reached) => assert_eq!(reached, to),
                Err(forbidden) => assert_eq!((forbidden.from, forbidden.to), (from, to)),
            }
            if from != to {
                assert!(
                    from.toward(to).is_err() || to.toward(from).is_err(),
                    "{from:?} and {to:?} go in circles"
                );
            }
        }
    }
}

fn step_status() -> impl Strategy<Value = StepStatus> {
    use StepStatus::*;
    prop::sample::select(vec![
        Intended,
        Done,
        Failed,
        Unknown,
        CompensationIntended,
        Compensated,
    ])
}

fn problem() -> Problem {
    Code::OutOfStock.because("none left")
}

/// A journal's row that any build may have written, or a bug.
fn record() -> impl Strategy<Value = SagaRecord<()>> {
    use Status::*;
    let step = ("[a-z]{1,5}", step_status(), any::<u32>()).prop_map(|(name, status, attempts)| {
        StepRecord {
            name,
            status,
            attempts,
        }
    });
    (
        prop::sample::select(vec![
            Running,
            Compensating,
            Completed,
            Compensated,
            NeedsAttention,
        ]),
        prop::collection::vec(step, 0..9),
        any::<bool>(),
        prop::option::of(any::<u64>()),
    )
        .prop_map(|(status, steps, refused, ended_ms)| SagaRecord {
            id: "SAGA-00000001".to_owned(),
            kind: "any".to_owned(),
            status,
            context: Context::default(),
            data: (),
            deadline_ms: 0,
            steps,
            refusal: refused.then(problem),
            created_ms: 0,
            ended_ms,
            version: 0,
        })
}

fn flow() -> impl Strategy<Value = Flow> {
    prop::sample::select(vec![
        Flow::TwoStep,
        Flow::OneStep,
        Flow::Reward,
        Flow::RewardCancel,
    ])
}

fn saga_event() -> impl Strategy<Value = Event> {
    prop::sample::select(vec![
        Event::Done,
        Event::DoneButTurnBack(problem()),
        Event::Refused(problem()),
        Event::Abandoned(problem()),
        Event::Undone,
        Event::Spent,
        Event::Redriven,
    ])
}

fn lock() -> impl Strategy<Value = Option<SemanticLock>> {
    let state = prop::sample::select(vec![LockState::Reserving, LockState::Reserved]);
    let held = ("[ab]", state, any::<u64>()).prop_map(|(owner, state, since_ms)| SemanticLock {
        owner,
        state,
        since_ms,
    });
    prop::option::of(held)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/models.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_saga_answers_every_event_whatever_its_journal_says(
        flow in flow(),
        saga in record(),
        events in prop::collection::vec(saga_event(), 1..12),
    ) {
        let plan: &[Step] = flow.steps();
        let mut saga = saga;
        for event in events {
            let before = saga.clone();
            let done = saga.apply(plan, event, 1);
            prop_assert!(done.is_ok() || before == saga, "a refused event changed the saga");
            prop_assert!(!before.status.is_ended() || before == saga, "an ended saga moved");
            let _ = (saga.current(), saga.is_at_pivot(plan), saga.is_before_last_chance(plan), flow.order_status(&saga));
        }
    }

    #[test]
    fn a_lock_answers_every_event_of_anybody(
        lock in lock(),
        event in prop::sample::select(vec![LockEvent::Acquire, LockEvent::Reserve, LockEvent::Fail, LockEvent::Free]),
        saga in "[ab]",
        now_ms: u64,
    ) {
        match SemanticLock::after(lock.as_ref(), event, &saga, now_ms) {
            Ok(after) => prop_assert!(after.is_none_or(|held| held.owner == saga)),
            Err(other) => prop_assert_eq!(other.holder, lock.map(|held| held.owner)),
        }
    }

    #[test]
    fn units_answer_every_move_or_stay(
        parts in [0..1u64 << 40, 0..1u64 << 40, 0..1u64 << 40],
        way in prop::sample::select(vec![Move::Add, Move::Reserve, Move::Use, Move::GiveBack, Move::Return]),
        quantity in 0..1u64 << 41,
    ) {
        let [on_hand, reserved, sold] = parts;
        let units = Units { stocked: on_hand + reserved + sold, on_hand, reserved, sold };
        match units.after(way, quantity) {
            Ok(after) => prop_assert_eq!(after.stocked, after.on_hand + after.reserved + after.sold),
            Err(few) => prop_assert!(few.left < quantity && few.wanted == quantity),
        }
    }

    #[test]
    fn a_notice_and_a_copy_of_any_age_are_judged(copy: Option<u64>, noticed: u64, age: Duration, ttl: Duration, limit: Duration) {
        let verdict = Verdict::of(copy, noticed);
        prop_assert!(copy.is_none_or(|copy| copy < noticed) || verdict == Verdict::Ignore);
        let _ = Freshness::of(age, ttl, limit);
    }
}
