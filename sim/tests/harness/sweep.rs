//! A sweep tries everything everywhere once, and what it leaves out would have told the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use squall::{
    bug_bench::{Task, measure},
    campaign::{Campaign, Seeds, Totals},
    explore::{
        Explorer, Strategy, Sweep, Trial,
        sweep::{Length, Matrix},
    },
    run::{Options, Outcome, Spec, Verdict, run, run_with},
    scenario::Scenario,
    seed::Seed,
    site::{Class, Met},
    storm::{Action, Fault, Plan, When},
};

use crate::{
    bank::Bank,
    little::{crash, power_loss},
    sites::name_of,
};

fn sweep(plant: Option<&str>, pairs: usize, jobs: usize) -> (Totals, Matrix) {
    sweep_seeds(Seeds::one(Seed(1)), plant, pairs, jobs)
}

fn sweep_seeds(seeds: Seeds, plant: Option<&str>, pairs: usize, jobs: usize) -> (Totals, Matrix) {
    let campaign = Campaign {
        jobs,
        plant: plant.map(str::to_owned),
        ..Campaign::over(&Bank, seeds)
    };
    let mut explorer = Sweep::new(&Bank, seeds, pairs);
    let totals = campaign.explore(&mut explorer, &mut |_| ());
    (totals, explorer.matrix())
}

#[test]
fn every_fault_of_a_sweep_strikes_and_a_sound_bank_survives_them() {
    let (totals, matrix) = sweep(None, 0, 2);
    assert!(totals.is_clean(), "{:#?}", totals.failures);
    assert_eq!(totals.tally.runs, 1 + matrix.storms);
    assert!(matrix.sites_pruned > 0 && matrix.rows.len() > 20);
    let stand_for: u64 = matrix.rows.iter().map(|row| row.stands_for).sum();
    assert_eq!(stand_for, matrix.sites_met);
    for column in &matrix.columns {
        assert_eq!(column.fired, column.planned, "{}", column.name);
        assert_eq!(column.survived, column.planned, "{}", column.name);
        assert!(column.effective > 0, "{}", column.name);
    }
    let names: Vec<&str> = matrix.columns.iter().map(|c| &*c.name).collect();
    for name in [
        "crash after",
        "power loss before",
        "answer lost",
        "delayed",
        "sync error",
        "overlap",
        "doubt 5",
    ] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
}

#[test]
fn a_sweep_finds_bugs_of_one_fault_and_their_plans_replay() {
    for bug in ["ack-before-commit", "commit-without-sync"] {
        let (totals, matrix) = sweep(Some(bug), 0, 2);
        let failure = totals
            .failures
            .first()
            .unwrap_or_else(|| panic!("{bug} was not found"));
        let plan = failure.plan.clone().expect("a sweep plans its storms");
        assert_eq!(plan.faults.len(), 1);
        let spec = Spec {
            plant: Some(bug.to_owned()),
            plan,
            ..Spec::of(&Bank, failure.seed)
        };
        let replayed = run(&Bank, &spec, false);
        assert_eq!(replayed.verdict, Verdict::Violated);
        assert_eq!(replayed.violations.first(), failure.violation.as_ref());
        let broken = matrix.rows.iter().flat_map(|row| &row.cells);
        assert!(broken.filter(|cell| cell.broke.is_some()).count() > 0);
    }
}

#[test]
fn a_sweep_of_several_seeds_goes_on_with_the_sites_that_the_next_one_adds() {
    let seeds = |count| Seeds::starting_at(Seed(1), count).expect("there are so many");
    let (_, one) = sweep_seeds(seeds(1), None, 0, 2);
    let (totals, three) = sweep_seeds(seeds(3), None, 20, 2);
    assert!(totals.is_clean(), "{:#?}", totals.failures);
    assert!(three.rows.len() >= one.rows.len() && three.sites_met > one.sites_met);
    let again = three.rows[one.rows.len()..].iter();
    assert!(again.map(|row| row.seed).all(|seed| seed != Seed(1)));
    let stand_for: u64 = three.rows.iter().map(|row| row.stands_for).sum();
    assert_eq!(stand_for, three.sites_met);
    // What two seeds meet is tried with faults of two lengths; what has none is not tried again.
    let short = three.rows.iter().filter(|row| row.length == Length::Short);
    let (mut lasting, mut without) = (0, 0);
    for cell in short.flat_map(|row| &row.cells) {
        let once = [
            "restart",
            "reset",
            "request lost",
            "answer lost",
            "sync error",
        ];
        *(if once.contains(&&*cell.column) || cell.column == "write error" {
            &mut without
        } else {
            &mut lasting
        }) += 1;
    }
    assert!(lasting > 20 && without == 0, "{lasting}, {without}");
    assert_eq!(totals.tally.runs, 3 + three.storms + 20);
    assert_eq!(three.pairs.map(|pairs| pairs.run), Some(20));
}

#[test]
fn of_many_seeds_some_calm_runs_go_before_each_portion_of_storms() {
    let seeds = Seeds::starting_at(Seed(1), 20).expect("there are so many");
    let mut explorer = Sweep::new(&Bank, seeds, 0);
    let mut portions = Vec::new();
    for _ in 0..3 {
        let trials = explorer.next();
        let calm = |trial: &&Trial| trial.plan.faults.is_empty();
        portions.push((trials.iter().filter(calm).count(), trials.len()));
        for trial in trials {
            let spec = Spec {
                plan: trial.plan.clone(),
                ..Spec::of(&Bank, trial.seed)
            };
            explorer.learn(&trial, &run_with(&Bank, &spec, explorer.options(&trial)));
        }
    }
    assert_eq!(portions, [(8, 8), (8, 56), (4, 4)]);
}

#[test]
fn a_sweep_of_many_seeds_runs_each_storm_once_for_any_number_of_workers() {
    let seeds = Seeds::starting_at(Seed(1), 12).expect("there are so many");
    let one = sweep_seeds(seeds, None, 0, 1);
    let (totals, matrix) = &one;
    assert_eq!(totals.tally.runs, 12 + matrix.storms);
    for column in &matrix.columns {
        assert_eq!(column.run, column.planned, "{}", column.name);
    }
    assert!(one == sweep_seeds(seeds, None, 0, 3));
}

#[test]
fn the_power_of_a_sweep_is_measured_with_storms_and_not_with_calm_runs() {
    let task = Task {
        scenario: "bank".to_owned(),
        bug: "ack-before-commit".to_owned(),
        strategy: Strategy::Sweep.name().to_owned(),
        campaign: 0,
        cut_off: 500,
        damage: false,
    };
    let measured = measure(
        &run_with,
        &Bank,
        Strategy::Sweep,
        &task,
        None,
        &Arc::default(),
    );
    let found = measured.and_then(|measured| measured.found);
    assert_eq!(found.map(|found| found.faults), Some(1));
}

#[test]
fn a_sweep_with_pairs_is_the_same_for_any_number_of_workers() {
    let alone = sweep(Some("ack-before-commit"), 60, 1);
    let pairs = alone.1.pairs.expect("there is a budget");
    assert_eq!((pairs.planned, pairs.run), (60, 60));
    assert!(pairs.possible > 60 && pairs.fired > 30, "{pairs:?}");
    assert!(alone == sweep(Some("ack-before-commit"), 60, 4));
}

fn outcome(plant: Option<&str>, faults: Vec<Fault>, census: bool) -> Outcome {
    let spec = Spec {
        plant: plant.map(str::to_owned),
        plan: Plan::new(faults),
        ..Spec::of(&Bank, Seed(1))
    };
    let options = Options {
        census,
        ..Options::default()
    };
    run_with(&Bank, &spec, options)
}

fn at(met: &Met, action: Action) -> Fault {
    Fault::new(When::Site(met.site.clone()), action)
}

#[test]
fn a_census_sees_every_kind_of_site_that_there_is_and_changes_no_storm() {
    let sites = outcome(None, vec![], true).sites;
    let kinds: BTreeSet<&str> = sites.iter().map(|met| name_of(&met.site.kind)).collect();
    // In a calm bank no timer runs out.
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    for met in sites.iter().step_by(17) {
        let storm = || vec![at(met, crash("vault", 300))];
        let (with, without) = (outcome(None, storm(), true), outcome(None, storm(), false));
        assert_eq!(with.hash, without.hash, "{}", met.site);
        assert_eq!(with.faults, without.faults);
        assert!(with.faults[0].fired.is_some(), "{}", met.site);
        assert!(without.sites.is_empty() && !with.sites.is_empty());
    }
}

#[test]
fn a_site_that_is_pruned_breaks_as_the_one_that_stands_for_it() {
    let mut alike: BTreeMap<Class, Vec<Met>> = BTreeMap::new();
    for met in outcome(None, vec![], true).sites {
        if Bank.profile().nodes.contains(&&*met.site.node) {
            alike.entry(met.class()).or_default().push(met);
        }
    }
    let (mut broke, mut held) = (0, 0);
    for bug in ["ack-before-commit", "commit-without-sync"] {
        for sites in alike.values().filter(|sites| sites.len() > 1) {
            let (first, last) = (&sites[0], &sites[sites.len() - 1]);
            let tell = |met: &Met| {
                let death = power_loss(&met.site.node, 500);
                let outcome = outcome(Some(bug), vec![at(met, death)], false);
                outcome.signature("", "")
            };
            let told = tell(first);
            assert_eq!(told, tell(last), "{bug}: {} and {}", first.site, last.site);
            *(if told.is_some() {
                &mut broke
            } else {
                &mut held
            }) += 1;
        }
    }
    assert!(broke > 0 && held > 0, "{broke} broke, {held} held");
}
