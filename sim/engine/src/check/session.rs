//! The order that one reader may count on: what was told once is not taken back.
//!
//! Two of the session guarantees of Terry et al. (PDIS 1994): *read your writes* (what the reader was told of a write
//! of its own shows in every read that begins later) and *monotonic reads* (a read shows nothing older than a read that
//! had ended before it began).

use std::collections::BTreeMap;

/// What a reader was told, by the thing concerned: the most advanced state of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<V> {
    known: BTreeMap<String, V>,
}

/// A read that shows less than what was told before it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backwards<V> {
    /// The thing concerned.
    pub id: String,
    /// What was told before.
    pub known: V,
    /// What the read shows of it; `None` if nothing.
    pub found: Option<V>,
}

impl<V> Default for Session<V> {
    fn default() -> Self {
        Session {
            known: BTreeMap::new(),
        }
    }
}

impl<V: Clone> Session<V> {
    /// The reader is told that `id` is in this state. `comes_after(a, b)`: whether a thing that was in state `a` can
    /// be in `b` later, or still.
    pub fn told(&mut self, id: &str, state: V, comes_after: impl Fn(&V, &V) -> bool) {
        match self.known.get_mut(id) {
            Some(known) if comes_after(known, &state) => *known = state,
            Some(_) => {}
            None => {
                self.known.insert(id.to_owned(), state);
            }
        }
    }

    /// The same, of this one thing only: for a reading that shows no other.
    #[must_use]
    pub fn only(&self, id: &str) -> Self {
        let known = self.known.get_key_value(id);
        let known = known.map(|(id, state)| (id.clone(), state.clone()));
        Session {
            known: known.into_iter().collect(),
        }
    }

    /// The first thing that a complete reading, `found`, shows as older than it was `before` the reading began.
    pub fn backwards(
        before: &Session<V>,
        found: &BTreeMap<String, V>,
        comes_after: impl Fn(&V, &V) -> bool,
    ) -> Option<Backwards<V>> {
        before.known.iter().find_map(|(id, known)| {
            let now = found.get(id);
            let stands = now.is_some_and(|now| comes_after(known, now));
            (!stands).then(|| Backwards {
                id: id.clone(),
                known: known.clone(),
                found: now.cloned(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(a: &u32, b: &u32) -> bool {
        a <= b
    }

    #[test]
    fn a_reading_that_lacks_or_undoes_what_was_told_goes_backwards() {
        let mut session = Session::default();
        session.told("order", 2, later);
        session.told("order", 1, later);
        let reading = |state: Option<u32>| {
            let found = state.map(|s| ("order".to_owned(), s)).into_iter().collect();
            Session::backwards(&session, &found, later).map(|b| (b.known, b.found))
        };
        assert_eq!(reading(None), Some((2, None)));
        assert_eq!(reading(Some(1)), Some((2, Some(1))));
        assert_eq!(reading(Some(2)), None);
        assert_eq!(reading(Some(3)), None);
    }

    #[test]
    fn what_was_told_while_a_reading_was_under_way_is_not_held_against_it() {
        let mut session = Session::default();
        session.told("order", 1, later);
        let before = session.clone();
        session.told("order", 2, later);
        let found = BTreeMap::from([("order".to_owned(), 1)]);
        assert_eq!(Session::backwards(&before, &found, later), None);
        assert!(Session::backwards(&session, &found, later).is_some());
    }
}
