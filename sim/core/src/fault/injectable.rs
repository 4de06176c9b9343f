//! What is to be known of a kind of fault.

use std::fmt;

use super::{
    Action, BurstFault, Candidates, Declared, Described, Draw, Drawing, Fault, Number, Profile,
    Strikes, Target, When, limits,
    words::{self, Clause, Moment},
};
use crate::{seed::Seed, vocabulary::Life};

/// A kind of fault: what the harness knows of it beside its declaration. Everything has a default, which is right for
/// most kinds or follows from what they strike; the compiler does not tell where one is wrong for a new kind: read them
/// once. Its [`Display`](fmt::Display) is what traces and error messages say of a fault, and is part of a trace's hash.
pub trait Injectable: Declared + fmt::Display {
    // The kind.

    /// In how many ways it can be drawn from a profile; 0 where it concerns nothing of it.
    fn variants(profile: &Profile) -> usize
    where
        Self: Described,
    {
        let can = match Self::STRIKES {
            Strikes::Link | Strikes::Ends | Strikes::Connections | Strikes::Burst => {
                !profile.links.is_empty()
            }
            Strikes::Program => !profile.programs.is_empty(),
            Strikes::Disk | Strikes::DiskAtSites => profile.with_disks().next().is_some(),
            Strikes::LyingDisk => !profile.lying.is_empty(),
            Strikes::Own => false,
            _ => !profile.nodes.is_empty(),
        };
        usize::from(can)
    }

    /// What else becomes of it in drawn storms. As a default it is drawn with the others and aimed at nothing special.
    fn drawing() -> Drawing
    where
        Self: Sized,
    {
        Drawing::default()
    }

    /// Adds faults of this kind to a drawn storm, where its [`drawing`](Self::drawing) says that it joins by itself. As
    /// a default one fault to [some storms](Drawing::one_storm_in), and to those that can have nothing else.
    fn join(profile: &Profile, faults: &mut Vec<Fault>, seed: Seed)
    where
        Self: Described,
    {
        let Some((storms, stream)) = Self::drawing().one_storm_in else {
            return;
        };
        let mut rng = seed.stream(stream);
        let one_more = rng.below(storms) == 0;
        if profile.can(Self::KIND) && (one_more || faults.is_empty()) {
            let mut from = Draw::new(profile, &mut rng);
            let mut fault = from.fault(Self::KIND);
            fault.action.aim(&mut fault.when, &mut from);
            profile.join(faults, fault);
        }
    }

    /// What a sweep does with it at a site. As a default it has no column.
    fn candidates(_at: &mut Candidates<'_>)
    where
        Self: Sized,
    {
    }

    // A fault: what it says of itself.

    /// The nodes that it names; two are the ends of a link, and must differ.
    fn nodes(&self) -> Vec<&str> {
        let values = self.values().into_iter();
        values.filter_map(|(_, value)| value.node()).collect()
    }

    /// The limit that it goes beyond, at either end: no fault is stronger than anything that happens, and none so weak
    /// that it changes nothing and passes for something that was survived.
    fn check(&self) -> Result<(), &'static str> {
        self.for_ms().map_or(Ok(()), limits::lasts)
    }

    /// How long it goes on, in virtual milliseconds; `None` for one that is over at once.
    fn lasts_ms(&self) -> Option<u64> {
        self.for_ms()
    }

    /// The turns of its node's life that are all there is to tell of it, where they come at once.
    fn shows_as(&self) -> &'static [Life] {
        &[]
    }

    /// In a sentence for people.
    fn clause(&self, at: &Moment<'_>) -> Clause {
        let what = self.words(at.message);
        Clause {
            what: match self.for_ms() {
                Some(ms) => words::lasting(what, ms),
                None => what,
            },
            after: self.after(),
            tells_site: false,
        }
    }

    /// What comes after the moment in such a sentence.
    fn after(&self) -> String {
        String::new()
    }

    /// The name that it goes by, where faults of this kind differ by one.
    fn own_name(&self) -> Option<&str> {
        None
    }

    /// What of it this scenario can't have.
    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        match self.strikes() {
            Strikes::Program => {
                let mut nodes = self.nodes().into_iter();
                nodes.try_for_each(|node| profile.runs_a_program(node))
            }
            _ => Ok(()),
        }
    }

    /// What it does to a burst; such a fault can be aimed at a burst only.
    fn at_burst(&self) -> Option<BurstFault> {
        None
    }

    /// Whether it makes sense only at a burst that is being sent.
    fn needs_burst(&self) -> bool {
        self.at_burst().is_some()
    }

    /// Whether a process dies or stands still: it matters what it was doing, timers and reads of the clock included.
    fn stops_process(&self) -> bool {
        self.strikes() == Strikes::Process
    }

    /// Whether a process goes on later with what it has read from its clock before.
    fn makes_clock_reads_stale(&self) -> bool {
        false
    }

    /// Whether a disk may hold something else afterwards than its node believes.
    fn damages_disk(&self) -> bool {
        matches!(self.strikes(), Strikes::Disk | Strikes::DiskAtSites)
    }

    /// Whether bursts from one node to another are held back while it goes on.
    fn silences(&self, _from: &str, _to: &str) -> bool {
        false
    }

    /// The node that it gives a second process; one that keeps files can't have two.
    fn doubles(&self) -> Option<&str> {
        None
    }

    // A fault: drawing.

    /// Draws the moment at which it happens. As a default it follows from what it strikes.
    fn when(&self, from: &mut Draw<'_>) -> When {
        match (self.strikes(), &self.nodes()[..]) {
            (Strikes::NodeAtSites | Strikes::Process | Strikes::DiskAtSites, [node]) => {
                from.site_or_instant(node)
            }
            (Strikes::Connections, [a, b]) => from.burst_or_instant(a, b),
            (Strikes::Burst, _) => from.any_burst(false),
            _ => from.instant(),
        }
    }

    /// Its node and strength, where it is aimed at something that is held; see [`Drawing::at_held`].
    fn strike_holder(&mut self, node: &str, _from: &mut Draw<'_>) {
        let mut values = self.values_mut();
        values.iter_mut().for_each(|(_, value)| value.rename(node));
    }

    /// Its duration, where it is aimed at a read of the clock; see [`Drawing::at_clock_reads`].
    fn strike_clock_read(&mut self, _from: &mut Draw<'_>) {}

    /// A better moment for one that was drawn by itself.
    fn aim(&mut self, _when: &mut When, _from: &mut Draw<'_>) {}

    /// How long its node or link is away, where that can be an outage; see [`Drawing::outage`].
    fn outage_ms(&mut self) -> Option<&mut u64> {
        let mut values = self.values_mut().into_iter();
        let away = values.find(|(name, _)| matches!(*name, "for_ms" | "down_ms"));
        match away.and_then(|(_, value)| value.number()) {
            Some(Number::Amount(ms)) => Some(ms),
            _ => None,
        }
    }

    /// How late a message is, if it can be later than its saga takes.
    fn late_ms(&mut self) -> Option<&mut u64> {
        None
    }

    // A fault: shrinking.

    /// Faults of other kinds that do less at the same moment, the weakest first. `links` are those of the scenario.
    fn weaker(&self, _links: &[(&str, &str)]) -> Vec<Action> {
        Vec::new()
    }

    /// The numbers that can be made smaller. How long comes last: what is done shorter is often better understood when
    /// it is done less first.
    fn numbers(&mut self) -> Vec<Number<'_>> {
        let values = self.values_mut().into_iter();
        values.filter_map(|(_, value)| value.number()).collect()
    }

    // A fault: what it does.

    /// Begins. False if it cannot; it is over then. As a default it [strikes](Self::strike).
    fn begin(&self, target: &dyn Target) -> bool {
        self.strike(target);
        true
    }

    /// Does what it does, if it always can. As a default it is [switched](Self::switch) on.
    fn strike(&self, target: &dyn Target) {
        self.switch(target, true);
    }

    /// Ends, having [lasted](Self::lasts_ms). As a default it is [switched](Self::switch) off, and what it shares with
    /// others that go on is on again.
    fn end(&self, target: &dyn Target) {
        self.switch(target, false);
        target.switch_on_again();
    }

    /// On or off, where it is a state of the world. On twice is on.
    fn switch(&self, _target: &dyn Target, _on: bool) {}

    /// Goes on, where [`Target::again_after`] was asked for that, `left` times being left; 0 when the storm ends.
    fn again(&self, _target: &dyn Target, _left: u32) {}

    /// Switches on what is on until it next goes on, `left` times being left then.
    fn hold(&self, _target: &dyn Target, _left: u32) {}
}

/// What is known of a kind without a fault of it: [`Injectable`] and [`Described`] as data.
#[derive(Debug)]
#[allow(missing_docs)] // they are those of the traits
pub struct Definition {
    pub name: &'static str,
    pub about: &'static [&'static str],
    pub fields: &'static [(&'static str, &'static [&'static str])],
    pub effective_once: &'static str,
    pub variants: fn(&Profile) -> usize,
    pub draw: fn(&mut Draw<'_>) -> Action,
    pub drawing: fn() -> Drawing,
    pub join: fn(&Profile, &mut Vec<Fault>, Seed),
    pub candidates: fn(&mut Candidates<'_>),
}

impl Definition {
    pub(super) const fn of<K: Injectable + Described + Into<Action>>() -> Self {
        Definition {
            name: K::NAME,
            about: K::ABOUT,
            fields: K::FIELDS,
            effective_once: K::EFFECTIVE_ONCE,
            variants: K::variants,
            draw: |from| K::draw(from).into(),
            drawing: K::drawing,
            join: K::join,
            candidates: K::candidates,
        }
    }
}
