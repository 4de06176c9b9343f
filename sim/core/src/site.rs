//! Sites: the places where a fault can be aimed.
//!
//! A site's name survives shrinking: `(node, kind, label, attempt)`, never "the 17th message". The label is what the
//! client or the saga was doing; without that, the connection's ordinal, or for a timer the name of its task.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::VirtualTime;

/// What happens at a site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The node hands a burst (everything between two flushes) to the network, towards this peer.
    Send(String),
    /// A transaction has been committed durably; its writer does not know yet.
    Commit,
    /// The disk is asked to write a block range, inside or outside of a commit.
    Write,
    /// The disk is asked to sync.
    Sync,
    /// The node logs this `tracing` event (its message).
    Event(String),
    /// A timer for which a task of the node's process waits has run out; the task does not know yet.
    Timer,
    /// A service reads the node's wall clock: should the process stand still here, what it read is stale when it goes on.
    Clock,
}

/// A place where a fault can be aimed, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    /// The node on which it lies.
    pub node: String,
    /// What happens there.
    pub kind: Kind,
    /// On whose behalf: the operation and saga step, or the connection's ordinal; for a timer what its task was about
    /// when it began to wait, or the task's name.
    pub label: String,
    /// The ordinal among the sites of this node, kind and label; from 1.
    pub attempt: u32,
}

impl Site {
    /// A site.
    pub fn new(
        node: impl Into<String>,
        kind: Kind,
        label: impl Into<String>,
        attempt: u32,
    ) -> Self {
        let (node, label) = (node.into(), label.into());
        Site {
            node,
            kind,
            label,
            attempt,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Site {
            node,
            kind,
            label,
            attempt,
        } = self;
        match kind {
            Kind::Send(peer) => write!(f, "{node}→{peer} [{label}] #{attempt}"),
            Kind::Commit => write!(f, "{node} commit [{label}] #{attempt}"),
            Kind::Write => write!(f, "{node} disk write [{label}] #{attempt}"),
            Kind::Sync => write!(f, "{node} disk sync [{label}] #{attempt}"),
            Kind::Event(name) => write!(f, "{node} \"{name}\" [{label}] #{attempt}"),
            Kind::Timer => write!(f, "{node} timer [{label}] #{attempt}"),
            Kind::Clock => write!(f, "{node} clock read [{label}] #{attempt}"),
        }
    }
}

/// A site that was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// Which.
    pub site: Site,
    /// When.
    pub at: VirtualTime,
    /// On whose behalf, whatever the step: the client's operation, or what the node does by itself.
    pub behalf: String,
    /// For a burst: whether it begins a request (or else an answer); `None` where that can't be told.
    pub asks: Option<bool>,
    /// Equal for sites at which the same thing happens, whatever came before.
    pub thing: u64,
    /// Equal for sites that are alike.
    pub alike: u64,
    /// Equal for sites on whose behalf the same was answered in the end.
    pub ends: u64,
}

/// Sites that are alike and end alike: a fault at one of them tells what a fault at another would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    alike: u64,
    ends: u64,
}

impl Met {
    /// Its class.
    pub fn class(&self) -> Class {
        Class {
            alike: self.alike,
            ends: self.ends,
        }
    }
}
