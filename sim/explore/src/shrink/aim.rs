//! Better aim: named sites rather than counts and instants, round instants rather than odd ones.

use squall_core::{
    fault::{Fault, When},
    site::{Kind, Met},
};

use super::{context::Context, observed::Passed, weaken::round_down};

/// How many of the sites that the victim passed last are tried in place of an instant.
const SITES_TRIED: usize = 4;

/// The fault at a named site: the one that was met, or those that its victim passed last, and its last timer and read of its clock.
pub(super) fn at_a_site(context: &Context<'_>) -> Vec<Fault> {
    let fault = context.fault();
    let report = &context.observed.outcome.faults[context.index];
    let sites = match (&fault.when, report.fired, &report.site) {
        (When::Nth { .. }, _, Some(site)) => vec![site.clone()],
        (When::AtMs(_), Some(fired), _) => {
            let nodes = fault.action.nodes();
            let named = |passed: &Passed| {
                passed.at <= fired
                    && nodes.contains(&passed.site.node.as_str())
                    && !passed.site.label.is_empty()
            };
            let sites = context.observed.sites().into_iter();
            let mut last: Vec<_> = sites.filter(named).map(|passed| passed.site).collect();
            last.reverse();
            last.truncate(SITES_TRIED);
            // Timers and reads of a clock leave no mark in a trace.
            let before = |met: &&&Met| met.at <= fired && nodes.contains(&&*met.site.node);
            let unseen = context.unseen.iter().filter(|met| before(&met));
            let unseen: Vec<&Met> = unseen.rev().collect();
            let mut kinds = vec![Kind::Timer];
            if fault.action.makes_clock_reads_stale() {
                kinds.push(Kind::Clock);
            }
            for kind in kinds {
                let mut of_kind = unseen.iter().filter(|met| met.site.kind == kind);
                last.extend(of_kind.next().map(|met| met.site.clone()));
            }
            last
        }
        _ => Vec::new(),
    };
    let at = |site| Fault::new(When::Site(site), fault.action.clone());
    sites.into_iter().map(at).collect()
}

/// The fault at an instant that is rounder.
pub(super) fn at_a_rounder_time(context: &Context<'_>) -> Vec<Fault> {
    let fault = context.fault();
    let When::AtMs(ms) = fault.when else {
        return Vec::new();
    };
    let at = |ms| Fault::at_ms(ms, fault.action.clone());
    rounder(ms).into_iter().map(at).collect()
}

/// Instants near `ms` with fewer digits, the roundest first; the very beginning is the roundest of all.
fn rounder(ms: u64) -> Vec<u64> {
    if ms == 0 {
        return Vec::new();
    }
    let mut instants = vec![0];
    for digits in [1, 2] {
        let below = round_down(ms, digits);
        if below == ms {
            break;
        }
        let unit = 10u64.pow((ms.ilog10() + 1).saturating_sub(digits));
        for near in [below, below + unit] {
            if !instants.contains(&near) {
                instants.push(near);
            }
        }
    }
    instants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rounded_both_ways_and_never_made_odder() {
        assert_eq!(rounder(679), [0, 600, 700, 670, 680]);
        assert_eq!(rounder(670), [0, 600, 700]);
        assert_eq!(rounder(600), [0]);
        assert_eq!(rounder(7), [0]);
        assert!(rounder(0).is_empty());
    }
}
