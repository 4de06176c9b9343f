use proptest::prelude::*;

use super::*;

/// A shelf that units are taken from, and that can be looked at.
#[derive(Debug)]
struct Shelf(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Take,
    Look,
}

use Call::*;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    Empty,
    Left(u32),
}

use Answer::*;

impl Model for Shelf {
    type State = u32;
    type Call = Call;
    type Answer = Answer;

    fn initial(&self) -> u32 {
        self.0
    }

    fn serve(&self, left: &u32, call: &Call) -> (u32, Answer) {
        match (call, left) {
            (Take, 0) => (0, Empty),
            (Take, left) => (left - 1, Taken),
            (Look, left) => (*left, Left(*left)),
        }
    }

    fn explains(&self, right: &Answer, told: &Answer) -> bool {
        right == told
    }

    fn tag(&self, call: &Call) -> &'static str {
        match call {
            Take => "take",
            Look => "look",
        }
    }
}

const NOW: VirtualTime = VirtualTime::ZERO;

fn begin(history: &mut History<Shelf>, call: Call) -> Ticket {
    history.invoked("shelf", NOW, call)
}

fn now(history: &mut History<Shelf>, call: Call, answer: Answer) {
    let ticket = begin(history, call);
    history.ok(ticket, NOW, answer);
}

#[test]
fn answers_in_some_order_are_explained() {
    let mut history = History::new(Shelf(1));
    let one = begin(&mut history, Take);
    let other = begin(&mut history, Take);
    now(&mut history, Look, Left(1));
    history.ok(other, NOW, Taken);
    history.ok(one, NOW, Empty);
    now(&mut history, Look, Left(0));
    assert_eq!(
        history.judge(),
        Judged {
            judged: 1,
            ..Judged::default()
        }
    );
}

#[test]
fn a_unit_that_is_taken_twice_is_told_with_the_answer_that_gave_it_away() {
    let mut history = History::new(Shelf(1));
    let one = begin(&mut history, Take);
    let other = begin(&mut history, Take);
    history.ok(one, VirtualTime(1), Taken);
    history.ok(other, VirtualTime(2), Taken);
    now(&mut history, Look, Left(0));
    let broken = history.judge().broken;
    assert_eq!(broken.len(), 1);
    assert_eq!(
        (broken[0].tag, broken[0].at, broken[0].among),
        ("take", VirtualTime(2), 2)
    );
}

#[test]
fn an_old_answer_to_a_new_question_is_not_explained() {
    let mut history = History::new(Shelf(2));
    now(&mut history, Take, Taken);
    now(&mut history, Look, Left(2));
    let broken = history.judge().broken;
    assert_eq!(broken.first().map(|b| (b.tag, b.among)), Some(("look", 2)));
}

#[test]
fn an_operation_of_unknown_outcome_may_take_effect_late_or_never_but_not_early() {
    for (looks, explained) in [
        (&[2][..], true),
        (&[2, 1], true),
        (&[1, 1], true),
        (&[1, 2], false),
        (&[0], false),
    ] {
        let mut history = History::new(Shelf(2));
        let _ = begin(&mut history, Take);
        for left in looks {
            now(&mut history, Look, Left(*left));
        }
        assert_eq!(history.judge().broken.is_empty(), explained, "{looks:?}");
    }
    let mut early = History::new(Shelf(2));
    now(&mut early, Look, Left(1));
    let _ = begin(&mut early, Take);
    assert_eq!(early.judge().broken.len(), 1);
}

#[test]
fn a_failed_operation_had_no_effect() {
    let mut history = History::new(Shelf(2));
    let take = begin(&mut history, Take);
    history.failed(take);
    now(&mut history, Look, Left(1));
    assert_eq!(history.judge().broken.len(), 1);
}

#[test]
fn objects_are_judged_each_on_its_own() {
    let mut history = History::new(Shelf(1));
    for object in ["lamp", "chair"] {
        let take = history.invoked(object, NOW, Take);
        history.ok(take, NOW, Taken);
    }
    assert_eq!(history.judge().judged, 2);
    assert!(history.judge().broken.is_empty());
}

#[test]
fn a_history_that_is_too_wide_is_counted_and_not_judged() {
    let mut long = History::new(Shelf(1));
    for _ in 0..=OPERATIONS_MAX {
        now(&mut long, Look, Left(1));
    }
    let mut wide = History::new(Shelf(60));
    for _ in 0..40 {
        let _ = begin(&mut wide, Take);
    }
    for _ in 0..30 {
        now(&mut wide, Take, Taken);
    }
    now(&mut wide, Look, Left(60));
    for history in [long, wide] {
        let judged = history.judge();
        assert_eq!((judged.judged, judged.too_wide), (0, 1), "{judged:?}");
    }
}

/// A client's next step: begin something, or hear the end of what was begun first.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(Call),
    /// The object serves the oldest operation that it has not served.
    Serve,
    /// The client that has waited longest is answered; or never is.
    End {
        lost: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Begin(Take)),
        Just(Step::Begin(Look)),
        Just(Step::Serve),
        any::<bool>().prop_map(|lost| Step::End { lost }),
    ]
}

proptest! {
    #[test]
    fn what_a_sound_object_says_is_always_explained(
        stock in 0u32..4,
        steps in prop::collection::vec(step(), 0..24),
        lies in any::<bool>(),
    ) {
        let shelf = Shelf(stock);
        let mut history = History::new(Shelf(stock));
        let (mut left, mut waiting, mut served) = (stock, Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Begin(call) => waiting.push((begin(&mut history, call), call)),
                Step::Serve if !waiting.is_empty() => {
                    let (ticket, call) = waiting.remove(0);
                    let (after, answer) = shelf.serve(&left, &call);
                    left = after;
                    served.push((ticket, answer));
                }
                Step::End { lost } if !served.is_empty() => {
                    let (ticket, answer) = served.remove(0);
                    if !lost {
                        history.ok(ticket, NOW, answer);
                    }
                }
                Step::Serve | Step::End { .. } => {}
            }
        }
        if lies {
            now(&mut history, Look, Left(stock + 1));
        }
        let judged = history.judge();
        // Many operations without an end may be too wide a search for a lie, never a lie that is believed.
        prop_assert_eq!(judged.broken.len() as u64 + judged.too_wide, u64::from(lies));
    }
}

/// An operation as drawn: when it begins, and when it is answered, if ever.
type Drawn = (Call, u8, Option<(u8, Answer)>);

fn drawn() -> impl Strategy<Value = Drawn> {
    let answer = prop_oneof![Just(Taken), Just(Empty), (0u32..3).prop_map(Left)];
    let end = prop::option::of((0u8..12, answer));
    (prop_oneof![Just(Take), Just(Look)], 0u8..12, end)
}

/// Whether the operations of some order, each of them placed or left out if it may be, explain all answers.
fn some_order_explains(left: u32, placed: u8, operations: &[Drawn]) -> bool {
    let open = || (0..operations.len()).filter(|place| placed & (1 << place) == 0);
    let end = |place: usize| {
        operations[place]
            .2
            .as_ref()
            .map(|(length, _)| operations[place].1 + length)
    };
    let first_end = open().filter_map(end).min();
    first_end.is_none()
        || open().any(|place| {
            let (call, begin, told) = &operations[place];
            let (after, right) = Shelf(0).serve(&left, call);
            first_end.is_none_or(|first_end| *begin <= first_end)
                && told.as_ref().is_none_or(|(_, told)| *told == right)
                && some_order_explains(after, placed | 1 << place, operations)
        })
}

proptest! {
    #[test]
    fn the_search_agrees_with_the_trial_of_every_order(
        stock in 0u32..3,
        operations in prop::collection::vec(drawn(), 0..7),
    ) {
        // At one time all invocations come before all answers.
        let mut events = Vec::new();
        for (place, (_, begin, told)) in operations.iter().enumerate() {
            events.push((*begin, false, place));
            events.extend(told.iter().map(|(length, _)| (begin + length, true, place)));
        }
        events.sort_unstable();
        let mut history = History::new(Shelf(stock));
        let mut tickets = BTreeMap::new();
        for (_, answered, place) in events {
            if answered {
                let (_, answer) = operations[place].2.clone().expect("it is answered");
                history.ok(tickets.remove(&place).expect("it was invoked"), NOW, answer);
            } else {
                tickets.insert(place, begin(&mut history, operations[place].0));
            }
        }
        prop_assert_eq!(history.judge().broken.is_empty(), some_order_explains(stock, 0, &operations));
    }
}
