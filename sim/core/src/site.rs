//! Sites: the places where a fault can be aimed.
//!
//! A site's name survives shrinking: `(node, kind, label, attempt)`, never "the 17th message". The label is what the
//! client or the saga was doing; without that, the connection's ordinal, or for a timer the name of its task.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{time::VirtualTime, vocabulary::Level};

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

/// How a label begins that tells what a burst says, where nobody has said on whose behalf it is: `says COMMIT`.
pub const SAYS: &str = "says ";

impl Kind {
    /// That of what a node has said. Of a line of text, the words that have digits in them are left open: instants, numbers
    /// and ids are others each time.
    pub fn said(level: Level, message: &str) -> Kind {
        if !matches!(level, Level::Out | Level::Err) {
            return Kind::Event(message.to_owned());
        }
        let is_of_word = |c: char| c.is_alphanumeric() || "-_.:+".contains(c);
        let mut rest = message;
        let mut open = String::new();
        while let Some(first) = rest.chars().next() {
            let len = match is_of_word(first) {
                true => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
                false => first.len_utf8(),
            };
            let (word, after) = rest.split_at(len);
            let is_open = word.contains(|c: char| c.is_ascii_digit());
            open.push_str(if is_open { "*" } else { word });
            rest = after;
        }
        Kind::Event(open)
    }
}

/// A place where a fault can be aimed, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    /// The node on which it lies.
    pub node: String,
    /// What happens there.
    pub kind: Kind,
    /// On whose behalf: the operation and saga step; or what a program's burst says (see [`SAYS`]), or the connection's
    /// ordinal; for a timer what its task was about when it began to wait, or the task's name.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_line_to_line_is_left_open_in_its_name() {
        for (line, name) in [
            (
                "2026-01-01T00:00:01.7Z INFO shop::saga: 7f-0a: reserved for 6",
                "* INFO shop::saga: * reserved for *",
            ),
            (
                "1017:C 01 Jan 2026 # Configuration loaded",
                "* * Jan * # Configuration loaded",
            ),
            (r#"{"at":"12:00","said":"x"}"#, r#"{"at":"*","said":"x"}"#),
        ] {
            assert_eq!(Kind::said(Level::Out, line), Kind::Event(name.to_owned()));
        }
        let event = Kind::Event("try 2".to_owned());
        assert_eq!(Kind::said(Level::Info, "try 2"), event);
    }
}
