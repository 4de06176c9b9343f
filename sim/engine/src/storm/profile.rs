//! What a random storm over a scenario may do, and drawing one.

use squall_core::{
    seed::{Seed, Stream},
    site::Kind,
};

use super::{Action, Fault, FaultKind, Plan, PlanError, When};

/// One storm in so many orders its tasks by priority.
const PCT_ONE_IN: u64 = 4;
/// One process in so many that is to die or stand still at a site does so just as a timer of it runs out.
const TIMER_ONE_IN: u64 = 6;
/// The deepest schedules drawn: most ordering bugs need fewer.
const PCT_DRAWN_MAX: u64 = 4;

/// Kinds that are drawn from streams of their own.
const APART: [FaultKind; 3] = [
    FaultKind::UnreadableRow,
    FaultKind::Upgrade,
    FaultKind::Overlap,
];

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

/// A kind of fault to draw from.
#[derive(Clone, Copy)]
enum Choice {
    Kind(FaultKind),
    /// The scenario's own, by index.
    Own(usize),
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
    /// Names of `tracing` events as (node, event) after which that node, or somebody who depends on it, holds something
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
    /// Nodes that come in two builds, the old one and the next: see [`Node::build`](crate::Node::build).
    pub upgrades: Vec<&'static str>,
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

    /// Whether a plan, wherever it comes from, can happen in a world of this profile.
    ///
    /// # Errors
    ///
    /// What cannot.
    pub fn check(&self, plan: &Plan) -> Result<(), PlanError> {
        plan.check(&self.everywhere())?;
        plan.check_custom(&self.custom)?;
        plan.check_upgrades(&self.upgrades)?;
        plan.check_overlaps(
            |node| self.overlaps.contains(&node),
            |node| match self.overlaps[..] {
                [] => "no node of this scenario can have two processes at once".to_owned(),
                _ => format!(
                    "{node} can't have two processes at once; {} can",
                    self.overlaps.join(", ")
                ),
            },
        )?;
        plan.check_without(&self.nodes)
    }

    /// What the node says of what it does.
    pub(super) fn events_of(&self, node: &str) -> Vec<&'static str> {
        let own = self.events.iter().filter(|(at, _)| *at == node);
        own.map(|(_, event)| *event).collect()
    }

    /// Whether something timed is held after this event.
    pub fn holds(&self, node: &str, event: &str) -> bool {
        self.held.contains(&(node, event))
    }

    /// The kinds of fault that it can draw.
    pub fn kinds(&self) -> Vec<FaultKind> {
        FaultKind::ALL
            .iter()
            .copied()
            .filter(|kind| self.can(*kind))
            .collect()
    }

    /// The kinds, with each of the scenario's own faults as one.
    fn choices(&self) -> Vec<Choice> {
        let own = (0..self.custom.len()).map(Choice::Own);
        let kinds = self.kinds().into_iter();
        kinds
            .flat_map(|kind| match kind {
                FaultKind::Custom => own.clone().collect(),
                kind => vec![Choice::Kind(kind)],
            })
            .collect()
    }

    pub(super) fn can(&self, kind: FaultKind) -> bool {
        use FaultKind::*;
        !self.never.contains(&kind)
            && match kind {
                Cut | Flap | Latency | Loss | Trickle | ResetConnections | HalfOpen | LoseBurst
                | ResetBurst | DelayBurst | DuplicateBurst => !self.links.is_empty(),
                Custom => !self.custom.is_empty(),
                Upgrade => !self.upgrades.is_empty(),
                Overlap => !self.overlaps.is_empty(),
                _ => !self.nodes.is_empty(),
            }
    }

    /// The storm of a seed. Which kinds it may draw from is itself drawn first (swarm testing: Groce et al., ISSTA
    /// 2012), so that some storms are of crashes alone and others of a single slow link. How ready tasks are ordered is drawn
    /// too, from a stream of its own.
    pub fn draw(&self, seed: Seed) -> Plan {
        let mut rng = seed.stream("storm");
        let all = self.drawn_together();
        let mut on: Vec<Choice> = all.iter().copied().filter(|_| rng.chance(0.4)).collect();
        if on.is_empty() && !all.is_empty() {
            on.push(*rng.pick(&all));
        }
        let plan = self.with_aim(self.faults(&on, &mut rng), seed);
        Plan {
            pct: schedules(seed).filter(|_| !plan.faults.is_empty()),
            ..plan
        }
    }

    /// A storm of the seed in which every kind may occur.
    pub fn draw_plain(&self, seed: Seed) -> Plan {
        let plan = self.faults(&self.drawn_together(), &mut seed.stream("plain storm"));
        self.with_aim(plan, seed)
    }

    /// The choices of the stream that most faults are drawn from.
    fn drawn_together(&self) -> Vec<Choice> {
        let mut all = self.choices();
        all.retain(|choice| !matches!(choice, Choice::Kind(kind) if APART.contains(kind)));
        all
    }

    /// The storm with some of its faults aimed better, lasting longer, or joined by others. Whatever else the seed
    /// draws stays as it is.
    fn with_aim(&self, plan: Plan, seed: Seed) -> Plan {
        let mut plan = self.at_timers(plan, seed);
        self.maybe_unreadable(&mut plan, seed);
        self.at_what_is_held(&mut plan, seed);
        self.at_clock_reads(&mut plan, seed);
        self.maybe_outage(&mut plan, seed);
        self.maybe_late(&mut plan, seed);
        self.maybe_upgrades(&mut plan, seed);
        self.maybe_overlap(&mut plan, seed);
        plan
    }

    /// A storm of these choices.
    fn faults(&self, on: &[Choice], rng: &mut Stream) -> Plan {
        if on.is_empty() {
            return Plan::calm();
        }
        let faults = 1 + rng.below(self.max_faults);
        Plan::new(
            (0..faults)
                .map(|_| {
                    let choice = *rng.pick(on);
                    self.fault(choice, rng)
                })
                .collect(),
        )
    }

    /// The storm with some of its deaths and pauses aimed at timers in place of other sites. Whatever else the seed
    /// draws stays as it is.
    fn at_timers(&self, mut plan: Plan, seed: Seed) -> Plan {
        let mut rng = seed.stream("timers");
        for fault in &mut plan.faults {
            self.maybe_at_timer(fault, &mut rng);
        }
        plan
    }

    fn maybe_at_timer(&self, fault: &mut Fault, rng: &mut Stream) {
        let (Action::Crash { node, .. }
        | Action::PowerLoss { node, .. }
        | Action::Restart { node }
        | Action::Pause { node, .. }) = &fault.action
        else {
            return;
        };
        if matches!(fault.when, When::Nth { .. }) && rng.below(TIMER_ONE_IN) == 0 {
            fault.when = When::Nth {
                node: node.clone(),
                kind: Kind::Timer,
                nth: 1 + rng.below(self.commits) as u32,
            };
        }
    }

    /// One fault of any kind; `None` where nothing can be drawn.
    pub fn draw_fault(&self, rng: &mut Stream) -> Option<Fault> {
        let all = self.choices();
        (!all.is_empty()).then(|| {
            let choice = *rng.pick(&all);
            let mut fault = self.fault(choice, rng);
            self.maybe_at_timer(&mut fault, rng);
            self.maybe_at_what_is_held(&mut fault, rng);
            self.maybe_at_clock_read(&mut fault, rng);
            self.maybe_where_owned(&mut fault, rng);
            fault
        })
    }

    fn fault(&self, choice: Choice, rng: &mut Stream) -> Fault {
        use FaultKind as K;
        let kind = match choice {
            Choice::Own(_) => K::Custom,
            Choice::Kind(kind) => kind,
        };
        let link = |rng: &mut Stream| {
            let (a, b) = *rng.pick(&self.links);
            if rng.chance(0.5) {
                (a.to_owned(), b.to_owned())
            } else {
                (b.to_owned(), a.to_owned())
            }
        };
        let node = |rng: &mut Stream| (*rng.pick(&self.nodes)).to_owned();
        let action = match kind {
            K::Crash => Action::Crash {
                node: node(rng),
                down_ms: duration(rng, 50, 20_000),
            },
            K::PowerLoss => Action::PowerLoss {
                node: node(rng),
                down_ms: duration(rng, 500, 30_000),
            },
            K::CrashLoop => Action::CrashLoop {
                node: node(rng),
                times: 2 + rng.below(4) as u32,
                down_ms: duration(rng, 50, 3_000),
            },
            K::Pause => Action::Pause {
                node: node(rng),
                for_ms: duration(rng, 50, 70_000),
            },
            K::Restart => Action::Restart { node: node(rng) },
            K::Overlap => Action::Overlap {
                node: (*rng.pick(&self.overlaps)).to_owned(),
                // From shorter than a lease to longer.
                for_ms: duration(rng, 1_000, 40_000),
            },
            K::SlowNode => Action::SlowNode {
                node: node(rng),
                wait_ms: 1 + rng.below(50),
                for_ms: duration(rng, 200, 10_000),
            },
            K::Cut => {
                let ((from, to), both) = (link(rng), rng.chance(0.5));
                Action::Cut {
                    from,
                    to,
                    both,
                    for_ms: duration(rng, 100, 60_000),
                }
            }
            K::Isolate => Action::Isolate {
                node: node(rng),
                for_ms: duration(rng, 100, 60_000),
            },
            K::Flap => {
                let (from, to) = link(rng);
                Action::Flap {
                    from,
                    to,
                    times: 2 + rng.below(5) as u32,
                    each_ms: duration(rng, 20, 2_000),
                }
            }
            K::Latency => {
                let (from, to) = link(rng);
                Action::Latency {
                    from,
                    to,
                    extra_ms: duration(rng, 5, 5_000),
                    for_ms: duration(rng, 200, 20_000),
                }
            }
            K::Loss => {
                let (from, to) = link(rng);
                Action::Loss {
                    from,
                    to,
                    percent: 5 + rng.below(60) as u8,
                    for_ms: duration(rng, 200, 20_000),
                }
            }
            K::Trickle => {
                let (from, to) = link(rng);
                Action::Trickle {
                    from,
                    to,
                    bytes_per_s: duration(rng, 100, 20_000),
                    for_ms: duration(rng, 200, 20_000),
                }
            }
            K::Refuse => Action::Refuse {
                node: node(rng),
                for_ms: duration(rng, 100, 20_000),
            },
            K::HangConnects => Action::HangConnects {
                node: node(rng),
                for_ms: duration(rng, 100, 20_000),
            },
            K::ResetConnections => {
                let (from, to) = link(rng);
                Action::ResetConnections { from, to }
            }
            K::HalfOpen => {
                let (from, to) = link(rng);
                Action::HalfOpen { from, to }
            }
            K::LoseBurst => Action::LoseBurst {},
            K::ResetBurst => Action::ResetBurst {},
            K::DelayBurst => Action::DelayBurst {
                by_ms: duration(rng, 50, 20_000),
            },
            K::DuplicateBurst => Action::DuplicateBurst {
                after_ms: duration(rng, 1, 20_000),
            },
            K::SlowDisk => Action::SlowDisk {
                node: node(rng),
                extra_ms: duration(rng, 5, 3_000),
                for_ms: duration(rng, 200, 20_000),
            },
            K::SyncError => Action::SyncError { node: node(rng) },
            K::WriteError => Action::WriteError { node: node(rng) },
            K::DiskFull => Action::DiskFull {
                node: node(rng),
                for_ms: duration(rng, 200, 10_000),
            },
            K::SectorError => Action::SectorError {
                node: node(rng),
                choice: rng.below(1 << 20),
            },
            K::ClockJump => {
                let by = duration(rng, 100, 7_200_000) as i64;
                Action::ClockJump {
                    node: node(rng),
                    by_ms: if rng.chance(0.5) { by } else { -by },
                }
            }
            K::ClockDrift => {
                let ppm = duration(rng, 100, 200_000) as i64;
                let ppm = if rng.chance(0.5) { ppm } else { -ppm };
                Action::ClockDrift {
                    node: node(rng),
                    ppm,
                    for_ms: duration(rng, 1_000, 60_000),
                }
            }
            K::Custom => {
                let Choice::Own(own) = choice else {
                    unreachable!("a scenario's own faults are chosen one by one")
                };
                let custom = &self.custom[own];
                let amount = rng.between(custom.amount.0, custom.amount.1);
                Action::Custom {
                    name: custom.name.to_owned(),
                    node: custom.node.to_owned(),
                    amount,
                    for_ms: duration(rng, 100, 20_000),
                }
            }
            K::UnreadableRow => Action::UnreadableRow {
                node: node(rng),
                table: None,
                key: None,
                choice: rng.below(1 << 20),
                for_ms: duration(rng, 200, 20_000),
            },
            K::Upgrade => Action::Upgrade {
                node: (*rng.pick(&self.upgrades)).to_owned(),
            },
        };
        let when = self.when(&action, rng);
        Fault { when, action }
    }

    /// One fault of this kind.
    pub(super) fn of_kind(&self, kind: FaultKind, rng: &mut Stream) -> Fault {
        self.fault(Choice::Kind(kind), rng)
    }

    /// At a burst where the action needs one; else for sudden death mostly at a site of the victim, because most
    /// instants of virtual time are idle; else at a time.
    fn when(&self, action: &Action, rng: &mut Stream) -> When {
        if action.needs_burst() {
            let (from, to) = *rng.pick(&self.links);
            // Only callers send twice: an answer comes on the connection of its request.
            let asks = rng.chance(0.5) || matches!(action, Action::DuplicateBurst { .. });
            let (from, to) = if asks { (from, to) } else { (to, from) };
            return self.burst(from, to, rng);
        }
        // Connections may be short: most instants have none to spoil.
        if let Action::ResetConnections { from, to } | Action::HalfOpen { from, to } = action
            && rng.chance(0.5)
        {
            return self.burst(from, to, rng);
        }
        if let Action::Crash { node, .. }
        | Action::PowerLoss { node, .. }
        | Action::Restart { node }
        | Action::Pause { node, .. }
        | Action::SyncError { node }
        | Action::WriteError { node }
        | Action::UnreadableRow { node, .. }
        | Action::Upgrade { node } = action
            && rng.chance(0.75)
        {
            return self.site_of(node, action, rng);
        }
        When::AtMs(rng.below(self.horizon_ms + 1))
    }

    fn burst(&self, from: &str, to: &str, rng: &mut Stream) -> When {
        When::Nth {
            node: from.to_owned(),
            kind: Kind::Send(to.to_owned()),
            nth: 1 + rng.below(self.bursts) as u32,
        }
    }

    pub(super) fn site_of(&self, node: &str, action: &Action, rng: &mut Stream) -> When {
        let own: Vec<&str> = self
            .links
            .iter()
            .filter_map(|&(a, b)| {
                if a == node {
                    Some(b)
                } else if b == node {
                    Some(a)
                } else {
                    None
                }
            })
            .collect();
        let events = self.events_of(node);
        match rng.below(if matches!(action, Action::PowerLoss { .. }) {
            5
        } else {
            4
        }) {
            0 if !own.is_empty() => {
                let peer = *rng.pick(&own);
                self.burst(node, peer, rng)
            }
            1 if !events.is_empty() => {
                let event = (*rng.pick(&events)).to_owned();
                When::Nth {
                    node: node.to_owned(),
                    kind: Kind::Event(event),
                    nth: 1 + rng.below(5) as u32,
                }
            }
            2 => When::Nth {
                node: node.to_owned(),
                kind: Kind::Sync,
                nth: 1 + rng.below(self.commits) as u32,
            },
            4 => When::Nth {
                node: node.to_owned(),
                kind: Kind::Write,
                nth: 1 + rng.below(self.commits * 7) as u32,
            },
            _ => When::Nth {
                node: node.to_owned(),
                kind: Kind::Commit,
                nth: 1 + rng.below(self.commits) as u32,
            },
        }
    }
}

/// The depth of a seed's schedules, where they are not uniform.
pub(crate) fn schedules(seed: Seed) -> Option<u32> {
    let mut rng = seed.stream("pct");
    (rng.below(PCT_ONE_IN) == 0).then(|| 1 + rng.below(PCT_DRAWN_MAX) as u32)
}

/// Milliseconds, spread evenly over the orders of magnitude.
pub(super) fn duration(rng: &mut Stream, low: u64, high: u64) -> u64 {
    let (low, high) = (low.max(1) as f64, high.max(1) as f64);
    let u = squall_core::seed::unit(rng.bits());
    (low * (high / low).powf(u)).round() as u64
}
