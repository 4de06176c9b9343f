//! The search for an order: that of Wing and Gong, with Lowe's memory of what was tried.
//!
//! An operation without an answer takes effect at any time after its invocation, or never. It is placed only where it
//! changes the state: anywhere else it may as well come later. Even many of them, and reads among them, cost little.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, DefaultHasher},
};

use super::{Model, OPERATIONS_MAX, TRIES_MAX, TooWide};

/// An operation, as far as it is known at the moment that is looked at.
pub(super) struct Seen<'a, M: Model> {
    pub call: &'a M::Call,
    pub from: u64,
    /// The event of the answer, and the answer.
    pub told: Option<(u64, &'a M::Answer)>,
}

impl<M: Model> Seen<'_, M> {
    /// The event by which it has taken effect.
    fn until(&self) -> u64 {
        self.told.map_or(u64::MAX, |(event, _)| event)
    }
}

/// The beginning of an order, and what it makes of the object.
struct Prefix<S> {
    /// The operations in it, as a set of their places.
    placed: u128,
    state: S,
    /// The place of the operation that is tried next.
    next: usize,
}

/// Whether some order explains all answers.
pub(super) fn is_linearizable<M: Model>(
    model: &M,
    mut seen: Vec<Seen<'_, M>>,
) -> Result<bool, TooWide> {
    if seen.len() > OPERATIONS_MAX {
        return Err(TooWide);
    }
    seen.sort_by_key(Seen::until);
    let answered = seen.partition_point(|operation| operation.told.is_some());

    let first = Prefix {
        placed: 0,
        state: model.initial(),
        next: 0,
    };
    let mut prefixes = vec![first];
    let mut known = HashSet::<_, BuildHasherDefault<DefaultHasher>>::default();
    let mut tries = 0;
    while let Some(prefix) = prefixes.last_mut() {
        let first_open = prefix.placed.trailing_ones() as usize;
        if first_open >= answered {
            return Ok(true);
        }
        let Some(operation) = seen.get(prefix.next) else {
            prefixes.pop();
            continue;
        };
        let bit = 1 << prefix.next;
        prefix.next += 1;
        if prefix.placed & bit != 0 || operation.from > seen[first_open].until() {
            continue;
        }
        tries += 1;
        if tries > TRIES_MAX {
            return Err(TooWide);
        }
        let (state, right) = model.serve(&prefix.state, operation.call);
        let fits = match operation.told {
            Some((_, told)) => model.explains(&right, told),
            None => state != prefix.state,
        };
        let placed = prefix.placed | bit;
        if fits && known.insert((placed, state.clone())) {
            prefixes.push(Prefix {
                placed,
                state,
                next: 0,
            });
        }
    }
    Ok(false)
}
