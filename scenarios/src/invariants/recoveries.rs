//! Reachability goals that are recoveries: each may be needed only in the wake of a disturbance.

use std::{collections::BTreeMap, time::Duration};

use squall::Sim;

use super::healers::{self, Healer};
use crate::reachability_goals::logged;

/// A saga went on that its last driver had left.
const RECOVERED: &str = "a saga was recovered";

/// An undo is asked again that was asked in vain.
const INSISTING: Healer = Healer {
    goal: "a compensation was asked again",
    message: "undo unknown",
    count: "healed: compensations asked again",
    // Breakers on the way open one after another, each for half a minute.
    wake: Duration::from_secs(2 * 60),
    but: None,
};

/// Goals of sagas, on the nodes that drive them.
pub fn sagas(sim: &Sim, node: &'static str) {
    healers::watch(sim, &[node], &[INSISTING]);
    sim.sometimes_logged("a saga needed attention", node, "saga needs attention");
    let recovered = sim.goal(RECOVERED);
    sim.at_end(move |_| vec![("healed: sagas recovered", recovered.hits())]);
    sim.sometimes_logged(RECOVERED, node, healers::RESUMED);
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    sim.sometimes_logged_where(
        "a saga was recovered twice",
        node,
        healers::RESUMED,
        move |scope, _| {
            let times = times.entry(scope.saga_id.clone()).or_default();
            *times += 1;
            *times == 2
        },
    );
    sim.sometimes_logged("the outcome of a step was not known", node, "step unknown");
}

/// A replica died, or seemed to, and another one has its saga before it is back.
pub const TAKING_OVER: Healer = Healer {
    goal: "a replica took over another one's saga",
    message: "saga taken over",
    count: "healed: sagas taken over",
    wake: WAKE,
    but: None,
};

/// A replica that was taken for dead is not, and went on until its next commit.
pub const FENCING_OFF: Healer = Healer {
    goal: "a replica that lost its saga was kept from a commit",
    message: "saga lost",
    count: "healed: commits of an old owner refused",
    wake: NOTICED,
    but: None,
};

/// For how long after a disturbance something is mended.
const WAKE: Duration = Duration::from_secs(30);

/// The same for an old owner, who learns of it when it next commits. It tries its step again half a minute later at most,
/// and some tries may meet breakers that are still open.
const NOTICED: Duration = Duration::from_secs(120);

/// Goals of sagas that replicas drive.
pub fn replicas(sim: &Sim, nodes: &[&'static str]) {
    healers::watch(sim, nodes, &[TAKING_OVER, FENCING_OFF]);
    for node in nodes {
        sagas(sim, node);
    }
}

/// Goals of writes under leases, on the nodes that write.
pub fn fences(sim: &Sim, writers: &[&'static str]) {
    let fencing = Healer {
        goal: "what was written under an old lease was fenced off",
        message: "write fenced off",
        count: "healed: writes fenced off",
        wake: WAKE,
        but: None,
    };
    healers::watch(sim, writers, &[fencing]);
}

/// Goals of events that their consumer cannot handle.
pub fn deliveries(sim: &Sim, nodes: &[&'static str]) {
    let delivering = Healer {
        goal: "an event could not be handled at once",
        message: "an event is to be delivered again",
        count: "healed: events delivered again",
        wake: INSISTING.wake,
        but: None,
    };
    healers::watch(sim, nodes, &[delivering]);
}

/// For how long after a disturbance an event may have to be sent again: a try takes no longer.
const SENT: Duration = Duration::from_secs(30);

/// How the bus refuses an event that is too large.
const TOO_LARGE: Option<&str> = Some("BodyTooLarge");

/// Goals of events between their outbox and their consumers.
pub fn events(sim: &Sim, nodes: &[&'static str]) {
    let sending = Healer {
        goal: "an event was sent again",
        message: "outbox row failed",
        count: "healed: events sent again",
        wake: SENT,
        but: TOO_LARGE,
    };
    let giving_up = Healer {
        goal: "an event was given up",
        message: "outbox row dead-lettered",
        count: "healed: events given up",
        wake: SENT,
        but: TOO_LARGE,
    };
    healers::watch(sim, nodes, &[sending, giving_up]);
    let redriven = (
        "a dead letter was sent on its way again",
        "outbox row redriven",
    );
    logged(sim, nodes, &[redriven]);
}
