//! What a drawn storm seldom meets by chance: a clock that jumps while a lease is held, a process that stands still
//! between reading its clock and using what it read, an outage that outlasts all retries, a message that comes when its
//! saga has long ended, a row that can't be read. Each has a stream of its own, so that whatever else a seed draws stays
//! as it is.

use squall_core::{
    seed::{Seed, Stream},
    site::Kind,
};

use super::{Action, Fault, FaultKind, Plan, Profile, When, profile::duration};

/// Jumps of a clock and pauses that are aimed where something is held, in percent; ...
const HELD_PERCENT: u64 = 40;
/// ... crashes; ...
const HELD_CRASH_PERCENT: u64 = 15;
/// ... and one storm in so many has one more of them.
const HELD_ONE_IN: u64 = 8;
/// Of these, so many in a hundred strike whoever says that it holds something; the others strike somebody else.
const HOLDER_PERCENT: u64 = 65;
/// What is held is met within so many events.
const HELD_NTH_MAX: u64 = 6;
/// One pause in so many is aimed at a read of the clock, ...
const CLOCK_ONE_IN: u64 = 5;
/// ... and one storm in so many has one more of them.
const STALE_ONE_IN: u64 = 12;
/// One storm in so many makes rows unreadable.
const UNREADABLE_STORM_ONE_IN: u64 = 9;
/// One storm in so many has an outage that lasts ...
const OUTAGE_ONE_IN: u64 = 12;
/// ... from 2 to 15 minutes, longer than a schedule of retries.
const OUTAGE_MS: (u64, u64) = (120_000, 900_000);
/// One storm in so many has a process that lives on while its successor boots; ...
const OVERLAP_ONE_IN: u64 = 6;
/// ... so many in a hundred of these begin where a node owns something.
const OWNED_PERCENT: u64 = 85;
/// One late message in so many is later than its saga takes, ...
const LATE_ONE_IN: u64 = 3;
/// ... by half a minute to ten minutes.
const LATE_MS: (u64, u64) = (30_000, 600_000);

/// What may last as long as an outage.
const OUTAGES: [FaultKind; 8] = [
    FaultKind::Crash,
    FaultKind::PowerLoss,
    FaultKind::Pause,
    FaultKind::Isolate,
    FaultKind::Cut,
    FaultKind::DiskFull,
    FaultKind::HangConnects,
    FaultKind::Refuse,
];

impl Profile {
    /// One more fault; in place of the last one where the storm is full.
    fn join(&self, plan: &mut Plan, fault: Fault) {
        if plan.faults.len() as u64 >= self.max_faults {
            plan.faults.pop();
        }
        plan.faults.push(fault);
    }

    pub(super) fn maybe_unreadable(&self, plan: &mut Plan, seed: Seed) {
        let mut rng = seed.stream("unreadable");
        let kind = FaultKind::UnreadableRow;
        let one_more = rng.below(UNREADABLE_STORM_ONE_IN) == 0;
        // A storm that can have nothing else has this.
        if self.can(kind) && (one_more || plan.faults.is_empty()) {
            let fault = self.of_kind(kind, &mut rng);
            self.join(plan, fault);
        }
    }

    /// Some jumps of clocks, pauses and crashes are aimed where something is held, and some storms have one more.
    pub(super) fn at_what_is_held(&self, plan: &mut Plan, seed: Seed) {
        let mut rng = seed.stream("held");
        for fault in &mut plan.faults {
            self.maybe_at_what_is_held(fault, &mut rng);
        }
        let kind = match rng.below(8) {
            0..4 => FaultKind::ClockJump,
            4..7 => FaultKind::Pause,
            _ => FaultKind::Crash,
        };
        if rng.below(HELD_ONE_IN) == 0
            && !plan.faults.is_empty()
            && self.can(kind)
            && let Some(place) = self.place_held(&mut rng)
        {
            let mut fault = self.of_kind(kind, &mut rng);
            self.aim_at_what_is_held(&mut fault, place, &mut rng);
            self.join(plan, fault);
        }
    }

    pub(super) fn maybe_at_what_is_held(&self, fault: &mut Fault, rng: &mut Stream) {
        let percent = match fault.action.kind() {
            FaultKind::ClockJump | FaultKind::Pause => HELD_PERCENT,
            FaultKind::Crash => HELD_CRASH_PERCENT,
            _ => return,
        };
        if rng.below(100) < percent
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
        match &mut fault.action {
            Action::ClockJump { node, by_ms } => {
                // About as long as things are held.
                let by = duration(rng, 100, 120_000) as i64;
                struck.clone_into(node);
                *by_ms = if rng.chance(0.5) { by } else { -by };
            }
            Action::Pause { node, .. } | Action::Crash { node, .. } => struck.clone_into(node),
            _ => return,
        }
        fault.when = When::Nth {
            node: holder.to_owned(),
            kind: Kind::Event(event.to_owned()),
            nth: 1 + rng.below(HELD_NTH_MAX) as u32,
        };
    }

    /// Some pauses begin as the process has read its clock, and some storms have one more.
    pub(super) fn at_clock_reads(&self, plan: &mut Plan, seed: Seed) {
        let mut rng = seed.stream("clock reads");
        for fault in &mut plan.faults {
            if matches!(fault.when, When::Nth { .. }) {
                self.maybe_at_clock_read(fault, &mut rng);
            }
        }
        let one_more = rng.below(STALE_ONE_IN) == 0;
        if one_more && !plan.faults.is_empty() && self.can(FaultKind::Pause) {
            let mut fault = self.of_kind(FaultKind::Pause, &mut rng);
            self.aim_at_clock_read(&mut fault, &mut rng);
            self.join(plan, fault);
        }
    }

    pub(super) fn maybe_at_clock_read(&self, fault: &mut Fault, rng: &mut Stream) {
        if fault.action.kind() == FaultKind::Pause && rng.below(CLOCK_ONE_IN) == 0 {
            self.aim_at_clock_read(fault, rng);
        }
    }

    fn aim_at_clock_read(&self, fault: &mut Fault, rng: &mut Stream) {
        let Action::Pause { node, for_ms } = &mut fault.action else {
            return;
        };
        *for_ms = duration(rng, 500, 70_000);
        fault.when = When::Nth {
            node: node.clone(),
            kind: Kind::Clock,
            nth: 1 + rng.below(self.commits.max(1) * 2) as u32,
        };
    }

    /// Some storms have an outage that outlasts whatever is tried again and again: one of their faults, if it can be, or
    /// one more.
    pub(super) fn maybe_outage(&self, plan: &mut Plan, seed: Seed) {
        let mut rng = seed.stream("outage");
        if rng.below(OUTAGE_ONE_IN) != 0 || plan.faults.is_empty() {
            return;
        }
        let lasts = duration(&mut rng, OUTAGE_MS.0, OUTAGE_MS.1);
        let mut drawn: Vec<&mut Fault> = plan
            .faults
            .iter_mut()
            .filter(|fault| OUTAGES.contains(&fault.action.kind()))
            .collect();
        if !drawn.is_empty() {
            let which = rng.below(drawn.len() as u64) as usize;
            return prolong(&mut drawn[which].action, lasts);
        }
        let can: Vec<FaultKind> = OUTAGES.into_iter().filter(|kind| self.can(*kind)).collect();
        if !can.is_empty() {
            let kind = *rng.pick(&can);
            let mut fault = self.of_kind(kind, &mut rng);
            prolong(&mut fault.action, lasts);
            self.join(plan, fault);
        }
    }

    /// In some storms a process lives on while its successor boots.
    pub(super) fn maybe_overlap(&self, plan: &mut Plan, seed: Seed) {
        let mut rng = seed.stream("overlap");
        let kind = FaultKind::Overlap;
        let one_more = rng.below(OVERLAP_ONE_IN) == 0;
        // A storm that can have nothing else has this.
        if self.can(kind) && (one_more || plan.faults.is_empty()) {
            let mut fault = self.of_kind(kind, &mut rng);
            self.maybe_where_owned(&mut fault, &mut rng);
            self.join(plan, fault);
        }
    }

    /// A successor mostly boots where the old process says that it holds something, or at least something.
    pub(super) fn maybe_where_owned(&self, fault: &mut Fault, rng: &mut Stream) {
        let Action::Overlap { node, .. } = &mut fault.action else {
            return;
        };
        let said = |places: &[(&'static str, &'static str)]| {
            let mut places = places.to_vec();
            places.retain(|(at, _)| self.overlaps.contains(at));
            places
        };
        let mut places = said(&self.held);
        if places.is_empty() {
            places = said(&self.events);
        }
        if rng.below(100) < OWNED_PERCENT && !places.is_empty() {
            let (owner, event) = *rng.pick(&places);
            owner.clone_into(node);
            fault.when = When::Nth {
                node: owner.to_owned(),
                kind: Kind::Event(event.to_owned()),
                nth: 1 + rng.below(HELD_NTH_MAX) as u32,
            };
        }
    }

    /// Some messages come when their sagas have long ended.
    pub(super) fn maybe_late(&self, plan: &mut Plan, seed: Seed) {
        let mut rng = seed.stream("late");
        for fault in &mut plan.faults {
            if let Action::DelayBurst { by_ms: late } | Action::DuplicateBurst { after_ms: late } =
                &mut fault.action
                && rng.below(LATE_ONE_IN) == 0
            {
                *late = duration(&mut rng, LATE_MS.0, LATE_MS.1);
            }
        }
    }
}

fn prolong(action: &mut Action, lasts_ms: u64) {
    if let Action::Crash { down_ms: ms, .. }
    | Action::PowerLoss { down_ms: ms, .. }
    | Action::Pause { for_ms: ms, .. }
    | Action::Isolate { for_ms: ms, .. }
    | Action::Cut { for_ms: ms, .. }
    | Action::DiskFull { for_ms: ms, .. }
    | Action::HangConnects { for_ms: ms, .. }
    | Action::Refuse { for_ms: ms, .. } = action
    {
        *ms = lasts_ms;
    }
}
