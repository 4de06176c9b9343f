//! What a drawn storm seldom meets by chance: a clock that jumps while a lease is held, a process that stands still
//! between reading its clock and using what it read, an outage that outlasts all retries, a message that comes when its
//! saga has long ended. Each has a stream of its own, so that whatever else a seed draws stays as it is. Which kinds of
//! fault it may be is theirs to say: see [`Drawing`](crate::fault::Drawing).

use std::cmp::Reverse;

use crate::{
    fault::{Draw, Drawing, Fault, FaultKind, Profile, When, duration},
    seed::{Seed, Stream},
    site::Kind,
};

/// One storm in this many has one more fault where something is held.
const HELD_ONE_IN: u64 = 8;
/// The share of these that strike the holder, in percent; the others strike another node.
const HOLDER_PERCENT: u64 = 65;
/// What is held is met within this many events.
const HELD_NTH_MAX: u64 = 6;
/// One fault in this many that can be is aimed at a read of the clock, ...
const CLOCK_ONE_IN: u64 = 5;
/// ... and one storm in this many has one more of them.
const STALE_ONE_IN: u64 = 12;
/// One storm in this many has an outage that lasts ...
const OUTAGE_ONE_IN: u64 = 12;
/// ... from 2 to 15 minutes, longer than a schedule of retries.
const OUTAGE_MS: (u64, u64) = (120_000, 900_000);
/// One late message in this many is later than its saga takes, ...
const LATE_ONE_IN: u64 = 3;
/// ... by half a minute to ten minutes.
const LATE_MS: (u64, u64) = (30_000, 600_000);

fn drawing(kind: FaultKind) -> Drawing {
    (kind.definition().drawing)()
}

impl Profile {
    /// Some jumps of clocks, pauses and crashes are aimed where something is held, and some storms have one more.
    pub(super) fn at_what_is_held(&self, faults: &mut Vec<Fault>, seed: Seed) {
        let mut rng = seed.stream("held");
        for fault in &mut *faults {
            self.maybe_at_what_is_held(fault, &mut rng);
        }
        let kind = kind_that_strikes_holders(&mut rng);
        if rng.below(HELD_ONE_IN) == 0
            && !faults.is_empty()
            && self.can(kind)
            && let Some(place) = self.place_held(&mut rng)
        {
            let mut fault = self.of_kind(kind, &mut rng);
            self.aim_at_what_is_held(&mut fault, place, &mut rng);
            self.join(faults, fault);
        }
    }

    pub(super) fn maybe_at_what_is_held(&self, fault: &mut Fault, rng: &mut Stream) {
        if let Some(held) = drawing(fault.action.kind()).at_held
            && rng.below(100) < held.percent
            && let Some(place) = self.place_held(rng)
        {
            self.aim_at_what_is_held(fault, place, rng);
        }
    }

    fn place_held(&self, rng: &mut Stream) -> Option<(&'static str, &'static str)> {
        (!self.held.is_empty()).then(|| *rng.pick(&self.held))
    }

    fn aim_at_what_is_held(
        &self,
        fault: &mut Fault,
        (holder, event): (&str, &str),
        rng: &mut Stream,
    ) {
        let is_holder = rng.below(100) < HOLDER_PERCENT && self.nodes.contains(&holder);
        let struck = if is_holder {
            holder
        } else {
            *rng.pick(&self.nodes)
        };
        let action = &mut fault.action;
        action.strike_holder(struck, &mut Draw::new(self, rng));
        let nth = 1 + rng.below(HELD_NTH_MAX);
        fault.when = When::nth(holder, Kind::Event(event.to_owned()), nth);
    }

    /// Some pauses begin as the process has read its clock, and some storms have one more.
    pub(super) fn at_clock_reads(&self, faults: &mut Vec<Fault>, seed: Seed) {
        let mut rng = seed.stream("clock reads");
        for fault in &mut *faults {
            if matches!(fault.when, When::Nth { .. }) {
                self.maybe_at_clock_read(fault, &mut rng);
            }
        }
        let one_more = rng.below(STALE_ONE_IN) == 0;
        let mut can = self.kinds();
        can.retain(|kind| drawing(*kind).at_clock_reads);
        if one_more && !faults.is_empty() && !can.is_empty() {
            // A choice of one takes no random number.
            let kind = match can[..] {
                [only] => only,
                _ => *rng.pick(&can),
            };
            let mut fault = self.of_kind(kind, &mut rng);
            self.aim_at_clock_read(&mut fault, &mut rng);
            self.join(faults, fault);
        }
    }

    pub(super) fn maybe_at_clock_read(&self, fault: &mut Fault, rng: &mut Stream) {
        if drawing(fault.action.kind()).at_clock_reads && rng.below(CLOCK_ONE_IN) == 0 {
            self.aim_at_clock_read(fault, rng);
        }
    }

    fn aim_at_clock_read(&self, fault: &mut Fault, rng: &mut Stream) {
        let action = &mut fault.action;
        action.strike_clock_read(&mut Draw::new(self, rng));
        let nth = 1 + rng.below(self.commits.max(1) * 2);
        fault.when = When::nth(action.nodes()[0], Kind::Clock, nth);
    }

    /// Some storms have an outage that outlasts whatever is tried again and again: one of their faults, if it can be, or
    /// one more.
    pub(super) fn maybe_outage(&self, faults: &mut Vec<Fault>, seed: Seed) {
        let mut rng = seed.stream("outage");
        if rng.below(OUTAGE_ONE_IN) != 0 || faults.is_empty() {
            return;
        }
        let lasts = duration(&mut rng, OUTAGE_MS.0, OUTAGE_MS.1);
        let can_last = |fault: &&mut Fault| drawing(fault.action.kind()).outage.is_some();
        let drawn = faults.iter_mut().filter(can_last);
        let mut drawn: Vec<&mut u64> = drawn.filter_map(|f| f.action.outage_ms()).collect();
        if !drawn.is_empty() {
            let which = rng.below(drawn.len() as u64) as usize;
            *drawn[which] = lasts;
            return;
        }
        let mut can = self.kinds();
        can.retain(|kind| drawing(*kind).outage.is_some());
        can.sort_by_key(|kind| drawing(*kind).outage);
        if !can.is_empty() {
            let kind = *rng.pick(&can);
            let mut fault = self.of_kind(kind, &mut rng);
            if let Some(ms) = fault.action.outage_ms() {
                *ms = lasts;
            }
            self.join(faults, fault);
        }
    }

    /// Some messages come when their sagas have long ended.
    pub(super) fn maybe_late(&self, faults: &mut [Fault], seed: Seed) {
        let mut rng = seed.stream("late");
        for fault in faults {
            if let Some(late) = fault.action.late_ms()
                && rng.below(LATE_ONE_IN) == 0
            {
                *late = duration(&mut rng, LATE_MS.0, LATE_MS.1);
            }
        }
    }
}

/// One of the kinds that strike where something is held, by their weights.
fn kind_that_strikes_holders(rng: &mut Stream) -> FaultKind {
    let kinds = FaultKind::ALL.iter().copied();
    let weight = |kind| drawing(kind).at_held.map(|held| (kind, held.weight));
    let mut kinds: Vec<(FaultKind, u64)> = kinds.filter_map(weight).collect();
    kinds.sort_by_key(|(_, weight)| Reverse(*weight));
    let mut left = rng.below(kinds.iter().map(|(_, weight)| weight).sum());
    let chosen = kinds.iter().find(|(_, weight)| {
        let is_it = left < *weight;
        left = left.saturating_sub(*weight);
        is_it
    });
    chosen
        .expect("a number below the sum lies within one of them")
        .0
}
