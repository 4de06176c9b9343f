//! What kinds of fault do in a sweep: columns, and the faults that fill them at a site.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Action, Fault, FaultKind, Profile, When};
use crate::site::{Kind, Met, Site};

/// How long faults last, which differs by their kind. Others than the usual length are tried where another seed meets the
/// same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// The one that should hurt most.
    #[default]
    Usual,
    /// Most are over before anybody gives up.
    Short,
    /// Between the two, or longer.
    Other,
}

impl Length {
    /// In the order in which they are tried.
    pub const ALL: [Length; 3] = [Length::Usual, Length::Short, Length::Other];

    /// As an addition to a site's name.
    pub fn words(self) -> &'static str {
        match self {
            Length::Usual => "",
            Length::Short => " (short)",
            Length::Other => " (other length)",
        }
    }
}

/// Milliseconds by [`Length`].
pub(super) type Lengths = [u64; Length::ALL.len()];

/// The head of a sweep's column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The column's name.
    pub name: Cow<'static, str>,
    /// Its place in the table; those of equal places stand in the order of their names.
    pub place: u16,
    /// Its turn among the storms of one site; equal ones come in the order of kinds.
    pub turn: u16,
}

impl Heading {
    /// At this place, at this turn.
    pub(super) const fn at(name: &'static str, place: u16, turn: u16) -> Self {
        Heading {
            name: Cow::Borrowed(name),
            place,
            turn,
        }
    }
}

/// A fault in a column.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The column.
    pub heading: Heading,
    /// The fault, aimed at the site.
    pub fault: Fault,
}

/// What is done to a site, to be filled by each kind.
#[derive(Debug)]
pub struct Candidates<'a> {
    /// The site, as the calm run met it.
    pub met: &'a Met,
    /// The node's next site: whatever happens there before its action happens after that of this site, and
    /// the instants between the two cannot be told apart from outside.
    pub next: Option<&'a Site>,
    /// What may be struck.
    pub profile: &'a Profile,
    /// How long faults are to last.
    pub length: Length,
    all: Vec<Candidate>,
}

/// A burst between nodes of which one calls the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst<'a> {
    pub from: &'a str,
    pub to: &'a str,
    /// Whether it begins a request.
    pub asks: bool,
}

impl<'a> Candidates<'a> {
    /// What applies to a site. What has no length is left out unless the usual one is asked for: it would be the same
    /// again.
    pub fn at(
        met: &'a Met,
        next: Option<&'a Site>,
        profile: &'a Profile,
        length: Length,
    ) -> Vec<Candidate> {
        let mut candidates = Candidates {
            met,
            next,
            profile,
            length,
            all: Vec::new(),
        };
        for kind in FaultKind::ALL {
            (kind.definition().candidates)(&mut candidates);
        }
        candidates
            .all
            .sort_by_key(|candidate| candidate.heading.turn);
        candidates.all
    }

    /// What happens at the site.
    pub(super) fn kind(&self) -> &'a Kind {
        &self.met.site.kind
    }

    /// The node, where it may be struck.
    pub(super) fn node(&self) -> Option<&'a str> {
        let node: &str = &self.met.site.node;
        self.profile.nodes.contains(&node).then_some(node)
    }

    /// The node, where its process may be struck in the midst of something else than reading its clock: whether a
    /// process that dies had read its clock cannot be told from outside.
    pub(super) fn process(&self) -> Option<&'a str> {
        self.node().filter(|_| *self.kind() != Kind::Clock)
    }

    /// The node, where its process may be stopped: in the middle of a commit it would be so just after.
    pub(super) fn idle_process(&self) -> Option<&'a str> {
        let amid_commit = matches!(self.kind(), Kind::Write | Kind::Sync);
        self.process().filter(|_| !amid_commit)
    }

    /// The burst, where the link may be struck.
    pub(super) fn burst(&self) -> Option<Burst<'a>> {
        let Kind::Send(to) = self.kind() else {
            return None;
        };
        let (from, to): (&str, &str) = (&self.met.site.node, to);
        let link = |from, to| self.profile.links.contains(&(from, to));
        let calls = link(from, to);
        // Where the bytes don't tell, whoever calls asks.
        let asks = self.met.asks.unwrap_or(calls);
        (calls || link(to, from)).then_some(Burst { from, to, asks })
    }

    /// A fault that has no length.
    pub(super) fn once(&mut self, heading: &Heading, action: impl Into<Action>) {
        if self.length == Length::Usual {
            self.add(heading, &self.met.site, action.into());
        }
    }

    /// A fault that lasts: `ms` gives its duration in milliseconds.
    pub(super) fn lasting<A: Into<Action>>(
        &mut self,
        heading: &Heading,
        ms: Lengths,
        action: impl Fn(u64) -> A,
    ) {
        let action = action(ms[self.length as usize]);
        self.add(heading, &self.met.site, action.into());
    }

    /// The same at the next site, if there is one.
    pub(super) fn lasting_after<A: Into<Action>>(
        &mut self,
        heading: &Heading,
        ms: Lengths,
        action: impl Fn(u64) -> A,
    ) {
        if let Some(next) = self.next {
            let action = action(ms[self.length as usize]);
            self.add(heading, next, action.into());
        }
    }

    fn add(&mut self, heading: &Heading, site: &Site, action: Action) {
        if !self.profile.never.contains(&action.kind()) {
            let when = When::Site(site.clone());
            self.all.push(Candidate {
                heading: heading.clone(),
                fault: Fault { when, action },
            });
        }
    }
}
