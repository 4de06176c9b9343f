//! A fault's moment in a smaller run: the same thing happens there under another name, or at another count.

use std::cmp::Reverse;

use squall_core::{
    site::{Kind, Met, Site},
    time::VirtualTime,
};
use squall_engine::{
    run::Outcome,
    storm::{Fault, Plan, When},
};

/// How many moments of the smaller run are tried for each fault.
const MOMENTS_MAX: usize = 12;
/// A fault at an instant is tried at this many of the sites that its victim passed last.
const PASSED_LAST: usize = 4;

/// The smaller run's plan with one fault aimed at what is, or may be, the same moment as in the whole run. Both are
/// censuses, of plans with the same faults.
pub(super) fn aimed_anew(whole: &Outcome, smaller: &Outcome) -> Vec<Plan> {
    let aimed = |index: usize, site: &Site| {
        let mut plan = smaller.plan.clone();
        plan.faults[index].when = When::Site(site.clone());
        plan
    };
    let mut plans = Vec::new();
    for (index, report) in whole.faults.iter().enumerate() {
        if let Some(at) = report.fired {
            let sites = moments(&report.fault, report.site.as_ref(), at, whole, smaller);
            plans.extend(sites.into_iter().map(|site| aimed(index, site)));
        }
    }
    plans
}

/// The sites of the smaller run that are most like the moment of a fault, the likeliest first.
fn moments<'s>(
    fault: &Fault,
    site: Option<&Site>,
    at: VirtualTime,
    whole: &Outcome,
    smaller: &'s Outcome,
) -> Vec<&'s Site> {
    let nodes = fault.action.nodes();
    let concerned = |met: &&Met| match site {
        Some(site) => met.site.node == site.node && met.site.kind == site.kind,
        // The disk's own blocks and reads of the clock are many, and between them nothing else can be seen.
        None => {
            nodes.contains(&met.site.node.as_str())
                && !matches!(met.site.kind, Kind::Write | Kind::Sync | Kind::Clock)
        }
    };
    let origins: Vec<u64> = match site {
        Some(site) => {
            let here = whole.sites.iter().find(|met| met.site == *site);
            here.map(|met| met.alike).into_iter().collect()
        }
        None => {
            let passed = whole.sites.iter().filter(|met| met.at <= at);
            let last = passed.rev().filter(concerned).take(PASSED_LAST);
            last.map(|met| met.alike).collect()
        }
    };
    let mut met: Vec<&Met> = smaller.sites.iter().filter(concerned).collect();
    met.sort_by_key(|met| {
        let apart = met.at.0.abs_diff(at.0);
        (Reverse(origins.contains(&met.alike)), apart)
    });
    let mut sites: Vec<&Site> = met.into_iter().map(|met| &met.site).collect();
    sites.truncate(MOMENTS_MAX);
    sites
}
