//! Programs that live twice, and say what the second life finds.

use std::time::Duration;

use squall::{
    Sim,
    seed::Seed,
    storm::{Action, Fault, Plan},
};
use squall_core::event::What;

/// The last line that is said, where the first life ends so after half a second.
pub fn last_line(seed: u64, end: impl Into<Action>, add: impl Fn(&Sim) + Send + Sync) -> String {
    let plan = Plan::new(vec![Fault::at_ms(500, end)]);
    let outcome = squall::storms("lives")
        .plan(plan)
        .one(Seed(seed), |sim: &Sim| {
            add(sim);
            sim.client("waits", async |client: squall::Client| {
                client.sleep(Duration::from_secs(2)).await;
            });
        });
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    let events = outcome.trace.expect("it is kept").events;
    let mut told = events.into_iter().filter_map(|event| match event.what {
        What::Log { message, .. } => Some(message.into_owned()),
        _ => None,
    });
    told.next_back().expect("it speaks")
}
