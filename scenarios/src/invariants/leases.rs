//! Leases: only their owners release them, of two holders one writes, and none is held when all is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Sim, check::Findings};
use squall_services::{
    inventory::{model::ReservationState, store::RESERVATIONS},
    lock::{Lost, Shelf},
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

/// Watches the leases of a lock service.
pub fn watch(sim: &Sim, shelf: &Shelf) {
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

/// What sagas that lock their product throughout are held to.
const ISOLATED: &str = "sagas that lock a product throughout keep off each other";

/// Who was granted which lock, as the lock service says it.
struct Grants {
    /// How long a lease lasts at least.
    lease: Duration,
    /// Each lock with every saga that ever had it.
    ever: BTreeSet<(String, String)>,
    /// By lock: the saga that had it last, under which token and since when. Gone once it has let go early.
    last: BTreeMap<String, (String, u64, Instant)>,
    /// Locks that a saga was granted while another one's lease lasted: lock, the earlier saga, the later one.
    crossed: Vec<(String, String, String)>,
}

impl Grants {
    /// A saga is granted a lock. Whether another one had it before.
    fn grant(
        &mut self,
        (lock, token): (&str, u64),
        saga: &str,
        is_under_way: impl Fn(&str) -> bool,
    ) -> bool {
        let granted = (saga.to_owned(), token, Instant::now());
        self.ever.insert((lock.to_owned(), saga.to_owned()));
        let Some((earlier, before, since)) = self.last.insert(lock.to_owned(), granted) else {
            return false;
        };
        // A lock service that was down has forgotten its leases; the upper half of a token counts its lives.
        let same_life = before >> 32 == token >> 32;
        let is_early = since.elapsed() < self.lease;
        if earlier != saga && same_life && is_early && is_under_way(&earlier) {
            let crossed = (lock.to_owned(), earlier.clone(), saga.to_owned());
            self.crossed.push(crossed);
        }
        earlier != saga
    }
}

/// Watches, where each saga holds its product's lock throughout, what the lock service's own books do not show: that
/// none reserves without ever having been granted it, and that none is granted it while the lease of another one that
/// is still under way cannot have ended yet.
///
/// A replica that learns that it has lost its saga lets the lease go.
pub fn watch_sagas(
    sim: &Sim,
    orders: &Arc<Mutex<Orders>>,
    replicas: &[&'static str],
    lease: Duration,
) {
    let grants = Arc::new(Mutex::new(Grants {
        lease,
        ever: BTreeSet::new(),
        last: BTreeMap::new(),
        crossed: Vec::new(),
    }));
    let (granting, journal) = (grants.clone(), orders.clone());
    sim.sometimes_logged_where(
        "a saga came in after another one",
        "lock",
        "lease granted",
        move |scope, fields| {
            let field = |name| fields.split(' ').find_map(|field| field.strip_prefix(name));
            let (Some(name), Some(token)) = (field("lock="), field("token=")) else {
                return false;
            };
            let token = token.parse().expect("a token is a number");
            let orders = lock(&journal);
            let is_open = |saga: &str| {
                orders
                    .sagas
                    .get(saga)
                    .is_some_and(|saga| saga.status.is_open())
            };
            lock(&granting).grant((name, token), &scope.saga_id, is_open)
        },
    );
    for replica in replicas {
        let lost = grants.clone();
        sim.sometimes_logged_where(FENCED_OFF, replica, "saga lost", move |scope, _| {
            lock(&lost)
                .last
                .retain(|_, (saga, ..)| *saga != scope.saga_id);
            true
        });
    }
    sim.always(ISOLATED, move |commit, findings| {
        let mut grants = lock(&grants);
        for (lock, earlier, later) in grants.crossed.drain(..) {
            let expected = format!("{lock} stays with {earlier} until it ends");
            findings.broken(
                "two at once",
                &[&lock, &earlier, &later],
                expected,
                format!("{later} was granted it"),
            );
        }
        let rows = commit
            .rows
            .iter()
            .filter(|row| commit.node == "inventory" && row.table == RESERVATIONS.name);
        for value in rows.filter_map(|row| row.value.as_deref()) {
            let Ok(reservation) = RESERVATIONS.decode(value) else {
                continue;
            };
            let name = format!("order:lock:{}", reservation.sku);
            let of = (name, reservation.saga_id);
            if reservation.state == ReservationState::Reserved && !grants.ever.contains(&of) {
                let (name, saga) = of;
                findings.broken(
                    "reserved without it",
                    &[&name, &saga],
                    "a lease before anything is reserved",
                    "none",
                );
            }
        }
    });
}
