//! Leases: only their owners release them, of two holders one writes, and none is held when all is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Sim, check::Findings};
use squall_services::{
    infrastructure::lock::{Lost, Shelf, book::Crossed},
    orchestration::orders::saga_lock,
    shared::inventory::{model::ReservationState, store::RESERVATIONS},
};
use tokio::time::Instant;

use super::notes::field;
use crate::lock;

/// A lease is renewed for half a minute at most and ends within another; a minute for whoever waits.
const LEASES_END: Duration = Duration::from_secs(2 * 60);

/// No lease is renewed for so long; somewhat more than a minute.
const HELD_MAX: Duration = Duration::from_secs(70);

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
    sim.inside(FENCED);
    let (books, mut told) = (shelf.clone(), 0);
    let mut judge_promises = move |findings: &mut Findings| {
        for Crossed { name, holder, next } in books.crossed(told) {
            told += 1;
            findings.broken_as(
                PROMISED,
                "granted while it lasts",
                &[&name, &holder.0],
                format!(
                    "token {} lasts for as long as its holder was told",
                    holder.1
                ),
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
    let mut settling = None;
    sim.finally("no leaked lease lock", LEASES_END, move |_, findings| {
        let settling = *settling.get_or_insert_with(Instant::now);
        for (lock, owner, token) in shelf.held() {
            let since = shelf.promise(token).map(|promise| promise.since);
            if since.is_some_and(|since| since > settling && since.elapsed() < HELD_MAX) {
                // Somebody is at work, on what a healer has found.
                continue;
            }
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

/// Watches, where each saga holds its product's lock throughout, that no saga reserves without ever having been granted
/// the lock.
pub fn watch_sagas(sim: &Sim) {
    let granted: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>> = Arc::default();
    let noted = granted.clone();
    let goal = "a saga came in after another one";
    sim.sometimes_logged_where(goal, "lock", "lease granted", move |scope, fields| {
        let (Some(name), Some(_)) = (field(fields, "lock"), token(fields)) else {
            return false;
        };
        let mut granted = lock(&noted);
        let sagas = granted.entry(name.to_owned()).or_default();
        sagas.insert(scope.saga_id.clone());
        sagas.len() > 1
    });
    sim.inside(LOCKED);
    sim.always(LOCKED, move |commit, findings| {
        let of_inventory = commit.node == "inventory";
        let rows = commit.rows.iter();
        for row in rows.filter(|row| of_inventory && row.table == RESERVATIONS.name) {
            let Some(value) = &row.value else { continue };
            let reservation = RESERVATIONS
                .decode(value)
                .expect("a row is of its table's type");
            let name = saga_lock(&reservation.sku);
            let was_granted = lock(&granted)
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
}

fn token(fields: &str) -> Option<u64> {
    field(fields, "token")?.parse().ok()
}
