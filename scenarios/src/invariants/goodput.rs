//! After healing, what is asked for is done again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use std::time::Duration;

use serde_json::json;
use squall::Sim;

use super::{orders::Promises, sagas::JOURNAL_ENDS};
use crate::{
    customer::{Person, keyed},
    shop::Shelf,
};

/// What is told where nobody gets anything done any more.
pub const GOODPUT: &str = "after healing, goodput comes back";

/// From one try to the next: longer than what recovers by itself within a call.
const ASKS_EVERY: Duration = Duration::from_secs(5);

/// Somebody comes when the storm is over, orders what nobody else wants at `entry`, and has to get it.
pub fn watch(sim: &Sim, entry: &'static str, shelf: Shelf, promises: &Arc<Promises>) {
    let served = Arc::new(AtomicBool::new(false));
    let (told, asked) = (served.clone(), promises.asked().clone());
    sim.after_storm("late", move |client| async move {
        let person = Person::new(&client, entry).noting(&asked);
        let wish = json!({ "user": "late", "sku": shelf.sku, "quantity": 1, "card": "visa" });
        let order = keyed("late-1", "POST", "/orders", wish);
        while !person
            .ask(&order)
            .await
            .is_ok_and(|reply| reply.status == 201)
        {
            client.node().sleep(ASKS_EVERY).await;
        }
        told.store(true, Relaxed);
    });
    sim.finally(GOODPUT, JOURNAL_ENDS, move |_, findings| {
        if !served.load(Relaxed) {
            findings.broken("nothing done", &[entry], "a completed order", "none");
        }
    });
}
