//! The search for an order, with `todc-utils`.
//!
//! Its checker knows complete histories and objects that start in a fixed state, and does not give up. So an operation
//! without an answer is given one at the very end, where it may take effect at any time, and last of all if never; the
//! state is optional, none being the model's first; and every operation carries the budget, which makes all further
//! tries fail once it is spent.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use todc_utils::{
    Specification,
    linearizability::{
        WGLChecker,
        history::{Action, History},
    },
};

use super::{Model, OPERATIONS_MAX, TRIES_MAX, TooWide};

/// An operation, as far as it is known at the moment that is looked at.
pub(super) struct Seen<M: Model> {
    pub call: M::Call,
    pub from: u64,
    /// The event of the answer, and the answer.
    pub told: Option<(u64, M::Answer)>,
}

/// Whether some order explains all answers.
pub(super) fn is_linearizable<M: Model>(
    model: &Arc<M>,
    seen: Vec<Seen<M>>,
) -> Result<bool, TooWide> {
    if seen.is_empty() {
        return Ok(true);
    }
    if seen.len() > OPERATIONS_MAX {
        return Err(TooWide);
    }
    let budget = Arc::new(AtomicU64::new(TRIES_MAX));
    let mut events = Vec::with_capacity(2 * seen.len());
    for (place, operation) in seen.into_iter().enumerate() {
        let (end, answer) = match operation.told {
            Some((event, answer)) => (event, Some(answer)),
            None => (u64::MAX, None),
        };
        let tried = Arc::new(Tried {
            model: model.clone(),
            call: operation.call,
            answer,
            budget: budget.clone(),
        });
        events.push((operation.from, place, Action::Call(tried.clone())));
        events.push((end, place, Action::Response(tried)));
    }
    // Stable: operations that never ended stay in the order in which they began.
    events.sort_by_key(|(event, ..)| *event);
    let actions = events.into_iter().map(|(_, place, action)| (place, action));
    let found =
        WGLChecker::<Sequential<M>>::is_linearizable(History::from_actions(actions.collect()));
    if !found && budget.load(Ordering::Relaxed) == 0 {
        return Err(TooWide);
    }
    Ok(found)
}

#[derive(Debug)]
struct Tried<M: Model> {
    model: Arc<M>,
    call: M::Call,
    /// None fits any.
    answer: Option<M::Answer>,
    budget: Arc<AtomicU64>,
}

struct Sequential<M>(PhantomData<M>);

impl<M: Model> Specification for Sequential<M> {
    type State = Option<M::State>;
    type Operation = Arc<Tried<M>>;

    fn init() -> Self::State {
        None
    }

    fn apply(tried: &Self::Operation, state: &Self::State) -> (bool, Self::State) {
        let left = tried.budget.load(Ordering::Relaxed);
        if left == 0 {
            return (false, None);
        }
        tried.budget.store(left - 1, Ordering::Relaxed);
        let first;
        let state = match state {
            Some(state) => state,
            None => {
                first = tried.model.initial();
                &first
            }
        };
        let (after, right) = tried.model.serve(state, &tried.call);
        let fits = tried
            .answer
            .as_ref()
            .is_none_or(|told| tried.model.explains(&right, told));
        (fits, Some(after))
    }
}
