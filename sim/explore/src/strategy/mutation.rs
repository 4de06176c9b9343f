//! Changing a storm a little.

use serde_json::Value;

use squall_core::{
    seed::{Seed, Stream, unit},
    site::Kind,
};
use squall_engine::{
    storm::{Action, Fault, PCT_MAX, Plan, Profile, STORM_MS_MAX, When, depth},
    trace::Feature,
};

use super::Trial;

/// A mutant has at most this many faults.
const FAULTS_MAX: usize = 8;
/// How many changes are drawn in search of one that changes something, and actions in search of one that fits a place.
const DRAWS_MAX: usize = 24;

/// What a mutation is made from.
pub(super) struct Parent<'a> {
    pub seed: Seed,
    pub plan: &'a Plan,
    /// What its run covered, with a weight each: the rarer, the heavier.
    pub features: &'a [(f64, &'a Feature)],
    /// Another storm, to take faults from.
    pub other: &'a Plan,
}

/// A storm that differs from its parent by one to three changes, all of which can happen in a world of this profile.
pub(super) fn mutate(parent: &Parent<'_>, profile: &Profile, rng: &mut Stream) -> Trial {
    let (mut seed, mut plan) = (parent.seed, parent.plan.clone());
    let mut changes = 1 + rng.below(3).min(rng.below(4));
    for _ in 0..DRAWS_MAX {
        let (mut another, mut next) = (seed, plan.clone());
        change(&mut next, &mut another, parent, profile, rng);
        // A storm that was run before shows nothing.
        let differs_from = |seed: Seed, plan: &Plan| (another, &next) != (seed, plan);
        let is_new = differs_from(seed, &plan) && differs_from(parent.seed, parent.plan);
        if is_new && profile.check(&next).is_ok() {
            (seed, plan) = (another, next);
            changes -= 1;
        }
        if changes == 0 {
            break;
        }
    }
    Trial { seed, plan }
}

fn change(
    plan: &mut Plan,
    seed: &mut Seed,
    parent: &Parent<'_>,
    profile: &Profile,
    rng: &mut Stream,
) {
    match rng.below(16) {
        0..7 => add(plan, strike(parent.features, profile, rng), rng),
        7..9 => {
            if let Some(fault) = one_of(&mut plan.faults, rng) {
                shift(&mut fault.when, rng);
            }
        }
        9..11 => {
            if let Some(fault) = one_of(&mut plan.faults, rng) {
                retune(&mut fault.action, rng);
            }
        }
        11 => {
            if plan.faults.len() > 1 {
                plan.faults
                    .remove(rng.below(plan.faults.len() as u64) as usize);
            }
        }
        12 => add(plan, profile.draw_fault(rng), rng),
        13 => {
            for fault in &parent.other.faults {
                if rng.chance(0.5) {
                    add(plan, Some(fault.clone()), rng);
                }
            }
        }
        14 => match rng.below(2) {
            0 => plan.schedule = Some(rng.bits()),
            _ => plan.pct = rng.chance(0.6).then(|| depth(rng)),
        },
        // What a site is called in another workload, a site counted may well be.
        _ => *seed = Seed(rng.bits()),
    }
    debug_assert!(plan.pct.is_none_or(|depth| depth <= PCT_MAX));
}

/// Adds a fault; a storm that is full gives one up for it.
fn add(plan: &mut Plan, fault: Option<Fault>, rng: &mut Stream) {
    let Some(fault) = fault else { return };
    if plan.faults.len() < FAULTS_MAX {
        plan.faults.push(fault);
    } else if let Some(old) = one_of(&mut plan.faults, rng) {
        *old = fault;
    }
}

/// A fault at the very moment at which the parent's run covered something, the rarer the more likely.
fn strike(features: &[(f64, &Feature)], profile: &Profile, rng: &mut Stream) -> Option<Fault> {
    let total: f64 = features.iter().map(|(weight, _)| weight).sum();
    let mut left = unit(rng.bits()) * total;
    let (_, feature) = features.iter().find(|(weight, _)| {
        left -= weight;
        left <= 0.0
    })?;
    let when = feature.when.clone()?;
    let (near, is_burst): (Vec<&str>, bool) = match &when {
        When::Nth {
            node,
            kind: Kind::Send(peer),
            ..
        } => (vec![node, peer], true),
        When::Nth { node, .. } => (vec![node], false),
        _ => (Vec::new(), false),
    };
    let fits = |action: &Action| {
        if action.needs_burst() {
            return is_burst;
        }
        near.is_empty() || action.nodes().iter().any(|node| near.contains(node))
    };
    for _ in 0..DRAWS_MAX {
        let fault = profile.draw_fault(rng)?;
        if fits(&fault.action) {
            return Some(Fault::new(when, fault.action));
        }
    }
    None
}

fn one_of<'a, T>(items: &'a mut [T], rng: &mut Stream) -> Option<&'a mut T> {
    let which = rng.below(items.len() as u64) as usize;
    items.get_mut(which)
}

/// Earlier or later: a little, mostly.
fn shift(when: &mut When, rng: &mut Stream) {
    match when {
        When::AtMs(ms) => *ms = scaled(*ms, 1.0, rng).min(STORM_MS_MAX),
        When::Nth { nth: n, .. } => *n = near(*n, rng),
        When::Site(site) => site.attempt = near(site.attempt, rng),
    }
}

fn near(n: u32, rng: &mut Stream) -> u32 {
    match rng.below(4) {
        0 => n.saturating_sub(1).max(1),
        1 => n.saturating_add(1),
        2 => n.saturating_add(2),
        _ => 1 + rng.below(u64::from(n).saturating_mul(2)) as u32,
    }
}

/// A number up to `octaves` times doubled or halved.
fn scaled(n: u64, octaves: f64, rng: &mut Stream) -> u64 {
    let by = (2.0 * unit(rng.bits()) - 1.0) * octaves;
    (n as f64 * by.exp2()).round() as u64
}

/// Another duration, strength or number of times for an action.
fn retune(action: &mut Action, rng: &mut Stream) {
    let Ok(Value::Object(mut members)) = serde_json::to_value(&*action) else {
        return;
    };
    let mut numbers: Vec<&mut Value> = members.values_mut().filter(|v| v.is_number()).collect();
    let Some(number) = one_of(&mut numbers, rng) else {
        return;
    };
    **number = match (number.as_u64(), number.as_i64()) {
        (Some(n), _) => scaled(n, 3.0, rng).max(1).into(),
        (_, Some(n)) => {
            let size = scaled(n.unsigned_abs(), 3.0, rng).max(1);
            (-i64::try_from(size).unwrap_or(i64::MAX)).into()
        }
        _ => return,
    };
    // A number too large for its member leaves the action as it was.
    if let Ok(retuned) = serde_json::from_value(Value::Object(members)) {
        *action = retuned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_core::fault::CustomFault;

    #[test]
    fn a_mutant_differs_from_its_parent_and_can_happen() {
        let nodes = ["shop", "bank"];
        let theft = CustomFault {
            name: "theft",
            node: "bank",
            amount: (1, 3),
        };
        let profile = Profile {
            custom: vec![theft],
            ..Profile::new(&nodes, &[("shop", "bank")])
        };
        let mut rng = Seed(1).stream("mutants");
        let is_theft = |fault: &Fault| matches!(fault.action, Action::Custom(_));
        let mut plans = (0..).map(|seed| profile.draw(Seed(seed)));
        let plan = plans.find(|plan| plan.faults.iter().any(is_theft)).unwrap();
        let parent = Parent {
            seed: Seed(1),
            plan: &plan,
            features: &[],
            other: &Plan::new(Vec::new()),
        };
        for _ in 0..2_000 {
            let Trial { seed, plan: mutant } = mutate(&parent, &profile, &mut rng);
            assert!((seed, &mutant) != (parent.seed, &plan));
            profile.check(&mutant).unwrap();
        }
    }
}
