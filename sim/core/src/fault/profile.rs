//! What a random storm over a scenario may do.

use super::{Fault, FaultKind};
use crate::site::Kind;

/// A fault that the scenario brings itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomFault {
    /// Its name, for tables and plans.
    pub name: &'static str,
    /// The node concerned.
    pub node: &'static str,
    /// Range of its strength, both ends included.
    pub amount: (u64, u64),
}

/// What storms may do.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Nodes that can crash, stall and lose their disks or clocks.
    pub nodes: Vec<&'static str>,
    /// Links that can fail, as (caller, callee).
    pub links: Vec<(&'static str, &'static str)>,
    /// Faults of the scenario's own.
    pub custom: Vec<CustomFault>,
    /// Names of `tracing` events at which a node may crash.
    pub events: Vec<(&'static str, &'static str)>,
    /// Names of `tracing` events as (node, event) after which that node, or a node that depends on it, holds something
    /// that is timed: a lease, a reservation, a key in flight. Clocks that jump and processes that stand still do so
    /// there.
    pub held: Vec<(&'static str, &'static str)>,
    /// Nodes that keep no files of their own, so that a process of theirs can live on while its successor boots.
    pub overlaps: Vec<&'static str>,
    /// Faults begin within this many virtual milliseconds.
    pub horizon_ms: u64,
    /// The most faults in one storm; there is at least one.
    pub max_faults: u64,
    /// About how many commits (or timers), and bursts on a link, a node sees in a run: sites are aimed within.
    pub commits: u64,
    /// See `commits`.
    pub bursts: u64,
    /// Kinds that are never drawn.
    pub never: Vec<FaultKind>,
    /// Nodes that come in two builds, the old one and the next: see `Node::build`.
    pub upgrades: Vec<&'static str>,
    /// Nodes that run unmodified programs.
    pub programs: Vec<&'static str>,
    /// What programs, and those who speak with them, do while nothing disturbs them: bursts whose sites tell what they say,
    /// events, and uses of disks. A program whose disk is not here uses none.
    pub usual: Vec<Usual>,
    /// Nodes whose disks may lie about their syncs, which nothing survives.
    pub lying: Vec<&'static str>,
}

/// How often sites are met within a run that nothing disturbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usual {
    /// Their node.
    pub node: &'static str,
    /// What happens there.
    pub kind: Kind,
    /// Of bursts: what they say (see [`SAYS`](crate::site::SAYS)).
    pub label: &'static str,
    /// How often.
    pub times: u64,
}

impl Profile {
    /// A profile for these nodes and links, with middling numbers.
    pub fn new(nodes: &[&'static str], links: &[(&'static str, &'static str)]) -> Self {
        Profile {
            nodes: nodes.to_vec(),
            links: links.to_vec(),
            custom: Vec::new(),
            events: Vec::new(),
            held: Vec::new(),
            overlaps: Vec::new(),
            horizon_ms: 3_000,
            max_faults: 5,
            commits: 20,
            bursts: 12,
            never: Vec::new(),
            upgrades: Vec::new(),
            programs: Vec::new(),
            usual: Vec::new(),
            lying: Vec::new(),
        }
    }

    /// All nodes that a plan may speak of: its own, those of its faults, and the clients at the ends of its links.
    pub fn everywhere(&self) -> Vec<&'static str> {
        let ends = self.links.iter().flat_map(|(from, to)| [*from, *to]);
        let custom = self.custom.iter().map(|fault| fault.node);
        let mut nodes = Vec::new();
        let upgrades = self.upgrades.iter().copied();
        let all = self.nodes.iter().copied().chain(ends).chain(custom);
        for node in all.chain(upgrades) {
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        nodes
    }

    /// The kinds of fault that it can draw.
    pub fn kinds(&self) -> Vec<FaultKind> {
        let all = FaultKind::ALL.iter().copied();
        all.filter(|kind| self.can(*kind)).collect()
    }

    /// Whether this node runs an unmodified program.
    ///
    /// # Errors
    /// It does not, and these do.
    pub(crate) fn runs_a_program(&self, node: &str) -> Result<(), String> {
        match &self.programs[..] {
            programs if programs.contains(&node) => Ok(()),
            [] => Err("the scenario has no node that runs a program".to_owned()),
            programs => Err(format!("programs run on {}", programs.join(", "))),
        }
    }

    /// Nodes that use their disks, as far as is known.
    pub(crate) fn with_disks(&self) -> impl Iterator<Item = &'static str> {
        let uses = |node: &&str| {
            let times = |kind| self.usually(node, kind);
            !self.programs.contains(node) || times(&Kind::Sync) + times(&Kind::Write) > 0
        };
        self.nodes.iter().copied().filter(uses)
    }

    /// How often a node usually meets sites of a kind.
    pub(crate) fn usually(&self, node: &str, kind: &Kind) -> u64 {
        let same = |it: &&Usual| it.node == node && it.kind == *kind;
        self.usual.iter().filter(same).map(|it| it.times).sum()
    }

    pub(crate) fn can(&self, kind: FaultKind) -> bool {
        !self.never.contains(&kind) && (kind.definition().variants)(self) > 0
    }

    /// What the node says of what it does.
    pub(crate) fn events_of(&self, node: &str) -> Vec<&'static str> {
        let own = self.events.iter().filter(|(at, _)| *at == node);
        own.map(|(_, event)| *event).collect()
    }

    /// Whether something timed is held after this event.
    pub(crate) fn holds(&self, node: &str, event: &str) -> bool {
        self.held.contains(&(node, event))
    }

    /// One more fault; in place of the last one where the storm is full.
    pub(crate) fn join(&self, faults: &mut Vec<Fault>, fault: Fault) {
        if faults.len() as u64 >= self.max_faults {
            faults.pop();
        }
        faults.push(fault);
    }
}
