//! Where the values of drawn faults come from.

use super::{Fault, FaultKind, Profile, Usual, When};
use crate::{
    seed::Stream,
    site::{Kind, Site},
};

/// What becomes of a kind in drawn storms, apart from being drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// It is drawn from a stream of its own, by [`Injectable::join`](super::Injectable::join), at this turn; with the
    /// others where `None`.
    pub joins: Option<Turn>,
    /// It then joins one storm in this many, decided by the random stream of this name.
    pub one_storm_in: Option<(u64, &'static str)>,
    /// Some of those that are aimed at a count of sites are aimed at a timer of their node instead.
    pub at_timers: bool,
    /// Some are aimed where something that is timed is held.
    pub at_held: Option<Held>,
    /// Some are aimed at a read of their node's clock.
    pub at_clock_reads: bool,
    /// Some last as long as an outage; the number is its place among those that can.
    pub outage: Option<u8>,
}

impl Drawing {
    /// Some last as long as an outage; see [`Drawing::outage`].
    pub fn outage(place: u8) -> Self {
        Drawing {
            outage: Some(place),
            ..Drawing::default()
        }
    }
}

/// When faults of a kind that has a stream of its own join a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Before faults are aimed better.
    BeforeAiming,
    /// Afterwards.
    AfterAiming,
    /// After all others.
    Last,
}

/// How often a kind of fault is aimed where something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The share of cases, in percent.
    pub percent: u64,
    /// Where one more is drawn, it is of this kind the more often, the larger this is.
    pub weight: u64,
}

impl Held {
    pub(super) fn of(percent: u64, weight: u64) -> Option<Self> {
        Some(Held { percent, weight })
    }
}

/// A source of the values of one fault. The order of calls is that of the random numbers: it must not change.
#[derive(Debug)]
pub struct Draw<'a> {
    /// What there is to strike.
    pub profile: &'a Profile,
    /// The random numbers.
    pub rng: &'a mut Stream,
    /// In which of the [ways](super::Injectable::variants) that there are, from 0.
    pub variant: usize,
}

impl<'a> Draw<'a> {
    /// From this profile, in the first way.
    pub fn new(profile: &'a Profile, rng: &'a mut Stream) -> Self {
        let variant = 0;
        Draw {
            profile,
            rng,
            variant,
        }
    }

    /// One fault of this kind.
    pub fn fault(&mut self, kind: FaultKind) -> Fault {
        let action = (kind.definition().draw)(self);
        let when = action.when(self);
        Fault { when, action }
    }

    /// One of the profile's nodes.
    pub fn node(&mut self) -> String {
        (*self.rng.pick(&self.profile.nodes)).to_owned()
    }

    /// One of the profile's nodes that use their disks.
    pub fn disk(&mut self) -> String {
        let nodes: Vec<&str> = self.profile.with_disks().collect();
        (*self.rng.pick(&nodes)).to_owned()
    }

    /// One of the profile's nodes that run unmodified programs.
    pub fn program(&mut self) -> String {
        (*self.rng.pick(&self.profile.programs)).to_owned()
    }

    /// One of the profile's nodes whose disks may lie.
    pub fn lying(&mut self) -> String {
        (*self.rng.pick(&self.profile.lying)).to_owned()
    }

    /// Of nothing else.
    pub fn nothing(&mut self) {}

    /// The ends of one of the profile's links, either way round.
    pub fn link(&mut self) -> (String, String) {
        let (a, b) = *self.rng.pick(&self.profile.links);
        let (from, to) = if self.rng.chance(0.5) { (a, b) } else { (b, a) };
        (from.to_owned(), to.to_owned())
    }

    /// See [`duration`].
    pub fn ms(&mut self, low: u64, high: u64) -> u64 {
        duration(self.rng, low, high)
    }

    /// A number from `low` to `high`.
    pub fn between<T: TryFrom<u64>>(&mut self, low: u64, high: u64) -> T {
        let number = self.rng.between(low, high).try_into();
        number.unwrap_or_else(|_| panic!("{high} is too large for the field"))
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.rng.below(n)
    }

    /// True or false.
    pub fn coin(&mut self) -> bool {
        self.rng.chance(0.5)
    }

    /// The number, positive or negative.
    pub fn either_way(&mut self, n: i64) -> i64 {
        if self.rng.chance(0.5) { n } else { -n }
    }

    /// Any instant of the storm.
    pub fn instant(&mut self) -> When {
        When::AtMs(self.rng.below(self.profile.horizon_ms + 1))
    }

    /// One of the bursts on a link; what is seldom said as often as what is often said, if it is known.
    pub fn burst(&mut self, from: &str, to: &str) -> When {
        let kind = Kind::Send(to.to_owned());
        let is_it = |it: &&Usual| it.node == from && it.kind == kind;
        let usual: Vec<_> = self.profile.usual.iter().filter(is_it).collect();
        if !usual.is_empty() {
            let Usual { label, times, .. } = *self.rng.pick(&usual);
            let attempt = 1 + self.between::<u32>(0, a_little_more(*times) - 1);
            return When::Site(Site::new(from, kind, *label, attempt));
        }
        let nth = 1 + self.rng.below(self.profile.bursts);
        When::nth(from, kind, nth)
    }

    /// One of the bursts on any link; of those that ask only, if that is said.
    pub fn any_burst(&mut self, asks: bool) -> When {
        let (from, to) = *self.rng.pick(&self.profile.links);
        let asks = self.rng.chance(0.5) || asks;
        let (from, to) = if asks { (from, to) } else { (to, from) };
        self.burst(from, to)
    }

    /// One of the bursts on this link or any instant: connections may be short, and most instants have none to spoil.
    pub fn burst_or_instant(&mut self, from: &str, to: &str) -> When {
        match self.rng.chance(0.5) {
            true => self.burst(from, to),
            false => self.instant(),
        }
    }

    /// Mostly a site of the node, because most instants of virtual time are idle; else an instant.
    pub fn site_or_instant(&mut self, node: &str) -> When {
        match self.rng.chance(0.75) {
            true => self.site_of(node, false),
            false => self.instant(),
        }
    }

    /// One of the node's sites; of its writes to disk too, if that is said.
    pub fn site_of(&mut self, node: &str, writes: bool) -> When {
        let peer = |&(a, b): &(&'static str, &'static str)| match () {
            () if a == node => Some(b),
            () if b == node => Some(a),
            () => None,
        };
        let peers: Vec<&str> = self.profile.links.iter().filter_map(peer).collect();
        let events = self.profile.events_of(node);
        if self.profile.programs.contains(&node) {
            return self.site_of_program(node, &peers, &events, writes);
        }
        let commits = self.profile.commits;
        let (kind, within) = match self.rng.below(4 + u64::from(writes)) {
            0 if !peers.is_empty() => {
                let peer = *self.rng.pick(&peers);
                return self.burst(node, peer);
            }
            1 if !events.is_empty() => {
                let event = *self.rng.pick(&events);
                (Kind::Event(event.to_owned()), 5)
            }
            2 => (Kind::Sync, commits),
            4 => (Kind::Write, commits * 7),
            _ => (Kind::Commit, commits),
        };
        When::nth(node, kind, 1 + self.rng.below(within))
    }

    /// The same of a program, whose commits nobody knows of; an instant if it has no site.
    fn site_of_program(
        &mut self,
        node: &str,
        peers: &[&str],
        events: &[&'static str],
        writes: bool,
    ) -> When {
        let mut kinds = Vec::new();
        if !events.is_empty() {
            kinds.push(Kind::Event((*self.rng.pick(events)).to_owned()));
        }
        let disk = [Kind::Sync, Kind::Write];
        let disk = disk.into_iter().take(1 + usize::from(writes));
        kinds.extend(disk.filter(|kind| self.profile.usually(node, kind) > 0));
        let ways = kinds.len() + usize::from(!peers.is_empty());
        if ways == 0 {
            return self.instant();
        }
        let Some(kind) = kinds.into_iter().nth(self.below(ways as u64) as usize) else {
            let peer = *self.rng.pick(peers);
            return self.burst(node, peer);
        };
        let within = match self.profile.usually(node, &kind) {
            0 => 5,
            times => a_little_more(times),
        };
        When::nth(node, kind, 1 + self.below(within))
    }
}

/// A storm may take a little longer than a run without one.
fn a_little_more(times: u64) -> u64 {
    times + times / 4
}

/// Milliseconds, spread evenly over the orders of magnitude.
pub fn duration(rng: &mut Stream, low: u64, high: u64) -> u64 {
    let (low, high) = (low.max(1) as f64, high.max(1) as f64);
    let u = crate::seed::unit(rng.bits());
    (low * (high / low).powf(u)).round() as u64
}
