//! What a run is given and what it gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Deserializer, Serialize};

use squall_core::{interned::interned, seed::Seed, site::Met, time::VirtualTime};

use super::this_program::this_program;
use crate::{
    check::{Class, Violation},
    scenario::{Scenario, Setup, default_shape},
    storm::{FaultReport, Plan},
    trace::Feature,
    world::Operation,
};

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The scenario's shape.
    pub shape: String,
    /// The bug planted into it.
    pub plant: Option<String>,
    /// The seed.
    pub seed: Seed,
    /// The storm.
    pub plan: Plan,
}

impl Spec {
    /// A seed of the scenario's default shape, with the storm that the seed draws.
    pub fn of(scenario: &dyn Scenario, seed: Seed) -> Self {
        Spec {
            shape: default_shape(scenario).to_owned(),
            plant: None,
            seed,
            plan: scenario.profile().draw(seed),
        }
    }

    /// The same in this storm.
    pub fn under(self, plan: Plan) -> Self {
        Spec { plan, ..self }
    }

    /// The same without any fault.
    pub fn calm(self) -> Self {
        self.under(Plan::calm())
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup {
            shape: self.shape.clone(),
            plant: self.plant.clone(),
            seed: self.seed,
        }
    }

    /// The one command that replays this run with its whole trace, if the seed drew its storm.
    pub fn replay_command(&self, scenario: &dyn Scenario) -> String {
        let shape = if self.shape == default_shape(scenario) {
            String::new()
        } else {
            format!(" --shape {}", self.shape)
        };
        let plant = self
            .plant
            .as_ref()
            .map(|bug| format!(" --plant {bug}"))
            .unwrap_or_default();
        format!(
            "{} replay {} --seed {}{shape}{plant} --trace",
            this_program(),
            scenario.name(),
            self.seed
        )
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every invariant held and everything settled.
    Survived,
    /// An invariant was broken.
    Violated,
    /// The clients or the system did not come to an end within the limit of virtual time.
    Stuck(String),
    /// The harness or the scenario itself panicked: not a finding about the services.
    HarnessFailed(String),
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// What was broken, the first first; the run went on to its end. See [`Outcome::worst`].
    pub violations: Vec<Violation>,
    /// The invariants that were judged, with what it says about a system if one is broken. What a check reports under
    /// another name than its own is not among them.
    #[serde(deserialize_with = "by_name")]
    pub invariants: BTreeMap<&'static str, Class>,
    /// The rolling hash of everything that happened.
    pub hash: u64,
    /// The storm as it was carried out.
    pub plan: Plan,
    /// What became of each of its faults.
    pub faults: Vec<FaultReport>,
    /// What became of the faults that the scenario brought about itself ([`Sim::crash`](crate::Sim::crash) ...).
    pub by_hand: Vec<FaultReport>,
    /// Every site that was met while the storm went on, in order, if a census was asked for.
    pub sites: Vec<Met>,
    /// The operations of which clients asked whether they are to happen, in the order in which they first did; those
    /// that the plan leaves out too. Empty unless the run has its whole trace or its plan leaves something out.
    pub operations: Vec<Operation>,
    /// Names that the plan leaves out and that nobody in this run goes by: no client, and no operation of which anybody
    /// asked before the run ended.
    pub unmet: Vec<String>,
    /// What goals and checks waited for and no node logged in this run, as (node, message).
    pub unheard: BTreeSet<(String, String)>,
    /// What the scenario counted (sagas completed, compensated ...) and the harness (`commits`, `calls ok`, ...).
    pub counts: BTreeMap<String, u64>,
    /// How often each thing happened that should sometimes happen; 0 for those that did not.
    pub sometimes: BTreeMap<String, u64>,
    /// What it covered, if that was asked for, in the order in which it first did.
    pub features: Vec<Feature>,
    /// Virtual length of the run.
    pub ended: VirtualTime,
    /// Everything that happened, if it was asked for.
    pub trace: Option<crate::trace::Trace>,
    /// The nodes and clients that ran unmodified programs ([`Node::runs_a_program`](crate::Node::runs_a_program)).
    pub programs: Vec<String>,
}

fn by_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<&'static str, Class>, D::Error> {
    let all = BTreeMap::<String, Class>::deserialize(deserializer)?;
    Ok(all
        .into_iter()
        .map(|(name, class)| (interned(name), class))
        .collect())
}

/// One distinct failure: no entities, amounts or times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature {
    /// The scenario.
    pub scenario: String,
    /// Its shape.
    pub shape: String,
    /// The invariant, or `stuck`.
    pub invariant: String,
    /// The way in which it broke.
    pub tag: String,
}

impl fmt::Display for Signature {
    /// `no lost refund (money kept)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.invariant, self.tag)
    }
}

impl Outcome {
    /// Of a run in which the harness itself, or the scenario, panicked.
    pub fn harness_failed(plan: Plan, message: String) -> Self {
        Outcome {
            verdict: Verdict::HarnessFailed(message),
            violations: Vec::new(),
            invariants: BTreeMap::new(),
            hash: 0,
            plan,
            faults: Vec::new(),
            by_hand: Vec::new(),
            sites: Vec::new(),
            operations: Vec::new(),
            unmet: Vec::new(),
            unheard: BTreeSet::new(),
            counts: BTreeMap::new(),
            sometimes: BTreeMap::new(),
            features: Vec::new(),
            ended: VirtualTime::ZERO,
            trace: None,
            programs: Vec::new(),
        }
    }

    /// What became of all faults, be they planned or brought about by the scenario.
    pub fn all_faults(&self) -> Vec<FaultReport> {
        [&*self.faults, &*self.by_hand].concat()
    }

    /// The violations, those that did damage first.
    pub fn by_severity(&self) -> Vec<&Violation> {
        let mut violations: Vec<&Violation> = self.violations.iter().collect();
        violations.sort_by_key(|violation| violation.class);
        violations
    }

    /// The worst violation: the first that did damage, or else the first.
    pub fn worst(&self) -> Option<&Violation> {
        self.violations
            .iter()
            .min_by_key(|violation| violation.class)
    }

    /// Takes away what only a look inside shows; a run in which nothing else was broken has survived.
    pub fn overlook_insides(&mut self) {
        self.violations
            .retain(|violation| violation.class == Class::Damage);
        if self.verdict == Verdict::Violated && self.violations.is_empty() {
            self.verdict = Verdict::Survived;
        }
    }

    /// The first violation of this signature.
    pub fn violation(&self, signature: &Signature) -> Option<&Violation> {
        let mut violations = self.violations.iter();
        violations.find(|v| v.invariant == signature.invariant && v.tag == signature.tag)
    }

    /// Whether the run fails in this way, be it among others.
    pub fn shows(&self, signature: &Signature) -> bool {
        let worst = || self.signature(&signature.scenario, &signature.shape);
        self.violation(signature).is_some() || worst().as_ref() == Some(signature)
    }

    /// The signature of the [worst](Self::worst) thing that broke; or of being stuck, if there was no damage.
    pub fn signature(&self, scenario: &str, shape: &str) -> Option<Signature> {
        let (invariant, tag) = match (&self.verdict, self.worst()) {
            (Verdict::HarnessFailed(_), _) => ("harness".to_owned(), "panic".to_owned()),
            (Verdict::Stuck(_), _) => ("stuck".to_owned(), "time limit".to_owned()),
            (_, Some(v)) => (v.invariant.clone(), v.tag.clone()),
            _ => return None,
        };
        Some(Signature {
            scenario: scenario.to_owned(),
            shape: shape.to_owned(),
            invariant,
            tag,
        })
    }
}
