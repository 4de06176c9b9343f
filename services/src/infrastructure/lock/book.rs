//! What the service has promised to whom: plain data, no I/O, for whoever watches the service. It is kept from what was
//! answered, by the monotonic clock, whatever the service itself goes by when it lets the next one in.

use std::collections::BTreeMap;

/// Promises that can be looked up at most; the oldest is forgotten first.
const KEPT: usize = 256;

/// A lease as its holder was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise<I> {
    /// The lock.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// The fencing token: another one for each grant.
    pub token: u64,
    /// When it was first granted.
    pub since: I,
    /// When it ends by itself.
    pub until: I,
    /// Whether its owner has let go.
    pub released: bool,
}

impl<I: Copy + Ord> Promise<I> {
    /// Whether it binds the service at that instant.
    pub fn binds(&self, now: I) -> bool {
        !self.released && now < self.until
    }
}

/// A lock that was granted while another owner's lease of it was promised still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// The lock.
    pub name: String,
    /// Who held it, and under which token.
    pub holder: (String, u64),
    /// Who was granted it all the same, and under which token.
    pub next: (String, u64),
}

/// The promises of one life of the service. A crash forgets them, as it forgets the leases.
#[derive(Clone, Debug)]
pub struct Book<I> {
    /// By token.
    promises: BTreeMap<u64, Promise<I>>,
    crossed: Vec<Crossed>,
}

impl<I> Default for Book<I> {
    fn default() -> Self {
        Book {
            promises: BTreeMap::new(),
            crossed: Vec::new(),
        }
    }
}

impl<I: Copy + Ord> Book<I> {
    /// A new life begins: nothing is promised any more.
    pub fn forget(&mut self) {
        self.promises.clear();
    }

    /// An owner is told that the lock is theirs until then.
    pub fn granted(&mut self, name: &str, (owner, token): (&str, u64), now: I, until: I) {
        let others = self
            .promises
            .values()
            .filter(|promise| promise.name == name && promise.owner != owner && promise.binds(now));
        self.crossed.extend(others.map(|promise| Crossed {
            name: name.to_owned(),
            holder: (promise.owner.clone(), promise.token),
            next: (owner.to_owned(), token),
        }));
        while self.promises.len() >= KEPT {
            self.promises.pop_first();
        }
        let known = self.promises.get(&token);
        let promise = Promise {
            since: known.map_or(now, |known| known.since),
            name: name.to_owned(),
            owner: owner.to_owned(),
            token,
            until,
            released: false,
        };
        self.promises.insert(token, promise);
    }

    /// An owner is told that its lease lasts until then.
    pub fn renewed(&mut self, token: u64, until: I) {
        if let Some(promise) = self.promises.get_mut(&token) {
            promise.until = until;
        }
    }

    /// An owner lets go.
    pub fn released(&mut self, token: u64) {
        if let Some(promise) = self.promises.get_mut(&token) {
            promise.released = true;
        }
    }

    /// What was promised under a token, if that is known still.
    pub fn promise(&self, token: u64) -> Option<&Promise<I>> {
        self.promises.get(&token)
    }

    /// The grants that broke a promise, in their order.
    pub fn crossed(&self) -> &[Crossed] {
        &self.crossed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many promises are broken where the lock that ann holds from 0 to 10 is granted to `next` at `now`.
    fn crossings(next: &str, now: u64, before: impl FnOnce(&mut Book<u64>)) -> usize {
        let mut book = Book::default();
        book.granted("lamp", ("ann", 7), 0, 10);
        before(&mut book);
        book.granted("lamp", (next, 8), now, now + 10);
        book.crossed().len()
    }

    #[test]
    fn a_lock_that_is_granted_before_the_last_holders_time_is_over_breaks_a_promise() {
        assert_eq!(crossings("ben", 9, |_| ()), 1);
        assert_eq!(crossings("ben", 14, |book| book.renewed(7, 15)), 1);
    }

    #[test]
    fn a_lock_passes_on_when_its_time_is_over_or_its_holder_let_go_or_the_service_forgot() {
        assert_eq!(crossings("ben", 10, |_| ()), 0);
        assert_eq!(crossings("ben", 1, |book| book.released(7)), 0);
        assert_eq!(crossings("ben", 1, Book::forget), 0);
        assert_eq!(crossings("ann", 1, |_| ()), 0, "it was the same owner");
    }

    #[test]
    fn only_the_last_promises_are_kept() {
        let mut book = Book::default();
        for token in 0..=KEPT as u64 {
            book.granted("lamp", ("ann", token), 0, 10);
        }
        assert!(book.promise(0).is_none());
        assert!(book.promise(1).is_some_and(|promise| promise.binds(9)));
    }
}
