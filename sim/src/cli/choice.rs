//! What the names on the command line stand for.

use std::collections::BTreeSet;

use squall_core::{
    names::{Hint, Unknown},
    seed::Seeds,
};
use squall_engine::{
    scenario::{Catalogue, Scenario, bugs, shapes},
    storm::Plan,
};
use squall_explore::campaign::Campaign;

use super::{Refusal, args::Variant};

/// The campaigns over the scenarios that are named: all that have the shape and the bug if none is.
pub(super) fn campaigns<'a>(
    catalogue: &'a Catalogue,
    names: &[String],
    variant: &Variant,
    seeds: Seeds,
) -> Result<Vec<Campaign<'a>>, Refusal> {
    let plan = variant.plan.as_deref().map(Plan::read).transpose()?;
    let chosen = if names.is_empty() {
        having(catalogue, variant)?
    } else {
        named(catalogue, names)?
    };
    let campaign = |scenario: &'a dyn Scenario| {
        let mut campaign = Campaign::over(scenario, seeds);
        campaign.strategy = variant.explore;
        if let Some(shape) = &variant.shape {
            campaign = campaign.in_shape(shape)?;
        }
        if let Some(bug) = &variant.plant {
            campaign = campaign.with_planted(bug)?;
        }
        if let Some(plan) = &plan {
            let misplaced = |wrong| Refusal::Misplaced {
                scenario: scenario.name().to_owned(),
                wrong,
            };
            scenario.profile().check(plan).map_err(misplaced)?;
            campaign.plan = Some(plan.clone());
            campaign.plan_file = variant.plan.clone();
        }
        Ok(campaign)
    };
    chosen.into_iter().map(campaign).collect()
}

/// The scenarios that are named, or all.
pub(super) fn scenarios<'a>(
    catalogue: &'a Catalogue,
    names: &[String],
) -> Result<Vec<&'a dyn Scenario>, Refusal> {
    if names.is_empty() {
        return Ok(catalogue.scenarios.iter().map(|s| &**s).collect());
    }
    named(catalogue, names)
}

/// The scenarios of these names, each once.
fn named<'a>(catalogue: &'a Catalogue, names: &[String]) -> Result<Vec<&'a dyn Scenario>, Refusal> {
    let all: Vec<&str> = catalogue.scenarios.iter().map(|s| s.name()).collect();
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    for name in names.iter().filter(|name| seen.insert(name.as_str())) {
        Unknown::unless_known("there is", "scenario", name, &all)?;
        chosen.extend(catalogue.get(name));
    }
    Ok(chosen)
}

/// All scenarios that have the shape and the bug of `variant`.
fn having<'a>(
    catalogue: &'a Catalogue,
    variant: &Variant,
) -> Result<Vec<&'a dyn Scenario>, Refusal> {
    let has = |wanted: &Option<String>, names: &[&str]| {
        wanted.as_deref().is_none_or(|name| names.contains(&name))
    };
    let all: Vec<&dyn Scenario> = catalogue.scenarios.iter().map(|s| &**s).collect();
    let chosen: Vec<&dyn Scenario> = all
        .iter()
        .copied()
        .filter(|s| has(&variant.shape, &shapes(*s)) && has(&variant.plant, &bugs(*s)))
        .collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let described =
        |what: &str, wanted: &Option<String>, of: fn(&dyn Scenario) -> Vec<&'static str>| {
            let existing: Vec<&str> = all.iter().flat_map(|s| of(*s)).collect();
            let wanted = wanted.as_deref()?;
            let hint = Hint(
                wanted,
                if existing.contains(&wanted) {
                    &[]
                } else {
                    &existing
                },
            );
            Some(format!("the {what} '{wanted}'{hint}"))
        };
    let wanted = [
        described("shape", &variant.shape, shapes),
        described("bug", &variant.plant, bugs),
    ];
    let wanted: Vec<String> = wanted.into_iter().flatten().collect();
    Err(Refusal::Usage(if wanted.is_empty() {
        "there are no scenarios".to_owned()
    } else {
        format!(
            "no scenario has {}; `list` shows what there is",
            wanted.join(" and ")
        )
    }))
}
