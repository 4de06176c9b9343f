//! The steps of shrinking, the most telling first, again and again until none of them helps.

use std::collections::{BTreeMap, BTreeSet};

use squall_core::site::{Kind, Met};
use squall_engine::{
    run::Outcome,
    storm::{Fault, Plan, When},
};

use super::{
    aim,
    context::Context,
    ddmin::ddmin,
    observed::Observed,
    reaim,
    trial_runner::{SCHEDULES_MAX, TrialRunner},
    weaken,
};

/// Schedules tried for each way to change requests, and for each weaker fault: what these steps gain is less.
const SCHEDULES_FEW: usize = 4;
/// Schedules tried for each shorter or rounder number.
const SCHEDULES_FEWEST: usize = 2;
/// All steps are gone through this often at most.
const ROUNDS_MAX: usize = 6;

/// The smallest run that fails in the same way and was found.
pub(super) fn reduce(trials: &mut TrialRunner<'_>, failing: Observed) -> Observed {
    let calls = failing.calls().into_iter();
    let calls = calls.map(|(op, client)| (op.to_owned(), client.to_owned()));
    let asked = failing.outcome.operations.iter();
    let asked = asked.map(|one| (one.name.clone(), one.client.clone()));
    let mut present = Reduction {
        trials,
        known: calls.chain(asked).collect(),
        best: failing,
        unseen: Vec::new(),
    };
    present.trials.left = present.size();
    for _ in 0..ROUNDS_MAX {
        let before = present.best.outcome.plan.clone();
        present.drop_faults();
        present.drop_clients();
        present.drop_requests();
        present.shallower_priorities();
        present.each_fault(SCHEDULES_FEW, weaken::weaker);
        present.note_unseen();
        present.each_fault(SCHEDULES_FEW, aim::at_a_site);
        present.each_fault(SCHEDULES_FEWEST, aim::at_a_rounder_time);
        present.each_fault(SCHEDULES_FEWEST, weaken::smaller);
        present.own_schedule();
        let helped = present.best.outcome.plan != before || present.drop_and_aim_anew();
        if !helped || present.trials.is_spent() {
            break;
        }
    }
    present.best
}

struct Reduction<'l, 'a> {
    trials: &'l mut TrialRunner<'a>,
    /// The operations of the run that was given, each with its client.
    known: BTreeMap<String, String>,
    best: Observed,
    /// The timers that ran out and the reads of clocks, as far as a fault may be aimed at one.
    unseen: Vec<Met>,
}

impl Reduction<'_, '_> {
    fn plan(&self) -> &Plan {
        &self.best.outcome.plan
    }

    /// Faults and requests that are left.
    fn size(&self) -> (usize, usize) {
        (self.plan().faults.len(), self.best.calls().len())
    }

    /// Takes a plan over that failed, if it does so with its whole trace too.
    fn adopt(&mut self, plan: &Plan) -> bool {
        let outcome = self.trials.run_in_full(plan);
        let fails = self.trials.fails(&outcome);
        if fails {
            self.best = Observed::of(outcome);
            self.trials.left = self.size();
        }
        fails
    }

    /// Tries these plans and takes the first that fails over.
    fn try_plans(&mut self, plans: &[Plan], schedules: usize) -> Option<usize> {
        let (place, plan) = self.trials.first_failing(plans, schedules)?;
        self.adopt(&plan).then_some(place)
    }

    fn drop_faults(&mut self) {
        let reports = &self.best.outcome.faults;
        let idle = reports.iter().any(|report| !report.effective);
        if idle {
            let kept = reports.iter().filter(|report| report.effective);
            let plan = Plan {
                faults: kept.map(|report| report.fault.clone()).collect(),
                ..self.plan().clone()
            };
            self.try_plans(&[plan], SCHEDULES_MAX);
        }
        ddmin(self.plan().faults.clone(), |candidates| {
            let with = |faults: &Vec<Fault>| Plan {
                faults: faults.clone(),
                ..self.plan().clone()
            };
            let plans: Vec<Plan> = candidates.iter().map(with).collect();
            self.try_plans(&plans, SCHEDULES_MAX)
        });
    }

    fn drop_clients(&mut self) {
        let clients = self.best.clients().into_iter().map(str::to_owned).collect();
        self.drop_names(clients);
        self.keep_what_matters();
    }

    fn drop_requests(&mut self) {
        let operations = self.best.operations().into_iter();
        self.drop_names(operations.map(str::to_owned).collect());
        self.keep_what_matters();
    }

    /// Drops a client or a request and aims a fault at what is then the same moment. True if that helped.
    ///
    /// A fault whose site is counted, or has its name from the one that is dropped, strikes at another moment of the
    /// smaller run or at none, and so seems to need what it does not need.
    fn drop_and_aim_anew(&mut self) -> bool {
        let clients = self.best.clients();
        let clients = clients.iter().filter(|_| clients.len() > 1);
        let operations = self.best.operations();
        let operations = operations.iter().filter(|_| operations.len() > 1);
        let names: Vec<String> = clients.chain(operations).map(|&n| n.to_owned()).collect();
        if names.is_empty() || self.plan().faults.is_empty() || self.trials.is_spent() {
            return false;
        }
        let whole = self.trials.census(&self.plan().clone());
        names
            .into_iter()
            .any(|name| self.aims_without(name, &whole))
    }

    fn aims_without(&mut self, name: String, whole: &Outcome) -> bool {
        if self.trials.is_spent() {
            return false;
        }
        let mut smaller = self.plan().clone();
        smaller.without.push(name);
        let smaller = self.trials.census(&smaller);
        let plans = reaim::aimed_anew(whole, &smaller);
        let helped = self.try_plans(&plans, 1).is_some();
        if helped {
            self.keep_what_matters();
        }
        helped
    }

    fn drop_names(&mut self, names: Vec<String>) {
        let already = self.plan().without.clone();
        ddmin(names.clone(), |candidates| {
            let with = |kept: &Vec<String>| {
                let dropped = names.iter().filter(|name| !kept.contains(name));
                Plan {
                    without: already.iter().chain(dropped).cloned().collect(),
                    ..self.plan().clone()
                }
            };
            let plans: Vec<Plan> = candidates.iter().map(with).collect();
            self.try_plans(&plans, SCHEDULES_FEW)
        });
    }

    /// Forgets names that were left out in vain: of operations about which no client
    /// [asks](squall_engine::Client::does) any more, and of those whose client is gone. A client that does nothing any
    /// more is gone.
    fn keep_what_matters(&mut self) {
        let calls = self.best.calls();
        let happens = |name: &String| calls.iter().any(|(op, of)| op == name || of == name);
        let without: &Vec<String> = &self.plan().without;
        let gone = |client: &String| {
            let left_out = |(op, of): (&String, &String)| of == client && without.contains(op);
            !happens(client) && (without.contains(client) || self.known.iter().any(left_out))
        };
        let clients: BTreeSet<&String> =
            self.known.values().filter(|client| gone(client)).collect();
        let names = without.iter().filter(|name| {
            let client = self.known.get(*name);
            // Who stayed away from the beginning is known by no operation.
            let away = client.is_none() && !self.best.outcome.unmet.contains(name);
            !happens(name)
                && (away || self.best.asks(name))
                && !clients.contains(name)
                && client.is_none_or(|of| !clients.contains(of))
        });
        let kept: Vec<String> = clients.iter().copied().chain(names).cloned().collect();
        if kept != *without {
            let plan = Plan {
                without: kept,
                ..self.plan().clone()
            };
            self.try_plans(&[plan], 1);
        }
    }

    /// Timers and reads of a clock leave no mark in a trace: a census tells of them, where a process that dies or stands still at an instant
    /// may do so at one.
    fn note_unseen(&mut self) {
        let at_an_instant =
            |fault: &Fault| fault.action.stops_process() && matches!(fault.when, When::AtMs(_));
        self.unseen.clear();
        if self.plan().faults.iter().any(at_an_instant) && !self.trials.is_spent() {
            self.unseen = self.trials.census(&self.plan().clone()).sites;
            self.unseen
                .retain(|met| matches!(met.site.kind, Kind::Timer | Kind::Clock));
        }
    }

    /// For each fault, takes the first of its alternatives that fails, until none does.
    fn each_fault(&mut self, schedules: usize, alternatives: fn(&Context<'_>) -> Vec<Fault>) {
        let links = self.trials.scenario.profile().links;
        let mut index = 0;
        while index < self.plan().faults.len() {
            let context = Context {
                observed: &self.best,
                index,
                links: &links,
                unseen: &self.unseen,
            };
            let plans: Vec<Plan> = alternatives(&context)
                .into_iter()
                .map(|fault| {
                    let mut plan = self.plan().clone();
                    plan.faults[index] = fault;
                    plan
                })
                .collect();
            if self.try_plans(&plans, schedules).is_none() {
                index += 1;
            }
        }
    }

    /// Tasks run by lot, or by priorities that change less often.
    fn shallower_priorities(&mut self) {
        let Some(depth) = self.plan().pct else {
            return;
        };
        let with = |pct| Plan {
            pct,
            ..self.plan().clone()
        };
        let fewer = (1..depth.min(4)).map(Some);
        let plans: Vec<Plan> = std::iter::once(None).chain(fewer).map(with).collect();
        self.try_plans(&plans, SCHEDULES_MAX);
    }

    /// Back to the schedule that the seed draws by itself.
    fn own_schedule(&mut self) {
        if self.plan().schedule.is_some() {
            let plan = Plan {
                schedule: None,
                ..self.plan().clone()
            };
            self.try_plans(&[plan], 1);
        }
    }
}
