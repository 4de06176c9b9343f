//! Coverage, and exploration that learns from it.

use std::{fs, path::PathBuf};

use squall::{
    campaign::{Campaign, Seeds},
    explore::{
        Explorer, Guided, Trial,
        corpus::{self, CorpusError, Kept},
    },
    fault::{Crash, Custom, Restart},
    run::{Options, Outcome, Spec, run, run_with},
    scenario::Scenario,
    seed::Seed,
    storm::{Fault, Plan, When},
};

use crate::bank::Bank;

const COVERED: Options = Options {
    cover: true,
    ..Options::traced(false)
};

fn covered(seed: u64) -> Outcome {
    run_with(&Bank, &Spec::of(&Bank, Seed(seed)), COVERED)
}

fn ids(outcome: &Outcome) -> Vec<u64> {
    outcome.features.iter().map(|feature| feature.id).collect()
}

#[test]
fn the_same_run_covers_the_same_and_is_not_changed_by_being_watched() {
    let mut runs = Vec::new();
    for seed in 0..20 {
        let outcome = covered(seed);
        assert!(outcome.features.len() > 10, "seed {seed}");
        assert_eq!(outcome.features, covered(seed).features, "seed {seed}");
        let plain = run(&Bank, &Spec::of(&Bank, Seed(seed)), false);
        assert_eq!(plain.hash, outcome.hash, "seed {seed}");
        assert!(plain.features.is_empty());
        runs.push(ids(&outcome));
    }
    assert!(
        runs.windows(2).any(|pair| pair[0] != pair[1]),
        "storms differ in what they cover"
    );
}

#[test]
fn a_feature_knows_the_site_at_which_it_can_be_struck() {
    // A storm lasts until its last fault: this one comes when all is done.
    let late = Fault::at_ms(60_000, Restart::new("front"));
    let spec = Spec::of(&Bank, Seed(1)).under(Plan::new(vec![late.clone()]));
    let calm = run_with(&Bank, &spec, COVERED);
    let sites = calm
        .features
        .iter()
        .filter_map(|feature| feature.when.as_ref());
    let mut struck = 0;
    for when in sites {
        let When::Nth { node, .. } = when else {
            continue;
        };
        if !Bank.profile().nodes.contains(&node.as_str()) {
            continue;
        }
        let crash = Fault::new(when.clone(), Crash::new(node.clone(), 100));
        let spec = spec.clone().under(Plan::new(vec![crash, late.clone()]));
        let outcome = run(&Bank, &spec, false);
        assert!(outcome.faults[0].fired.is_some(), "{when:?} was not met");
        struck += 1;
    }
    assert!(struck >= 5, "{struck} sites were struck");
}

/// Runs a guided campaign and notes everything that it ran.
struct Noted(Guided, Vec<(Trial, u64)>);

impl Explorer for Noted {
    fn next(&mut self) -> Vec<Trial> {
        self.0.next()
    }

    fn learn(&mut self, trial: &Trial, outcome: &Outcome) {
        self.1.push((trial.clone(), outcome.hash));
        self.0.learn(trial, outcome);
    }

    fn options(&self, trial: &Trial) -> Options {
        self.0.options(trial)
    }

    fn planned(&self) -> Option<u64> {
        self.0.planned()
    }
}

fn explore(seeds: &str, jobs: usize, corpus: Vec<Kept>) -> Noted {
    let seeds: Seeds = seeds.parse().expect("seeds");
    let campaign = Campaign {
        jobs,
        ..Campaign::over(&Bank, seeds)
    };
    let guided = Guided::new(&Bank, seeds).with_corpus(corpus);
    let mut noted = Noted(guided, Vec::new());
    let totals = campaign.explore(&mut noted, &mut |_| ());
    assert_eq!(totals.tally.mismatched, 0);
    assert_eq!(totals.tally.verdicts.harness_failed, 0, "{totals:?}");
    noted
}

#[test]
fn the_number_of_workers_changes_nothing_and_the_campaign_seed_everything() {
    let alone = explore("300", 1, Vec::new());
    let together = explore("300", 4, Vec::new());
    assert_eq!(alone.1.len(), 300);
    assert!(alone.1 == together.1, "other storms with four workers");
    assert_eq!(alone.0.found(), together.0.found());
    let mutants = alone.1.iter().filter(|(trial, _)| is_mutant(trial));
    assert!(mutants.count() > 100, "most storms follow from others");
    let other = explore("5000..5300", 2, Vec::new());
    assert!(alone.1 != other.1);
}

#[test]
fn guided_exploration_covers_more_than_swarm() {
    let guided = explore("600", 2, Vec::new());
    let mut swarm = std::collections::BTreeSet::new();
    for seed in 0..600 {
        swarm.extend(ids(&covered(seed)));
    }
    assert!(
        guided.0.features() > swarm.len(),
        "{} features, {} with swarm",
        guided.0.features(),
        swarm.len()
    );
}

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    dir
}

#[test]
fn a_corpus_is_read_as_it_was_written_and_a_campaign_begins_with_it() {
    let dir = folder("corpus");
    assert_eq!(
        corpus::read(&dir, "bank", &Bank.profile()).expect("no folder"),
        []
    );
    let first = explore("200", 2, Vec::new());
    assert!(first.0.found().len() > 10);
    corpus::write(&dir, first.0.found()).expect("written");
    let read = || corpus::read(&dir, Bank.name(), &Bank.profile()).expect("it was just written");
    let again = read();
    assert_eq!(again.len(), first.0.found().len());
    assert!(first.0.found().iter().all(|kept| again.contains(kept)));
    assert_eq!(
        corpus::read(&dir, "another", &Bank.profile()).expect("readable"),
        [],
        "storms over another scenario"
    );

    let second = explore("1000..1100", 2, read());
    assert_eq!(second.1[0].0.plan, again[0].plan);
    assert!(second.1 == explore("1000..1100", 1, read()).1);
}

#[test]
fn a_corpus_larger_than_a_sitting_leaves_room_for_what_is_new() {
    let corpus = explore("200", 2, Vec::new()).0.found().to_vec();
    assert!(corpus.len() > 40);
    // All of them have to be run: what they are said to have added is unknown here.
    let unknown = |kept: &Kept| Kept {
        added: vec!["0123456789abcdef".to_owned()],
        ..kept.clone()
    };
    let sitting = explore("1000..1040", 2, corpus.iter().map(unknown).collect());
    let is_old = |trial: &&Trial| {
        corpus
            .iter()
            .any(|kept| kept.seed == trial.seed && kept.plan == trial.plan)
    };
    let old = sitting.1.iter().map(|(trial, _)| trial).filter(is_old);
    assert_eq!((sitting.1.len(), old.count()), (40, 20));
}

#[test]
fn a_storm_that_can_add_nothing_any_more_is_not_run_again() {
    let mut corpus = explore("64", 2, Vec::new()).0.found().to_vec();
    corpus.truncate(1);
    let one = corpus[0].clone();
    let twice = explore("1000..1010", 1, vec![one.clone(), one.clone()]);
    let runs = twice
        .1
        .iter()
        .filter(|(trial, _)| trial.seed == one.seed && trial.plan == one.plan);
    // Both are handed out before the first is learned; in a later generation one would do.
    assert_eq!(runs.count(), 2);
    let mut guided = Guided::new(&Bank, "1000..1032".parse().expect("seeds"));
    for (trial, _) in &twice.1 {
        guided.learn(trial, &run_with(&Bank, &spec_of(trial), COVERED));
    }
    let mut guided = guided.with_corpus(vec![one.clone()]);
    assert!(!guided.next().iter().any(|trial| trial.plan == one.plan));
}

fn spec_of(trial: &Trial) -> Spec {
    Spec::of(&Bank, trial.seed).under(trial.plan.clone())
}

fn is_mutant(trial: &Trial) -> bool {
    trial.plan != Bank.profile().draw(trial.seed)
}

#[test]
fn an_explorer_that_goes_on_knows_what_it_has_learned() {
    let first: Seeds = "100".parse().expect("seeds");
    let later: Seeds = "100..150".parse().expect("seeds");
    let mut guided = Guided::new(&Bank, first);
    let totals = Campaign::over(&Bank, first).explore(&mut guided, &mut |_| ());
    let curve = totals.coverage;
    assert!(curve.is_sorted_by_key(|point| (point.runs, point.features)));
    let last = curve.last().map(|point| (point.runs, point.features));
    assert_eq!(last, Some((100, guided.features() as u64)));
    let (known, found) = (guided.features(), guided.take_found());
    assert!(known > 100 && !found.is_empty());
    assert!(guided.found().is_empty(), "they are told once");
    guided.go_on(later);
    let mut noted = Noted(guided, Vec::new());
    Campaign::over(&Bank, later).explore(&mut noted, &mut |_| ());
    assert_eq!(noted.1.len(), 50);
    assert!(noted.0.features() >= known);
    // It does not begin anew with fresh storms alone.
    let mutants = noted.1.iter().filter(|(trial, _)| is_mutant(trial));
    assert!(mutants.count() > 10);
    assert!(noted.0.found().iter().all(|kept| !found.contains(kept)));
}

#[test]
fn a_corpus_that_is_damaged_or_cannot_happen_is_refused_with_the_name_of_the_file() {
    let dir = folder("damaged");
    let kept = explore("64", 2, Vec::new()).0.found()[0].clone();
    let of_doubt = |node: &str, amount| {
        let doubt = Fault::at_ms(
            5,
            Custom::new("doubt".to_owned(), node.to_owned(), amount, 5),
        );
        let kept = Kept {
            plan: Plan::new(vec![doubt]),
            ..kept.clone()
        };
        serde_json::to_string(&kept).expect("JSON")
    };
    for (text, says) in [
        (of_doubt("vault", 6), "has an amount of at most 5"),
        (of_doubt("front", 5), "\"doubt\" strikes vault"),
        ("{".to_owned(), "EOF"),
        (
            serde_json::to_string(&Kept {
                version: 99,
                ..kept.clone()
            })
            .expect("JSON"),
            "version 99",
        ),
        (
            serde_json::to_string(&Kept {
                plan: Plan {
                    pct: Some(1_000),
                    ..kept.plan.clone()
                },
                ..kept.clone()
            })
            .expect("JSON"),
            "from 1 to 64",
        ),
    ] {
        fs::create_dir_all(&dir).expect("a folder");
        fs::write(dir.join("storm.json"), text).expect("a file");
        let refused = corpus::read(&dir, Bank.name(), &Bank.profile()).expect_err("damaged");
        assert!(matches!(refused, CorpusError::Malformed { .. }));
        let refused = refused.to_string();
        assert!(
            refused.contains("storm.json") && refused.contains(says),
            "{refused}"
        );
    }
}
