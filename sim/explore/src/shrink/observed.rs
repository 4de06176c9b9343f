//! What a failing run shows, as far as making it smaller needs it.

use std::collections::{BTreeMap, BTreeSet};

use squall_core::{
    event::{Event, FOUND_AFTER_OUTAGE, Fate, What},
    site::{Kind, Site},
    time::VirtualTime,
};
use squall_engine::run::Outcome;

use super::Sizes;

/// A failing run with its trace.
pub(super) struct Observed {
    pub outcome: Outcome,
}

/// A named site that the run passed.
pub(super) struct Passed {
    pub at: VirtualTime,
    pub site: Site,
    /// What became of the burst, if it is one.
    pub fate: Option<Fate>,
}

impl Observed {
    pub fn of(outcome: Outcome) -> Self {
        Observed { outcome }
    }

    fn events(&self) -> &[Event] {
        self.outcome.trace.as_ref().map_or(&[], |t| &t.events)
    }

    /// The operations that clients called for, in the order of their first call, each with its client.
    pub fn calls(&self) -> Vec<(&str, &str)> {
        calls(self.events())
    }

    /// The clients that called for anything.
    pub fn clients(&self) -> Vec<&str> {
        let mut clients = Vec::new();
        for (_, client) in self.calls() {
            if !clients.contains(&client) {
                clients.push(client);
            }
        }
        clients
    }

    /// The operations that happened and could be left out, in the order in which their clients asked.
    pub fn operations(&self) -> Vec<&str> {
        let happened = |name: &&str| !self.outcome.plan.without.iter().any(|gone| gone == name);
        let all = self.outcome.operations.iter().map(|one| &*one.name);
        all.filter(happened).collect()
    }

    /// Whether a client asked if this is to happen.
    pub fn asks(&self, operation: &str) -> bool {
        let mut all = self.outcome.operations.iter();
        all.any(|one| one.name == operation)
    }

    /// Every site of the run that has a name to aim at, in order. Disk writes and syncs leave no mark in a trace.
    pub fn sites(&self) -> Vec<Passed> {
        let mut attempts = BTreeMap::new();
        let mut passed = Vec::new();
        for event in self.events() {
            let (kind, label, fate) = match &event.what {
                What::Log { level, message, .. } => {
                    (Kind::said(*level, message), event.scope.op.as_str(), None)
                }
                What::Commit { file, .. } if file != FOUND_AFTER_OUTAGE => {
                    (Kind::Commit, event.scope.op.as_str(), None)
                }
                What::Burst {
                    to, label, fate, ..
                } => (Kind::Send(to.to_string()), &**label, Some(*fate)),
                _ => continue,
            };
            let place = (event.node.as_str(), kind, label);
            let attempt = attempts.entry(place.clone()).or_insert(0);
            *attempt += 1;
            let (node, kind, label) = place;
            passed.push(Passed {
                at: event.at,
                site: Site::new(node, kind, label, *attempt),
                fate,
            });
        }
        passed
    }
}

fn calls(events: &[Event]) -> Vec<(&str, &str)> {
    let mut seen = BTreeSet::new();
    let mut calls = Vec::new();
    for event in events {
        if let What::Client { op, .. } = &event.what
            && seen.insert(&**op)
        {
            calls.push((&**op, event.node.as_str()));
        }
    }
    calls
}

impl Sizes {
    /// The size of a run that was traced.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let calls = calls(outcome.trace.as_ref().map_or(&[], |t| &t.events));
        let clients: BTreeSet<&str> = calls.iter().map(|(_, client)| *client).collect();
        Sizes {
            faults: outcome.plan.faults.len(),
            clients: clients.len(),
            requests: calls.len(),
            ended: outcome.ended,
        }
    }
}
