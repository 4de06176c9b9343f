//! Leases: only their owners release them, of two holders one writes, and none is held when all is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Sim, check::Findings};
use squall_services::{
    inventory::{model::ReservationState, store::RESERVATIONS},
    lock::{Lost, Shelf, book::Crossed},
    order::saga_lock,
};
use tokio::time::Instant;

use super::orders::Orders;
use crate::{lock, sometimes::FENCED_OFF};

/// A lease is renewed for half a minute at most and ends within another; a minute for whoever waits.
const LEASES_END: Duration = Duration::from_secs(2 * 60);

/// What is told where the holder of an earlier lease writes after that of a later one.
pub const FENCED: &str = "two holders of a lease never both write";

/// The token that a product was written under, before a write and after it.
pub fn judge_fence(product: &str, (before, after): (u64, u64), findings: &mut Findings) {
    if after < before {
        findings.broken_as(
            FENCED,
            "an earlier lease wrote",
            &[product],
            format!("token {before} or a later one"),
            after.to_string(),
        );
    }
}

/// What the lock service is held to by its own books, which go by the monotonic clock.
const PROMISED: &str = "a lock is promised to one owner at a time";

/// What holders are held to whom nothing fences off.
const HOLDS: &str = "whoever works under a lease holds it then";

/// Watches the leases of a lock service.
pub fn watch(sim: &Sim, shelf: &Shelf) {
    let (books, mut told) = (shelf.clone(), 0);
    let mut judge_promises = move |findings: &mut Findings| {
        for Crossed { name, holder, next } in books.crossed(told) {
            told += 1;
            findings.broken_as(
                PROMISED,
                "granted while it lasts",
                &[&name, &holder.0],
                format!("token {} lasts for as long as its holder was told", holder.1),
                format!("{} was granted the lock under token {}", next.0, next.1),
            );
        }
    };
    sim.always(PROMISED, move |_, findings| judge_promises(findings));
    let released = shelf.clone();
    sim.finally(
        "a lease is released by its owner only",
        LEASES_END,
        move |_, findings| {
            for Lost { name, holder, by } in released.lost() {
                findings.broken(
                    "released by another",
                    &[&name],
                    format!("token {} of {} lasts", holder.1, holder.0),
                    format!("{} released it with token {}", by.0, by.1),
                );
            }
        },
    );
    let shelf = shelf.clone();
    sim.finally("no leaked lease lock", LEASES_END, move |_, findings| {
        for (lock, owner, token) in shelf.held() {
            findings.broken(
                "held",
                &[&lock],
                "a lock that nobody holds",
                format!("token {token} of {owner}"),
            );
        }
    });
}

/// Watches the holders on these nodes, who look whether their lease lasts before each piece of work and say so: by the
/// lock service's books it does. What a lock service has forgotten in a crash says nothing.
pub fn watch_holders(sim: &Sim, shelf: &Shelf, nodes: &[&'static str]) {
    let without: Arc<Mutex<Vec<[String; 2]>>> = Arc::default();
    for &node in nodes {
        let (shelf, without) = (shelf.clone(), without.clone());
        let goal = "somebody worked under a lease";
        sim.sometimes_logged_where(goal, node, "works under lease", move |_, fields| {
            let promise = token(fields).and_then(|token| shelf.promise(token));
            let binds = promise
                .as_ref()
                .is_none_or(|promise| promise.binds(Instant::now()));
            if let (false, Some(promise)) = (binds, promise) {
                let token = promise.token.to_string();
                lock(&without).push([promise.name, token]);
            }
            true
        });
    }
    sim.always(HOLDS, move |_, findings| {
        for [name, token] in lock(&without).drain(..) {
            findings.broken(
                "holds it no more",
                &[&name],
                format!("a lease under token {token} that lasts"),
                "it has ended",
            );
        }
    });
}

/// What a saga that locks its product throughout is held to when it reserves.
const LOCKED: &str = "a saga reserves only what it was granted the lock of";

/// What the lock service is held to.
const ONE_AT_A_TIME: &str = "a lock is granted to one saga at a time";

/// A lock that a saga was granted.
struct Grant {
    saga: String,
    token: u64,
    /// Since the beginning of the run.
    at: Duration,
}

/// Who was granted which lock.
struct Grants {
    /// How long a lease lasts at least.
    lease: Duration,
    /// By lock: every saga that was granted it.
    ever: BTreeMap<String, BTreeSet<String>>,
    /// By lock: the last grant, until its saga has ended or was seen to let go.
    last: BTreeMap<String, Grant>,
    /// By token: the replica that learned of its grant.
    holders: BTreeMap<u64, &'static str>,
    /// Grants of a lock that another saga still had: the lock, the earlier saga, the later one.
    crossed: Vec<[String; 3]>,
}

impl Grants {
    fn new(lease: Duration) -> Self {
        Grants {
            lease,
            ever: BTreeMap::new(),
            last: BTreeMap::new(),
            holders: BTreeMap::new(),
            crossed: Vec::new(),
        }
    }

    /// A saga is granted a lock. Whether another one had it before.
    fn grant(&mut self, lock: &str, next: Grant) -> bool {
        if let Some(last) = self.last.get(lock) {
            // A lock service that was down has forgotten its leases; the upper half of a token counts its lives.
            let same_life = last.token >> 32 == next.token >> 32;
            if last.saga != next.saga && same_life && next.at < last.at + self.lease {
                let crossed = [lock, &last.saga, &next.saga].map(str::to_owned);
                self.crossed.push(crossed);
            }
        }
        let sagas = self.ever.entry(lock.to_owned()).or_default();
        let follows = sagas.iter().any(|saga| *saga != next.saga);
        sagas.insert(next.saga.clone());
        self.last.insert(lock.to_owned(), next);
        follows
    }

    /// A replica lets go of what it holds for a saga, as it has lost that.
    fn let_go(&mut self, replica: &str, saga: &str) {
        let holders = &self.holders;
        let is_its = |grant: &Grant| {
            holders
                .get(&grant.token)
                .is_none_or(|holder| *holder == replica)
        };
        self.last
            .retain(|_, grant| grant.saga != saga || !is_its(grant));
    }

    fn judge(&self, findings: &mut Findings) {
        for [lock, earlier, later] in &self.crossed {
            let expected = format!("{lock} stays with {earlier} until its lease ends");
            let found = format!("{later} was granted it");
            findings.broken_as(
                ONE_AT_A_TIME,
                "two at once",
                &[lock, earlier, later],
                expected,
                found,
            );
        }
    }
}

/// Watches, where each saga holds its product's lock throughout, what the lock service's own books do not show: that no
/// saga reserves without ever having been granted the lock, and that none is granted it before the lease of another one
/// that is still under way can have ended. One whose lease has ended may go on: nothing fences it off.
pub fn watch_sagas(
    sim: &Sim,
    orders: &Arc<Mutex<Orders>>,
    replicas: &[&'static str],
    lease: Duration,
) {
    let began = Instant::now();
    let grants = Arc::new(Mutex::new(Grants::new(lease)));
    let granted = grants.clone();
    let goal = "a saga came in after another one";
    sim.sometimes_logged_where(goal, "lock", "lease granted", move |scope, fields| {
        let (Some(name), Some(token)) = (field(fields, "lock="), token(fields)) else {
            return false;
        };
        let grant = Grant {
            saga: scope.saga_id.clone(),
            token,
            at: began.elapsed(),
        };
        lock(&granted).grant(name, grant)
    });
    for &replica in replicas {
        let (held, lost) = (grants.clone(), grants.clone());
        sim.sometimes_logged_where(goal, replica, "lease held", move |_, fields| {
            if let Some(token) = token(fields) {
                lock(&held).holders.insert(token, replica);
            }
            false
        });
        sim.sometimes_logged_where(FENCED_OFF, replica, "saga lost", move |scope, _| {
            lock(&lost).let_go(replica, &scope.saga_id);
            false
        });
    }
    let (judged, journal) = (grants.clone(), orders.clone());
    sim.always(LOCKED, move |commit, findings| {
        let mut grants = lock(&judged);
        grants.judge(findings);
        let orders = lock(&journal);
        let is_open = |saga: &str| {
            orders
                .sagas
                .get(saga)
                .is_some_and(|saga| saga.status.is_open())
        };
        grants.last.retain(|_, grant| is_open(&grant.saga));
        let of_inventory = commit.node == "inventory";
        let rows = commit.rows.iter();
        for row in rows.filter(|row| of_inventory && row.table == RESERVATIONS.name) {
            let Some(value) = &row.value else { continue };
            let reservation = RESERVATIONS
                .decode(value)
                .expect("a row is of its table's type");
            let name = saga_lock(&reservation.sku);
            let was_granted = grants
                .ever
                .get(&name)
                .is_some_and(|sagas| sagas.contains(&reservation.saga_id));
            if reservation.state == ReservationState::Reserved && !was_granted {
                let expected = "a lock before anything is reserved";
                findings.broken(
                    "reserved without it",
                    &[&name, &reservation.saga_id],
                    expected,
                    "none",
                );
            }
        }
    });
    sim.finally(ONE_AT_A_TIME, LEASES_END, move |_, findings| {
        lock(&grants).judge(findings)
    });
}

fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.split(' ').find_map(|field| field.strip_prefix(name))
}

fn token(fields: &str) -> Option<u64> {
    field(fields, "token=")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: u64 = 1 << 32;

    fn grant(saga: &str, token: u64, at_ms: u64) -> Grant {
        Grant {
            saga: saga.to_owned(),
            token,
            at: Duration::from_millis(at_ms),
        }
    }

    /// How often a lock crossed when `later` was granted it 3 s at most after `a` was.
    fn crossings(later: Grant, before: impl FnOnce(&mut Grants)) -> usize {
        let mut grants = Grants::new(Duration::from_secs(3));
        assert!(!grants.grant("lamp", grant("a", LIFE, 0)));
        grants.holders.insert(LIFE, "order-1");
        before(&mut grants);
        grants.grant("lamp", later);
        let mut findings = Findings::default();
        grants.judge(&mut findings);
        grants.crossed.len()
    }

    #[test]
    fn a_lock_that_two_sagas_are_granted_within_a_lease_is_told() {
        assert_eq!(crossings(grant("b", LIFE + 1, 2_999), |_| ()), 1);
    }

    #[test]
    fn a_lock_passes_on_when_its_lease_ends_or_its_service_has_forgotten_it() {
        assert_eq!(crossings(grant("b", LIFE + 1, 3_000), |_| ()), 0);
        assert_eq!(crossings(grant("b", 2 * LIFE, 1), |_| ()), 0);
        assert_eq!(crossings(grant("a", LIFE + 1, 1), |_| ()), 0);
    }

    #[test]
    fn a_replica_that_loses_a_saga_lets_go_of_what_it_holds_itself() {
        let mine = |grants: &mut Grants| grants.let_go("order-1", "a");
        assert_eq!(crossings(grant("b", LIFE + 1, 1), mine), 0);
        let anothers = |grants: &mut Grants| grants.let_go("order-2", "a");
        assert_eq!(crossings(grant("b", LIFE + 1, 1), anothers), 1);
    }
}
