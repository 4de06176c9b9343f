//! What a campaign found, folded from its outcomes one by one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use squall_core::seed::Seed;
use squall_engine::{
    check::Violation,
    run::{Outcome, Signature, Verdict},
    storm::{FaultReport, Plan},
};

use super::{Campaign, Ran};
use crate::strategy::Trial;

/// How many mismatches are kept; all are counted.
const MISMATCHES_KEPT: usize = 5;

/// What a campaign found. Equal for equal seeds, whatever the number of workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// The scenario.
    pub scenario: String,
    /// Its shape.
    pub shape: String,
    /// The bug that was planted.
    pub plant: Option<String>,
    /// Everything that adds up.
    pub tally: Tally,
    /// The distinct failures, each with the first seed that showed it, in the order of these seeds.
    pub failures: Vec<Failure>,
    /// The first seeds whose second run went otherwise than their first.
    pub mismatches: Vec<Mismatch>,
    /// What goals and checks wait for and no run has logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<Unheard>,
    /// How coverage grew, oldest first, where the explorer goes by it.
    pub coverage: Vec<Coverage>,
}

/// A message that a goal or a check waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unheard {
    /// The node that should log it.
    pub node: String,
    /// The message.
    pub message: String,
    /// One that the node does log, and that may be meant.
    pub nearest: Option<String>,
}

/// How much was covered after a number of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Runs so far.
    pub runs: u64,
    /// Distinct features reached so far.
    pub features: u64,
}

/// Numbers that add up over runs and campaigns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Runs, not counting second runs.
    pub runs: u64,
    /// How they ended.
    pub verdicts: Verdicts,
    /// Faults by the name of their kind.
    pub faults: BTreeMap<String, FaultCount>,
    /// What scenario and harness counted.
    pub counts: BTreeMap<String, u64>,
    /// In how many runs each thing happened that should sometimes happen; 0 for those that never did.
    pub sometimes: BTreeMap<String, u64>,
    /// How many runs had no client or operation of a name that the storm leaves out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unmet: BTreeMap<String, u64>,
    /// Seeds that were run twice.
    pub watched: u64,
    /// Those whose second run had another hash.
    pub mismatched: u64,
    /// The sum of all hashes, which wraps around: the same runs, in whatever order and on however many threads, have the
    /// same.
    #[serde(default)]
    pub hash: u64,
}

/// How runs ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    /// Every invariant held.
    pub survived: u64,
    /// An invariant was broken.
    pub violated: u64,
    /// They did not come to an end.
    pub stuck: u64,
    /// The harness or the scenario panicked.
    pub harness_failed: u64,
}

/// What became of the faults of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    /// In a plan.
    pub planned: u64,
    /// Their instant or site came.
    pub fired: u64,
    /// They touched something.
    pub effective: u64,
}

/// A distinct failure: everything with one signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What is the same in all of its runs.
    pub signature: Signature,
    /// How many runs showed it.
    pub count: u64,
    /// The seed of the first run that did.
    pub seed: Seed,
    /// The storm that was planned for that run; `None` if the seed alone draws it.
    pub plan: Option<Plan>,
    /// That run's verdict.
    pub verdict: Verdict,
    /// What was broken in that run; none if the run was stuck or the harness failed.
    pub violation: Option<Violation>,
    /// That run's storm.
    pub faults: Vec<FaultReport>,
}

/// A seed that gave two different runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The seed.
    pub seed: Seed,
    /// The storm that was planned for it; `None` if the seed alone draws it.
    pub plan: Option<Plan>,
    /// The hashes of its first and of its second run.
    pub hashes: (u64, u64),
}

impl Mismatch {
    /// What was run.
    pub fn trial(&self, campaign: &Campaign<'_>) -> Trial {
        campaign.trial(self.seed, self.plan.as_ref())
    }
}

impl Totals {
    pub(super) fn of(campaign: &Campaign<'_>) -> Self {
        Totals {
            scenario: campaign.scenario.name().to_owned(),
            shape: campaign.shape.clone(),
            plant: campaign.plant.clone(),
            tally: Tally::default(),
            failures: Vec::new(),
            mismatches: Vec::new(),
            unheard: Vec::new(),
            coverage: Vec::new(),
        }
    }

    /// So much is covered after the runs so far.
    pub(super) fn covers(&mut self, features: u64) {
        let runs = self.tally.runs;
        // Where nothing new is covered the curve is flat: its ends say that.
        if let [.., before, last] = &mut *self.coverage
            && before.features == features
            && last.features == features
        {
            last.runs = runs;
        } else {
            self.coverage.push(Coverage { runs, features });
        }
    }

    /// Whether every run survived and every second run was like its first.
    pub fn is_clean(&self) -> bool {
        self.tally.failed() == 0 && self.tally.mismatched == 0
    }

    /// Adds what another part of the same campaign found: the first of equal failures is that of the smallest seed.
    pub fn add(&mut self, other: Totals) {
        match self.tally.runs {
            0 => self.unheard = other.unheard,
            _ => self.unheard.retain(|one| other.unheard.contains(one)),
        }
        self.tally = Tally::sum([&self.tally, &other.tally]);
        for failure in other.failures {
            let known = self
                .failures
                .iter_mut()
                .find(|f| f.signature == failure.signature);
            match known {
                Some(known) => {
                    let count = known.count + failure.count;
                    if failure.seed < known.seed {
                        *known = failure;
                    }
                    known.count = count;
                }
                None => self.failures.push(failure),
            }
        }
        self.failures.sort_by_key(|failure| failure.seed);
        self.mismatches.extend(other.mismatches);
        self.mismatches.sort_by_key(|mismatch| mismatch.seed);
        self.mismatches.truncate(MISMATCHES_KEPT);
    }

    /// Adds a run.
    pub(super) fn fold(&mut self, ran: Ran, campaign: &Campaign<'_>) {
        let Ran {
            trial,
            outcome,
            again,
        } = ran;
        let seed = trial.seed;
        let plan = || (!campaign.draws(&trial)).then(|| trial.plan.clone());
        if self.tally.runs == 0 {
            let unheard = outcome.unheard.iter().cloned();
            let unheard = unheard.map(|(node, message)| Unheard {
                node,
                message,
                nearest: None,
            });
            self.unheard = unheard.collect();
        }
        self.unheard.retain(|Unheard { node, message, .. }| {
            let waited_for = (node.clone(), message.clone());
            outcome.unheard.contains(&waited_for)
        });
        self.tally.fold(&outcome);
        if let Some(again) = again {
            self.tally.watched += 1;
            if again != outcome.hash {
                self.tally.mismatched += 1;
                if self.mismatches.len() < MISMATCHES_KEPT {
                    self.mismatches.push(Mismatch {
                        seed,
                        plan: plan(),
                        hashes: (outcome.hash, again),
                    });
                }
            }
        }
        let Some(signature) = outcome.signature(&self.scenario, &self.shape) else {
            return;
        };
        match self.failures.iter_mut().find(|f| f.signature == signature) {
            Some(known) => known.count += 1,
            None => self.failures.push(Failure {
                signature,
                count: 1,
                seed,
                plan: plan(),
                violation: outcome.worst().cloned(),
                faults: outcome.all_faults(),
                verdict: outcome.verdict,
            }),
        }
    }
}

impl Tally {
    /// Runs that did not survive.
    pub fn failed(&self) -> u64 {
        self.verdicts.violated + self.verdicts.stuck + self.verdicts.harness_failed
    }

    /// A count by name; 0 if there is none.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// The kinds of fault that were planned and never touched anything: what they should have tested was not.
    pub fn never_effective(&self) -> impl Iterator<Item = &str> {
        self.faults
            .iter()
            .filter(|(_, count)| count.planned > 0 && count.effective == 0)
            .map(|(kind, _)| kind.as_str())
    }

    /// What should sometimes have happened and never did.
    pub fn never_reached(&self) -> impl Iterator<Item = &str> {
        self.sometimes
            .iter()
            .filter(|(_, runs)| **runs == 0)
            .map(|(name, _)| name.as_str())
    }

    /// Names that the storm leaves out and that no client and no operation of any run goes by.
    pub fn without_in_vain(&self) -> impl Iterator<Item = &str> {
        self.unmet
            .iter()
            .filter(|(_, runs)| **runs == self.runs)
            .map(|(name, _)| name.as_str())
    }

    /// The sum of several.
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Tally {
        let mut sum = Tally::default();
        for tally in tallies {
            sum.runs += tally.runs;
            sum.verdicts.survived += tally.verdicts.survived;
            sum.verdicts.violated += tally.verdicts.violated;
            sum.verdicts.stuck += tally.verdicts.stuck;
            sum.verdicts.harness_failed += tally.verdicts.harness_failed;
            sum.watched += tally.watched;
            sum.mismatched += tally.mismatched;
            sum.hash = sum.hash.wrapping_add(tally.hash);
            for (kind, count) in &tally.faults {
                let total = sum.faults.entry(kind.clone()).or_default();
                total.planned += count.planned;
                total.fired += count.fired;
                total.effective += count.effective;
            }
            for (name, count) in &tally.counts {
                *sum.counts.entry(name.clone()).or_default() += count;
            }
            for (name, runs) in &tally.sometimes {
                *sum.sometimes.entry(name.clone()).or_default() += runs;
            }
            for (name, runs) in &tally.unmet {
                *sum.unmet.entry(name.clone()).or_default() += runs;
            }
        }
        sum
    }

    fn fold(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.hash = self.hash.wrapping_add(outcome.hash);
        let verdict = match outcome.verdict {
            Verdict::Survived => &mut self.verdicts.survived,
            Verdict::Violated => &mut self.verdicts.violated,
            Verdict::Stuck(_) => &mut self.verdicts.stuck,
            Verdict::HarnessFailed(_) => &mut self.verdicts.harness_failed,
        };
        *verdict += 1;
        for report in outcome.faults.iter().chain(&outcome.by_hand) {
            let kind = report.fault.action.counted_as();
            if !self.faults.contains_key(kind) {
                self.faults.insert(kind.to_owned(), FaultCount::default());
            }
            let count = self.faults.get_mut(kind).expect("inserted above");
            count.planned += 1;
            count.fired += u64::from(report.fired.is_some());
            count.effective += u64::from(report.effective);
        }
        for (name, count) in &outcome.counts {
            if let Some(total) = self.counts.get_mut(name) {
                *total += count;
            } else {
                self.counts.insert(name.clone(), *count);
            }
        }
        for name in &outcome.unmet {
            *self.unmet.entry(name.clone()).or_default() += 1;
        }
        for (name, times) in &outcome.sometimes {
            let reached = u64::from(*times > 0);
            match self.sometimes.get_mut(name) {
                Some(runs) => *runs += reached,
                None => {
                    self.sometimes.insert(name.clone(), reached);
                }
            }
        }
    }
}

impl Failure {
    /// What was run when it was seen first.
    pub fn trial(&self, campaign: &Campaign<'_>) -> Trial {
        campaign.trial(self.seed, self.plan.as_ref())
    }

    /// What happened, in one line.
    pub fn message(&self) -> String {
        match (&self.violation, &self.verdict) {
            (Some(violation), _) => violation.to_string(),
            (None, Verdict::Stuck(why)) => format!("stuck: {why}"),
            (None, Verdict::HarnessFailed(why)) => format!("the harness failed: {why}"),
            (None, other) => format!("{other:?}"),
        }
    }

    /// Whether it says something about the services: a failed harness does not.
    pub fn is_finding(&self) -> bool {
        !matches!(self.verdict, Verdict::HarnessFailed(_))
    }
}
