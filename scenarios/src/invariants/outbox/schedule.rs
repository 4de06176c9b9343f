//! Nothing is given up too soon: a dead letter comes no sooner than the waits between its tries add up to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Sim, check::Findings, time::VirtualTime};
use squall_services::kit::outbox::{DEAD_LETTERS, OUTBOX, Policy, Row, State};

use crate::{
    lock,
    mirror::{Change, Mirror},
};

const NAME: &str = "a dead letter comes no sooner than its schedule";

/// Timers are good to a millisecond.
const TICK: Duration = Duration::from_millis(1);

/// When the rows of outboxes were tried.
pub(super) struct Schedule {
    policy: Policy,
    /// By node and row.
    tried: BTreeMap<(&'static str, String), Tried>,
}

/// The tries of a row.
struct Tried {
    /// When the first one failed.
    first: VirtualTime,
    /// What the waits between them come to.
    due: Duration,
    /// In which life of its process the last one failed, where a poller has left that with its claim: a restart forgets
    /// a wait.
    life: Option<u64>,
}

impl Schedule {
    pub fn new(policy: &Policy) -> Self {
        Schedule {
            policy: policy.clone(),
            tried: BTreeMap::new(),
        }
    }

    pub fn tries_max(&self) -> u32 {
        self.policy.attempts_max
    }

    /// A row of `node` has changed; it may have been `given_up`.
    pub fn follow(
        &mut self,
        node: &'static str,
        change: &Change<'_, Row>,
        given_up: bool,
        findings: &mut Findings,
    ) {
        let Some(before) = change.before() else {
            return;
        };
        let failed = given_up
            || change
                .after()
                .is_some_and(|row| row.attempts > before.attempts);
        if !failed {
            return;
        }
        let key = (node, change.key.to_owned());
        let life = match before.state {
            State::Processing { boot_id, .. } => Some(boot_id),
            _ => None,
        };
        let now = findings.now();
        let known = self.tried.remove(&key);
        let known = known.filter(|_| before.attempts > 0);
        let mut tried = known.unwrap_or(Tried {
            first: now,
            due: Duration::ZERO,
            life,
        });
        if before.attempts > 0 && life.is_some() && life == tried.life {
            tried.due += self.wait(before.attempts);
        }
        tried.life = life;
        let took = now.since(tried.first);
        if given_up && took + TICK < tried.due {
            findings.broken_as(
                NAME,
                "too soon",
                &[node, change.key, &before.event.kind],
                format!(
                    "{:?} at least between its first try and its last",
                    tried.due
                ),
                format!("{took:?}"),
            );
        }
        if !given_up {
            self.tried.insert(key, tried);
        }
    }

    /// The wait after so many failures.
    fn wait(&self, failures: u32) -> Duration {
        let growth = self.policy.growth.saturating_pow(failures - 1);
        self.policy.backoff.saturating_mul(growth)
    }
}

/// Watches the outbox of one node by itself, as patient as `policy` says.
pub fn watch(sim: &Sim, node: &'static str, policy: &Policy) {
    let rows = (
        Mirror::<Row>::new(node, OUTBOX),
        Mirror::<Row>::new(node, DEAD_LETTERS),
        Schedule::new(policy),
    );
    let rows = Arc::new(Mutex::new(rows));
    sim.always(NAME, move |commit, findings| {
        let (outbox, dead, schedule) = &mut *lock(&rows);
        let letters = dead.follow(commit);
        for change in outbox.follow(commit) {
            let given_up = letters.iter().any(|letter| letter.key == change.key);
            schedule.follow(node, &change, given_up, findings);
        }
    });
}
