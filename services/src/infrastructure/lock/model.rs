//! Who holds which lease, and who waits: plain data, no I/O. Instants are the caller's.

use std::collections::{BTreeMap, VecDeque};

use super::QUEUE_MAX;

/// All locks of one life of the service.
///
/// Invariants: a lock without a lease and without a queue is not there; every owner waits at most once for a lock; a
/// token was never granted before.
#[derive(Debug)]
pub struct Leases<I> {
    locks: BTreeMap<String, Lock<I>>,
    next_token: u64,
}

#[derive(Debug)]
struct Lock<I> {
    lease: Option<Lease<I>>,
    queue: VecDeque<String>,
}

/// A lease that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease<I> {
    /// Who holds it.
    pub owner: String,
    /// Greater than every token before.
    pub token: u64,
    /// When it ends by itself.
    pub until: I,
}

impl<I> Lease<I> {
    /// Whether it was granted to this owner under this token.
    pub fn is_of(&self, owner: &str, token: u64) -> bool {
        (&*self.owner, self.token) == (owner, token)
    }
}

/// Which lease a release ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the owner who asks.
    Owners,
    /// Any. Unsound.
    Anybodys,
}

/// What an owner who asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<I> {
    /// The lease is the owner's, under this token.
    Granted(u64),
    /// It is in the queue; nothing changes before this instant unless somebody releases or leaves.
    Waits {
        /// When the present lease ends.
        free_at: I,
    },
    /// Too many wait.
    QueueFull,
}

/// What an owner who renews is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The lease goes on.
    Renewed,
    /// It has ended, or never was.
    NotYours,
}

impl<I: Copy + Ord> Leases<I> {
    /// Nothing is held; the first lease gets this token.
    pub fn new(first_token: u64) -> Self {
        Leases {
            locks: BTreeMap::new(),
            next_token: first_token,
        }
    }

    /// Asks for a lease until `until`, or takes a place in the queue; asking again keeps the place. Whoever holds the
    /// lease already is given it again, under its token.
    pub fn ask(&mut self, name: &str, owner: &str, now: I, until: I) -> Turn<I> {
        let lock = self.locks.entry(name.to_owned()).or_insert_with(|| Lock {
            lease: None,
            queue: VecDeque::new(),
        });
        lock.lease.take_if(|lease| lease.until <= now);
        if let Some(lease) = &mut lock.lease {
            if lease.owner == owner {
                lease.until = until;
                return Turn::Granted(lease.token);
            }
            let free_at = lease.until;
            return match lock.wait(owner) {
                true => Turn::Waits { free_at },
                false => Turn::QueueFull,
            };
        }
        if !lock.wait(owner) {
            return Turn::QueueFull;
        }
        if lock.queue.front().is_some_and(|first| first != owner) {
            // The first was woken as well, and comes before this instant is over.
            return Turn::Waits { free_at: until };
        }
        lock.queue.pop_front();
        let token = self.next_token;
        self.next_token += 1;
        lock.lease = Some(Lease {
            owner: owner.to_owned(),
            token,
            until,
        });
        Turn::Granted(token)
    }

    /// Forgets a lease that has ended, and tells its token.
    pub fn run_out(&mut self, name: &str, now: I) -> Option<u64> {
        let lock = self.locks.get_mut(name)?;
        let ended = lock.lease.take_if(|lease| lease.until <= now)?;
        Some(ended.token)
    }

    /// Gives a place in the queue up.
    pub fn leave(&mut self, name: &str, owner: &str) {
        if let Some(lock) = self.locks.get_mut(name) {
            lock.queue.retain(|waiting| waiting != owner);
        }
        self.tidy(name);
    }

    /// Prolongs a lease that has not ended.
    pub fn renew(&mut self, name: &str, (owner, token): (&str, u64), now: I, until: I) -> Renewal {
        let lease = self
            .locks
            .get_mut(name)
            .and_then(|lock| lock.lease.as_mut());
        match lease {
            Some(lease) if lease.is_of(owner, token) && lease.until > now => {
                lease.until = until;
                Renewal::Renewed
            }
            _ => Renewal::NotYours,
        }
    }

    /// Ends the lease of this owner and token, or whoever's it is by now; the lease that ended.
    pub fn release(
        &mut self,
        name: &str,
        (owner, token): (&str, u64),
        whose: Whose,
    ) -> Option<Lease<I>> {
        let lock = self.locks.get_mut(name)?;
        let released = lock
            .lease
            .take_if(|lease| whose == Whose::Anybodys || lease.is_of(owner, token));
        self.tidy(name);
        released
    }

    /// The leases that have not ended, by lock.
    pub fn held(&self, now: I) -> impl Iterator<Item = (&str, &Lease<I>)> {
        self.locks.iter().filter_map(move |(name, lock)| {
            let lease = lock.lease.as_ref().filter(|lease| lease.until > now)?;
            Some((name.as_str(), lease))
        })
    }

    fn tidy(&mut self, name: &str) {
        let unused = |lock: &Lock<I>| lock.lease.is_none() && lock.queue.is_empty();
        if self.locks.get(name).is_some_and(unused) {
            self.locks.remove(name);
        }
    }
}

impl<I> Lock<I> {
    /// Takes a place in the queue, or keeps it; `false` if there is none.
    fn wait(&mut self, owner: &str) -> bool {
        let waits = self.queue.iter().any(|waiting| waiting == owner);
        if !waits && self.queue.len() >= QUEUE_MAX {
            return false;
        }
        if !waits {
            self.queue.push_back(owner.to_owned());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Deed {
        Ask(u64),
        Leave,
        Renew(u64),
        Release,
        Pass(u64),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            (1u64..20).prop_map(Deed::Ask),
            Just(Deed::Leave),
            (1u64..20).prop_map(Deed::Renew),
            Just(Deed::Release),
            (1u64..15).prop_map(Deed::Pass),
        ]
    }

    proptest! {
        #[test]
        fn a_lease_has_one_holder_and_tokens_only_grow(
            deeds in prop::collection::vec(("[abc]", deed()), 1..60),
        ) {
            let (mut leases, mut now, mut greatest) = (Leases::new(7), 0u64, 6);
            let mut tokens: BTreeMap<String, u64> = BTreeMap::new();
            for (who, deed) in deeds {
                let token = tokens.get(&who).copied().unwrap_or(0);
                let before = leases.held(now).next().map(|(_, lease)| lease.clone());
                let mine = before.as_ref().is_some_and(|l| l.owner == who && l.token == token);
                match deed {
                    Deed::Pass(time) => now += time,
                    Deed::Leave => leases.leave("x", &who),
                    Deed::Release => {
                        let released = leases.release("x", (&who, token), Whose::Owners);
                        prop_assert!(released.is_some() || !mine);
                    },
                    Deed::Renew(time) => {
                        let renewed = leases.renew("x", (&who, token), now, now + time);
                        prop_assert_eq!(renewed == Renewal::Renewed, mine);
                    }
                    Deed::Ask(time) => match leases.ask("x", &who, now, now + time) {
                        Turn::Granted(token) if mine => prop_assert_eq!(token, tokens[&who]),
                        Turn::Granted(token) => {
                            prop_assert!(before.is_none(), "granted while {before:?}");
                            prop_assert!(token > greatest);
                            greatest = token;
                            tokens.insert(who, token);
                        }
                        Turn::Waits { free_at } => prop_assert!(free_at > now),
                        Turn::QueueFull => prop_assert!(false, "three owners fill no queue"),
                    },
                }
            }
        }
    }

    #[test]
    fn those_who_wait_are_served_in_the_order_of_asking() {
        let mut leases = Leases::new(1);
        assert_eq!(leases.ask("x", "ann", 0, 10), Turn::Granted(1));
        assert_eq!(leases.ask("x", "ben", 1, 11), Turn::Waits { free_at: 10 });
        assert_eq!(leases.ask("x", "cho", 2, 12), Turn::Waits { free_at: 10 });
        assert!(leases.release("x", ("ann", 1), Whose::Owners).is_some());
        assert_eq!(leases.ask("x", "cho", 3, 13), Turn::Waits { free_at: 13 });
        assert_eq!(leases.ask("x", "ben", 3, 13), Turn::Granted(2));
        assert!(leases.release("x", ("ben", 2), Whose::Owners).is_some());
        assert_eq!(leases.ask("x", "cho", 4, 14), Turn::Granted(3));
    }

    #[test]
    fn that_a_lease_ran_out_is_told_once() {
        let mut leases = Leases::new(7);
        assert_eq!(leases.run_out("x", 0), None, "nobody has asked for it");
        assert_eq!(leases.ask("x", "ann", 0, 10), Turn::Granted(7));
        assert_eq!(leases.run_out("x", 9), None, "it lasts");
        assert_eq!(leases.run_out("x", 10), Some(7));
        assert_eq!(leases.run_out("x", 11), None);
    }

    #[test]
    fn only_the_owner_releases_and_only_its_own_lease() {
        let mut leases = Leases::new(1);
        assert_eq!(leases.ask("x", "ann", 0, 10), Turn::Granted(1));
        assert_eq!(
            leases.ask("x", "ben", 10, 20),
            Turn::Granted(2),
            "ann's has ended"
        );
        assert!(leases.release("x", ("ann", 1), Whose::Owners).is_none());
        assert_eq!(leases.renew("x", ("ann", 1), 11, 21), Renewal::NotYours);
        assert!(leases.release("x", ("ben", 2), Whose::Owners).is_some());
        assert_eq!(leases.held(11).count(), 0);
    }
}
