//! Leases: only their owners release them, of two holders one writes, and none is held when all is done.

use std::time::Duration;

use squall::{Sim, check::Findings};
use squall_services::lock::{Lost, Shelf};

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
