//! The plan of a storm: a readable, versioned JSON file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    fault::{Fault, Profile, When},
    site::{Kind, Site},
    time::VirtualTime,
};

/// The version of the plan format that this build reads and writes.
pub const PLAN_VERSION: u32 = 1;

/// A storm is over at the latest this many virtual milliseconds after it began.
pub const STORM_MS_MAX: u64 = 1_200_000;

/// The deepest schedules that a plan may ask for.
pub const PCT_MAX: u32 = 64;

/// A storm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format version: [`PLAN_VERSION`].
    pub version: u32,
    /// Seed of the schedule (which ready task runs next) where it is not the run's own: shrinking tries a few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<u64>,
    /// Clients that stay away, and operations that do not happen, by name: shrinking leaves out what a failure does
    /// not need. See `Client::does`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Tasks run by random priorities that change at `pct - 1` points, which finds ordering bugs of that depth
    /// (Burckhardt et al., ASPLOS 2010); from 1 to [`PCT_MAX`]. The next ready task is picked by lot when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pct: Option<u32>,
    /// The faults, in any order.
    pub faults: Vec<Fault>,
}

/// Why a plan can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file could not be read.
    #[error("cannot read the plan {path}: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not a plan.
    #[error("{path} is not a plan: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// Where and why.
        reason: String,
    },
    /// Of another version of this program.
    #[error(
        "{path} is a plan of version {found}; this build reads version {PLAN_VERSION}: replay it with the build that wrote it"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u64,
    },
    /// The schedules that it asks for are too deep, or of no depth.
    #[error(
        "the plan's \"pct\" is {found}: it counts the points at which priorities change, plus one, from 1 to {PCT_MAX}"
    )]
    Depth {
        /// What it says.
        found: u32,
    },
    /// It speaks of a node that the scenario lacks, aims a burst fault at a time, goes beyond all limits, or does nothing.
    #[error("the plan's fault {index} ({fault}) cannot happen here: {reason}")]
    Impossible {
        /// Ordinal of the fault, from 0.
        index: usize,
        /// In words.
        fault: String,
        /// Why.
        reason: String,
    },
    /// Something that can't be left out.
    #[error("the plan can't be \"without\" {name:?}: {reason}")]
    Without {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
}

impl PlanError {
    fn impossible(index: usize, fault: &Fault, reason: String) -> Self {
        PlanError::Impossible {
            index,
            fault: fault.to_string(),
            reason,
        }
    }
}

impl Plan {
    /// A storm of these faults.
    pub fn new(faults: Vec<Fault>) -> Self {
        Plan {
            version: PLAN_VERSION,
            schedule: None,
            without: Vec::new(),
            pct: None,
            faults,
        }
    }

    /// No faults at all.
    pub fn calm() -> Self {
        Plan::new(Vec::new())
    }

    /// Reads a plan file.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| PlanError::Unreadable {
            path: name.clone(),
            source,
        })?;
        Plan::parse(&text, &name)
    }

    /// Reads a plan from text; `name` is for messages.
    pub fn parse(text: &str, name: &str) -> Result<Self, PlanError> {
        let malformed = |reason: String| PlanError::Malformed {
            path: name.to_owned(),
            reason,
        };
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|e| malformed(e.to_string()))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            None => Err(malformed("it has no \"version\"".to_owned())),
            Some(found) if found != u64::from(PLAN_VERSION) => Err(PlanError::Version {
                path: name.to_owned(),
                found,
            }),
            Some(_) => serde_json::from_str(text).map_err(|e| malformed(e.to_string())),
        }
    }

    /// The plan as a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan has only string keys") + "\n"
    }

    /// Whether only clients and their operations are left out, each once. `services` are the nodes that are no clients.
    pub fn check_without(&self, services: &[&str]) -> Result<(), PlanError> {
        for (place, name) in self.without.iter().enumerate() {
            let reason = if name.trim().is_empty() {
                "it names nothing"
            } else if self.without[..place].contains(name) {
                "it stands there twice"
            } else if services.contains(&name.as_str()) {
                "it is a service, and only clients and their operations can be left out"
            } else {
                continue;
            };
            return Err(PlanError::Without {
                name: name.clone(),
                reason,
            });
        }
        Ok(())
    }

    /// Whether every fault can happen in a world of these nodes, under a schedule that there is.
    pub fn check(&self, nodes: &[&str]) -> Result<(), PlanError> {
        if let Some(found) = self.pct.filter(|depth| !(1..=PCT_MAX).contains(depth)) {
            return Err(PlanError::Depth { found });
        }
        for (index, fault) in self.faults.iter().enumerate() {
            let at = match &fault.when {
                When::AtMs(_) => None,
                When::Site(Site { node, kind, .. }) | When::Nth { node, kind, .. } => {
                    Some((node, kind))
                }
            };
            let impossible = |reason| Err(PlanError::impossible(index, fault, reason));
            let peer = match at {
                Some((_, Kind::Send(peer))) => Some(peer.as_str()),
                _ => None,
            };
            let named = fault
                .action
                .nodes()
                .into_iter()
                .chain(at.map(|(node, _)| node.as_str()))
                .chain(peer);
            for node in named {
                if !nodes.contains(&node) {
                    return impossible(format!(
                        "there is no node \"{node}\"; there are {}",
                        nodes.join(", ")
                    ));
                }
            }
            if let Some(limit) = beyond(fault) {
                return impossible(limit.to_owned());
            }
            if fault.action.needs_burst() && !matches!(at, Some((_, Kind::Send(_)))) {
                return impossible("it can only be aimed at a \"send\" site".to_owned());
            }
            if let [from, to] = *fault.action.nodes()
                && from == to
            {
                return impossible("a link has two different ends".to_owned());
            }
        }
        Ok(())
    }

    /// Whether the scenario of this profile can have every fault.
    pub(super) fn check_in(&self, profile: &Profile) -> Result<(), PlanError> {
        let mut faults = self.faults.iter().enumerate();
        faults.try_for_each(|(index, fault)| {
            let checked = fault.action.check_in(profile);
            checked.map_err(|reason| PlanError::impossible(index, fault, reason))
        })
    }

    /// Whether only these nodes are to have two processes at once; `why` says what the others lack.
    pub fn check_overlaps(
        &self,
        can: impl Fn(&str) -> bool,
        why: impl Fn(&str) -> String,
    ) -> Result<(), PlanError> {
        for (index, fault) in self.faults.iter().enumerate() {
            if let Some(node) = fault.action.doubles()
                && !can(node)
            {
                return Err(PlanError::impossible(index, fault, why(node)));
            }
        }
        Ok(())
    }
}

/// The limit that a fault goes beyond.
fn beyond(fault: &Fault) -> Option<&'static str> {
    match &fault.when {
        When::AtMs(ms) if *ms > STORM_MS_MAX => {
            Some("a storm lasts at most 1,200,000 ms; what goes on then ends")
        }
        When::Nth { nth: 0, .. } | When::Site(Site { attempt: 0, .. }) => {
            Some("sites are counted from 1")
        }
        _ => fault.action.check().err(),
    }
}

/// What became of a planned fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// As planned.
    pub fault: Fault,
    /// When it happened, if it did.
    pub fired: Option<VirtualTime>,
    /// The site at which it happened, if at one.
    pub site: Option<Site>,
    /// Whether it touched anything.
    pub effective: bool,
}
