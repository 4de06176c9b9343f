//! What a script reads: one JSON object.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use squall_explore::{
    campaign::{Coverage, Failure, FaultCount, Mismatch, Tally, Totals, Unheard, Verdicts, rate},
    failure::Kept,
    shrink::Sizes,
};

#[derive(Serialize)]
struct Report<'a> {
    runs: u64,
    elapsed_s: f64,
    runs_per_s: f64,
    verdicts: Verdicts,
    faults: &'a BTreeMap<String, FaultCount>,
    faults_never_effective: Vec<&'a str>,
    sometimes_never_reached: Vec<Never<'a>>,
    counts: &'a BTreeMap<String, u64>,
    determinism: Determinism<'a>,
    violations: Vec<Failed<'a>>,
    campaigns: Vec<One<'a>>,
}

#[derive(Serialize)]
struct Never<'a> {
    scenario: &'a str,
    shape: &'a str,
    sometimes: &'a str,
}

#[derive(Serialize)]
struct Determinism<'a> {
    hash: String,
    runs_twice: u64,
    mismatched: u64,
    mismatches: Vec<Unequal<'a>>,
}

#[derive(Serialize)]
struct Unequal<'a> {
    scenario: &'a str,
    shape: &'a str,
    seed: u64,
    hashes: [String; 2],
    replay: String,
}

/// Stuck runs and failures of the harness are here too, as `stuck` and `harness`.
#[derive(Serialize)]
pub struct Failed<'a> {
    scenario: &'a str,
    shape: &'a str,
    plant: Option<&'a str>,
    pub(crate) seed: u64,
    pub(crate) invariant: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) message: String,
    pub(crate) count: u64,
    /// What happens in the smallest run that was found, which `replay` shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shrunk: Option<Small<'a>>,
    pub(crate) replay: String,
}

#[derive(Serialize)]
pub(crate) struct Small<'a> {
    pub(crate) sentence: &'a str,
    file: Option<String>,
    before: Sizes,
    after: Sizes,
    runs: u64,
}

#[derive(Serialize)]
struct One<'a> {
    scenario: &'a str,
    shape: &'a str,
    plant: Option<&'a str>,
    runs: u64,
    verdicts: Verdicts,
    counts: &'a BTreeMap<String, u64>,
    sometimes: &'a BTreeMap<String, u64>,
    /// What goals and checks wait for and no run has logged.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unheard: &'a [Unheard],
    /// How coverage grew, where the campaign was guided by it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    coverage: &'a [Coverage],
    /// Names that the plan leaves out and that no client or operation has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    without_in_vain: Vec<&'a str>,
}

/// A failure, and what was made of it.
pub fn failed<'a>(
    totals: &'a Totals,
    failure: &'a Failure,
    kept: Option<&'a Kept>,
    replay: String,
) -> Failed<'a> {
    let small = |kept: &'a Kept| Small {
        sentence: &kept.sentence,
        file: kept.path().map(|path| path.display().to_string()),
        before: kept.shrunk.before,
        after: kept.shrunk.after,
        runs: kept.shrunk.effort.runs,
    };
    Failed {
        scenario: &totals.scenario,
        shape: &totals.shape,
        plant: totals.plant.as_deref(),
        seed: failure.seed.0,
        invariant: &failure.signature.invariant,
        tag: &failure.signature.tag,
        message: failure.message(),
        count: failure.count,
        shrunk: kept.map(small),
        replay,
    }
}

/// The whole result. `replay` gives the command for a run of one of the totals, by its place.
pub fn report(
    all: &[Totals],
    violations: Vec<Failed<'_>>,
    elapsed: Duration,
    replay: &dyn Fn(usize, &Mismatch) -> String,
) -> String {
    let sum = Tally::sum(all.iter().map(|totals| &totals.tally));
    let mut mismatches = Vec::new();
    for (place, totals) in all.iter().enumerate() {
        mismatches.extend(totals.mismatches.iter().map(|mismatch| Unequal {
            scenario: &totals.scenario,
            shape: &totals.shape,
            seed: mismatch.seed.0,
            hashes: [mismatch.hashes.0, mismatch.hashes.1].map(|hash| format!("{hash:016x}")),
            replay: replay(place, mismatch),
        }));
    }
    let report = Report {
        runs: sum.runs,
        elapsed_s: elapsed.as_secs_f64(),
        runs_per_s: rate(sum.runs, elapsed),
        verdicts: sum.verdicts,
        faults: &sum.faults,
        faults_never_effective: sum.never_effective().collect(),
        sometimes_never_reached: all.iter().flat_map(never_reached).collect(),
        counts: &sum.counts,
        determinism: Determinism {
            hash: format!("{:016x}", sum.hash),
            runs_twice: sum.watched,
            mismatched: sum.mismatched,
            mismatches,
        },
        violations,
        campaigns: all
            .iter()
            .map(|totals| One {
                scenario: &totals.scenario,
                shape: &totals.shape,
                plant: totals.plant.as_deref(),
                runs: totals.tally.runs,
                verdicts: totals.tally.verdicts,
                counts: &totals.tally.counts,
                sometimes: &totals.tally.sometimes,
                unheard: &totals.unheard,
                coverage: &totals.coverage,
                without_in_vain: totals.tally.without_in_vain().collect(),
            })
            .collect(),
    };
    serde_json::to_string_pretty(&report).expect("a report has only string keys") + "\n"
}

fn never_reached(totals: &Totals) -> impl Iterator<Item = Never<'_>> {
    let never = |sometimes| Never {
        scenario: &totals.scenario,
        shape: &totals.shape,
        sometimes,
    };
    totals.tally.never_reached().map(never)
}
