//! Drawing random storms over a scenario. All of them are drawn here; strategies say which.

use crate::{
    fault::{Draw, Fault, FaultKind, Profile, Turn, When},
    seed::{Seed, Stream},
    site::Kind,
};

use super::{Plan, PlanError};

/// One storm in this many orders its tasks by priority.
const PCT_ONE_IN: u64 = 4;
/// One death or pause in this many that is aimed at a site happens as a timer of the process runs out instead.
const TIMER_ONE_IN: u64 = 6;
/// The deepest schedules drawn: most ordering bugs need fewer.
const DEPTH_MAX: u64 = 4;

/// A kind of fault to draw from, and in which of its ways.
type Choice = (FaultKind, usize);

impl Profile {
    /// Whether a plan, wherever it comes from, can happen in a world of this profile.
    ///
    /// # Errors
    ///
    /// What cannot.
    pub fn check(&self, plan: &Plan) -> Result<(), PlanError> {
        plan.check(&self.everywhere())?;
        plan.check_in(self)?;
        plan.check_without(&self.nodes)
    }

    /// The kinds, each as often as there are ways to draw it.
    fn choices(&self) -> Vec<Choice> {
        let ways = |kind: FaultKind| 0..(kind.definition().variants)(self);
        let kinds = self.kinds().into_iter();
        kinds
            .flat_map(|kind| ways(kind).map(move |way| (kind, way)))
            .collect()
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

    /// The same, with all that is ready ordered by priorities.
    pub fn draw_by_priorities(&self, seed: Seed) -> Plan {
        Plan {
            pct: Some(depth(&mut seed.stream("depth"))),
            ..self.draw_plain(seed)
        }
    }

    /// The choices of the stream that most faults are drawn from.
    fn drawn_together(&self) -> Vec<Choice> {
        let mut all = self.choices();
        all.retain(|(kind, _)| (kind.definition().drawing)().joins.is_none());
        all
    }

    /// The storm with some of its faults aimed better, lasting longer, or joined by others. Whatever else the seed
    /// draws stays as it is.
    fn with_aim(&self, mut plan: Plan, seed: Seed) -> Plan {
        let faults = &mut plan.faults;
        self.at_timers(faults, seed);
        self.join_at(Turn::BeforeAiming, faults, seed);
        self.at_what_is_held(faults, seed);
        self.at_clock_reads(faults, seed);
        self.maybe_outage(faults, seed);
        self.maybe_late(faults, seed);
        self.join_at(Turn::AfterAiming, faults, seed);
        self.join_at(Turn::Last, faults, seed);
        plan
    }

    /// Adds the kinds that are drawn from streams of their own.
    fn join_at(&self, turn: Turn, faults: &mut Vec<Fault>, seed: Seed) {
        let kinds = FaultKind::ALL.iter().map(|kind| kind.definition());
        kinds
            .filter(|kind| (kind.drawing)().joins == Some(turn))
            .for_each(|kind| (kind.join)(self, faults, seed));
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

    /// Some deaths and pauses are aimed at timers in place of other sites.
    fn at_timers(&self, faults: &mut [Fault], seed: Seed) {
        let mut rng = seed.stream("timers");
        for fault in faults {
            self.maybe_at_timer(fault, &mut rng);
        }
    }

    fn maybe_at_timer(&self, fault: &mut Fault, rng: &mut Stream) {
        let can = (fault.action.kind().definition().drawing)().at_timers;
        if can && matches!(fault.when, When::Nth { .. }) && rng.below(TIMER_ONE_IN) == 0 {
            let nth = 1 + rng.below(self.commits);
            fault.when = When::nth(fault.action.nodes()[0], Kind::Timer, nth);
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
            fault.action.aim(&mut fault.when, &mut Draw::new(self, rng));
            fault
        })
    }

    fn fault(&self, (kind, variant): Choice, rng: &mut Stream) -> Fault {
        let mut from = Draw {
            variant,
            ..Draw::new(self, rng)
        };
        from.fault(kind)
    }

    /// One fault of this kind.
    pub(super) fn of_kind(&self, kind: FaultKind, rng: &mut Stream) -> Fault {
        self.fault((kind, 0), rng)
    }
}

/// The depth of a seed's schedules, where they are not uniform.
fn schedules(seed: Seed) -> Option<u32> {
    let mut rng = seed.stream("pct");
    (rng.below(PCT_ONE_IN) == 0).then(|| depth(&mut rng))
}

/// How deep schedules are to be: see [`Plan::pct`].
pub fn depth(rng: &mut Stream) -> u32 {
    1 + rng.below(DEPTH_MAX) as u32
}
