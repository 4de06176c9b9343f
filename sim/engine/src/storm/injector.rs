//! Which faults are still to come, and which of them a site sets off.

use std::collections::BTreeMap;

use squall_core::{
    census::{About, Census},
    site::{Kind, Met, Site},
    time::VirtualTime,
};

use super::{Action, Fault, FaultReport, Plan, When};

/// A fault whose moment has come.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// Its ordinal in the plan.
    pub index: usize,
    /// What it does.
    pub action: Action,
}

/// Counts sites and sets faults off. Without a census, only what a pending fault aims at is counted.
pub(crate) struct Injector {
    reports: Vec<FaultReport>,
    pending: Vec<usize>,
    nth: BTreeMap<(String, Kind), u32>,
    attempts: BTreeMap<(String, Kind, String), u32>,
    armed: bool,
    /// When it was armed first.
    began: Option<VirtualTime>,
    /// How many faults the plan has; those behind came by hand.
    planned: usize,
    census: Option<Census>,
}

impl Injector {
    pub fn new(plan: &Plan) -> Self {
        let report = |fault: &Fault| FaultReport {
            fault: fault.clone(),
            fired: None,
            site: None,
            effective: false,
        };
        let reports: Vec<_> = plan.faults.iter().map(report).collect();
        let pending = (0..reports.len())
            .filter(|&i| !matches!(reports[i].fault.when, When::AtMs(_)))
            .collect();
        Injector {
            reports,
            pending,
            nth: BTreeMap::new(),
            attempts: BTreeMap::new(),
            armed: false,
            began: None,
            planned: plan.faults.len(),
            census: None,
        }
    }

    /// From now on every site is recorded.
    pub fn take_census(&mut self, census: Census) {
        self.census = Some(census);
    }

    pub fn is_census(&self) -> bool {
        self.census.is_some()
    }

    /// All sites that were met, if a census was taken.
    pub fn take_met(&mut self) -> Vec<Met> {
        self.census.take().map(Census::into_met).unwrap_or_default()
    }

    /// The faults aimed at an instant, in the plan's order.
    pub fn timed(&self) -> impl Iterator<Item = (usize, VirtualTime)> + '_ {
        self.reports
            .iter()
            .enumerate()
            .filter_map(|(index, report)| match report.fault.when {
                When::AtMs(ms) => Some((index, VirtualTime(ms * 1_000_000))),
                _ => None,
            })
    }

    /// From now on faults are set off.
    pub fn arm(&mut self, now: VirtualTime) {
        self.armed = true;
        self.began = Some(now);
    }

    /// How many faults the plan has: those of higher ordinals came by hand.
    pub fn planned(&self) -> usize {
        self.planned
    }

    /// Sets off a fault of no plan; one that comes before the storm begins with it.
    pub fn inflict(&mut self, action: Action, now: VirtualTime) -> Option<Due> {
        let since = self.began.map(|began| now.since(began));
        let at_ms = since.map_or(0, |since| since.as_millis() as u64);
        let index = self.reports.len();
        self.reports.push(FaultReport {
            fault: Fault::at_ms(at_ms, action.clone()),
            fired: self.began.map(|_| now),
            site: None,
            effective: false,
        });
        self.began.map(|_| Due { index, action })
    }

    /// From now on nothing is set off.
    pub fn disarm(&mut self) {
        self.armed = false;
    }

    /// Sets a timed fault off.
    pub fn fire(&mut self, index: usize, now: VirtualTime) -> Option<Due> {
        let report = &mut self.reports[index];
        if !self.armed || report.fired.is_some() {
            return None;
        }
        report.fired = Some(now);
        Some(Due {
            index,
            action: report.fault.action.clone(),
        })
    }

    /// Whether any pending fault aims at this node and a kind for which `is` holds: a cheap question that spares
    /// the counting of sites where it is not needed.
    pub fn watches(&self, node: &str, is: impl Fn(&Kind) -> bool) -> bool {
        let aimed = |&i: &usize| match &self.reports[i].fault.when {
            When::Site(site) => site.node == node && is(&site.kind),
            When::Nth { node: at, kind, .. } => at == node && is(kind),
            When::AtMs(_) => false,
        };
        self.armed && (self.census.is_some() || self.pending.iter().any(aimed))
    }

    /// Whether any fault aims at a timer of this node.
    pub fn aims_at_timers_of(&self, node: &str) -> bool {
        self.pending
            .iter()
            .any(|&i| match &self.reports[i].fault.when {
                When::Site(Site { node: at, kind, .. }) | When::Nth { node: at, kind, .. } => {
                    at == node && *kind == Kind::Timer
                }
                When::AtMs(_) => false,
            })
    }

    /// A site is reached: counts it and returns what it sets off.
    pub fn reached(
        &mut self,
        node: &str,
        kind: &Kind,
        label: &str,
        about: About<'_>,
        now: VirtualTime,
    ) -> Vec<Due> {
        let nth = bump(&mut self.nth, (node.to_owned(), kind.clone()));
        let attempt = bump(
            &mut self.attempts,
            (node.to_owned(), kind.clone(), label.to_owned()),
        );
        if let Some(census) = &mut self.census {
            let site = Site::new(node, kind.clone(), label, attempt);
            census.meets(site, now, about);
        }
        let mut due = Vec::new();
        let reports = &mut self.reports;
        self.pending.retain(|&index| {
            let report = &mut reports[index];
            let hit = match &report.fault.when {
                When::Site(site) => {
                    site.attempt == attempt
                        && site.node == node
                        && site.kind == *kind
                        && site.label == label
                }
                When::Nth {
                    node: at,
                    kind: of,
                    nth: n,
                } => *n == nth && at == node && of == kind,
                When::AtMs(_) => false,
            };
            if hit {
                report.fired = Some(now);
                report.site = Some(Site::new(node, kind.clone(), label, attempt));
                due.push(Due {
                    index,
                    action: report.fault.action.clone(),
                });
            }
            !hit
        });
        due
    }

    /// The fault touched something.
    pub fn bites(&mut self, index: usize) {
        self.reports[index].effective = true;
    }

    /// All faults, those that came by hand behind those of the plan.
    pub fn all(&self) -> &[FaultReport] {
        &self.reports
    }

    /// What became of the plan's faults, and of those that came by hand.
    pub fn reports(&self) -> (&[FaultReport], &[FaultReport]) {
        self.reports.split_at(self.planned)
    }
}

fn bump<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) -> u32 {
    let count = counts.entry(key).or_insert(0);
    *count += 1;
    *count
}
