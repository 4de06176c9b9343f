//! When a fault happens.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Action;
use crate::site::{Kind, Site};

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

impl When {
    /// A node's n-th site of a kind, from 1.
    pub fn nth(node: impl Into<String>, kind: Kind, nth: u64) -> Self {
        let (node, nth) = (node.into(), nth as u32);
        When::Nth { node, kind, nth }
    }
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

impl Fault {
    /// A fault.
    pub fn new(when: When, action: impl Into<Action>) -> Self {
        let action = action.into();
        Fault { when, action }
    }

    /// A fault at so many virtual milliseconds after the storm begins.
    pub fn at_ms(ms: u64, action: impl Into<Action>) -> Self {
        Fault::new(When::AtMs(ms), action)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match &self.when {
            When::AtMs(ms) => format!("{} s", *ms as f64 / 1000.0),
            When::Site(site) => site.to_string(),
            When::Nth { node, kind, nth } => match kind {
                Kind::Send(peer) => format!("burst {nth} of {node}→{peer}"),
                Kind::Event(event) => format!("\"{event}\" {nth} of {node}"),
                Kind::Commit => format!("commit {nth} of {node}"),
                Kind::Write => format!("disk write {nth} of {node}"),
                Kind::Timer => format!("timer {nth} of {node}"),
                Kind::Clock => format!("clock read {nth} of {node}"),
                _ => format!("disk sync {nth} of {node}"),
            },
        };
        write!(f, "at {moment}: {}", self.action)
    }
}
