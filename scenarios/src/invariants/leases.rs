//! Leases: none is held when all is done.

use std::time::Duration;

use squall::Sim;
use squall_services::lock::Shelf;

/// A lease is renewed for half a minute at most and ends within another; a minute for whoever waits.
const LEASES_END: Duration = Duration::from_secs(2 * 60);

/// Watches the leases of a lock service.
pub fn watch(sim: &Sim, shelf: &Shelf) {
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
