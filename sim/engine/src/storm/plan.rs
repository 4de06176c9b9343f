//! The plan of a storm: a readable, versioned JSON file.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use squall_core::{
    site::{Kind, Site},
    time::VirtualTime,
};

use super::{Action, CustomFault};

/// The version of the plan format that this build reads and writes.
pub const PLAN_VERSION: u32 = 1;

/// A storm is over at the latest this many virtual milliseconds after it began.
pub const STORM_MS_MAX: u64 = 1_200_000;

/// The deepest schedules that a plan may ask for.
pub const PCT_MAX: u32 = 64;

/// When a fault happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum When {
    /// At this virtual millisecond.
    AtMs(u64),
    /// When this site is reached, before its action (for a commit: before its writer learns of it).
    Site(Site),
    /// When this node reaches its n-th site of this kind, whatever its label. Random storms aim so; a report names
    /// the site that was met.
    Nth {
        /// The node.
        node: String,
        /// What happens there.
        kind: Kind,
        /// The how-manieth; from 1.
        nth: u32,
    },
}

/// One fault of a storm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub when: When,
    /// What.
    pub action: Action,
}

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
    /// not need. See [`Client::does`](crate::Client::does).
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
            if let Some(limit) = fault.beyond() {
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

    /// Whether only these nodes are to have two processes at once; `why` says what the others lack.
    pub(crate) fn check_overlaps(
        &self,
        can: impl Fn(&str) -> bool,
        why: impl Fn(&str) -> String,
    ) -> Result<(), PlanError> {
        for (index, fault) in self.faults.iter().enumerate() {
            if let Action::Overlap { node, .. } = &fault.action
                && !can(node)
            {
                return Err(PlanError::impossible(index, fault, why(node)));
            }
        }
        Ok(())
    }

    /// Whether the scenario brings all faults that are no kinds of ours, and no stronger ones.
    pub fn check_custom(&self, brought: &[CustomFault]) -> Result<(), PlanError> {
        for (index, fault) in self.faults.iter().enumerate() {
            let Action::Custom {
                name, node, amount, ..
            } = &fault.action
            else {
                continue;
            };
            let impossible = |reason| Err(PlanError::impossible(index, fault, reason));
            let Some(known) = brought.iter().find(|known| known.name == name) else {
                let names: Vec<&str> = brought.iter().map(|known| known.name).collect();
                return impossible(match names.is_empty() {
                    true => "the scenario brings no faults of its own".to_owned(),
                    false => format!(
                        "there is no fault \"{name}\"; there are {}",
                        names.join(", ")
                    ),
                });
            };
            if known.node != node {
                return impossible(format!("\"{name}\" strikes {}", known.node));
            }
            let most = known.amount.1;
            if *amount > most {
                return impossible(format!("\"{name}\" has an amount of at most {most}"));
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Whether only nodes that come in two builds are upgraded.
    pub fn check_upgrades(&self, upgrades: &[&str]) -> Result<(), PlanError> {
        for (index, fault) in self.faults.iter().enumerate() {
            if let Action::Upgrade { node } = &fault.action
                && !upgrades.contains(&node.as_str())
            {
                let reason = match upgrades.is_empty() {
                    true => "the scenario has no node of two builds".to_owned(),
                    false => format!("of two builds there are {}", upgrades.join(", ")),
                };
                return Err(PlanError::impossible(index, fault, reason));
            }
        }
        Ok(())
    }
}

impl Fault {
    /// The limit that it goes beyond.
    fn beyond(&self) -> Option<&'static str> {
        match &self.when {
            When::AtMs(ms) if *ms > STORM_MS_MAX => {
                Some("a storm lasts at most 1,200,000 ms; what goes on then ends")
            }
            When::Nth { nth: 0, .. } | When::Site(Site { attempt: 0, .. }) => {
                Some("sites are counted from 1")
            }
            _ => self.action.beyond(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            When::AtMs(ms) => write!(f, "at {} s: {}", *ms as f64 / 1000.0, self.action),
            When::Site(site) => write!(f, "at {site}: {}", self.action),
            When::Nth {
                node,
                kind: Kind::Send(peer),
                nth,
            } => {
                write!(f, "at burst {nth} of {node}→{peer}: {}", self.action)
            }
            When::Nth {
                node,
                kind: Kind::Event(event),
                nth,
            } => {
                write!(f, "at \"{event}\" {nth} of {node}: {}", self.action)
            }
            When::Nth { node, kind, nth } => {
                let what = match kind {
                    Kind::Commit => "commit",
                    Kind::Write => "disk write",
                    Kind::Timer => "timer",
                    Kind::Clock => "clock read",
                    _ => "disk sync",
                };
                write!(f, "at {what} {nth} of {node}: {}", self.action)
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_no_custom_fault_that_the_scenario_does_not_bring_or_a_stronger_one() {
        let brought = [CustomFault {
            name: "fog",
            node: "harbour",
            amount: (2, 9),
        }];
        let check = |name: &str, node: &str, amount| {
            let action = Action::Custom {
                name: name.to_owned(),
                node: node.to_owned(),
                amount,
                for_ms: 1,
            };
            let when = When::AtMs(0);
            let checked = Plan::new(vec![Fault { when, action }]).check_custom(&brought);
            checked.map_err(|wrong| wrong.to_string())
        };
        // The shrinker may go below what is drawn.
        assert_eq!(check("fog", "harbour", 1), Ok(()));
        for (name, node, amount, reason) in [
            (
                "frog",
                "harbour",
                5,
                "there is no fault \"frog\"; there are fog",
            ),
            ("fog", "town", 5, "\"fog\" strikes harbour"),
            ("fog", "harbour", 10, "\"fog\" has an amount of at most 9"),
        ] {
            let wrong = check(name, node, amount).expect_err(reason);
            assert!(wrong.contains(reason), "{wrong}");
        }
    }
}
