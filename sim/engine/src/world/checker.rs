//! The harness's own copy of all stores, kept from the feed of commits, and the checks that watch it.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use squall_core::{
    event::{Row, Scope},
    time::VirtualTime,
};

use super::panic_text;
use crate::check::{Checks, Class, Commit, Findings, Goals, Truth, Violation};

/// How many violations of one invariant and tag are listed; more of them say nothing new.
const ALIKE_MAX: usize = 3;

/// How a change of a store became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its writer was told that it is durable.
    Acknowledged,
    /// It was there when its writer, which had died in it, came back.
    Found,
    /// It was not acknowledged, and is gone again: the store is as it was before.
    Gone,
}

/// Truth, checks and what they found.
#[derive(Default)]
pub(crate) struct Checker {
    pub truth: Truth,
    pub checks: Checks,
    pub goals: Goals,
    /// What was broken, each thing once and in the order in which it was seen.
    pub violations: Vec<Violation>,
    reported: usize,
    /// Invariants that look into services. See [`Class::Inside`].
    pub insides: BTreeSet<&'static str>,
    pub commits: u64,
    pub last_commit: VirtualTime,
    pub counts: BTreeMap<String, u64>,
    /// The scenario's own code panicked.
    pub harness: Option<String>,
    /// A panic of a client is a finding.
    pub clients_assert: bool,
    /// Checks are skipped: for measuring what they cost.
    pub unchecked: bool,
}

impl Checker {
    /// Applies a commit and judges the rows that it changed. True if that broke something.
    pub fn commit(
        &mut self,
        now: VirtualTime,
        node: &str,
        file: &str,
        rows: Vec<Row>,
        scope: &Scope,
        known: Known,
    ) -> bool {
        self.commits += 1;
        self.last_commit = now;
        if self.unchecked {
            return false;
        }
        let commit = Commit {
            node,
            file,
            rows: &rows,
            scope,
            acknowledged: known == Known::Acknowledged,
        };
        let mut findings = Findings {
            now,
            ..Findings::default()
        };
        // All this runs inside a service's poll, where a panic would pass for the service's own.
        let judged = catch_unwind(AssertUnwindSafe(|| {
            for (name, check) in &mut self.checks.always {
                findings.invariant = name;
                check(&commit, &mut findings);
            }
            findings.invariant = "";
            // What a goal asks may have been answered by the mirrors that the checks keep.
            self.goals.commit(&commit);
        }));
        self.truth.apply(node, rows);
        if let Err(panic) = judged {
            let whose = match findings.invariant {
                "" => "a goal".to_owned(),
                name => format!("invariant \"{name}\""),
            };
            self.harness = Some(format!("{whose}: {}", panic_text(&*panic)));
            return true;
        }
        // What a store goes back to was judged when it was so, and no service takes the way back.
        known != Known::Gone && self.keep(findings)
    }

    /// A service said something: whether that was what should sometimes happen.
    pub fn said(&mut self, node: &str, message: &str, scope: &Scope, fields: &str) {
        if self.unchecked {
            return;
        }
        let look = || self.goals.log(node, message, scope, fields);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(look)) {
            self.harness = Some(format!("a goal: {}", panic_text(&*panic)));
        }
    }

    /// Judges the *finally* invariants at this instant. Those whose bound has passed since `healed` are violations;
    /// the others may still come right: their number is returned.
    pub fn settle(&mut self, now: VirtualTime, healed: VirtualTime) -> usize {
        if self.unchecked {
            return 0;
        }
        let mut open = 0;
        let mut overdue = Findings {
            now,
            ..Findings::default()
        };
        for (name, bound, check) in &mut self.checks.finally {
            let mut findings = Findings {
                now,
                invariant: name,
                list: Vec::new(),
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&self.truth, &mut findings)))
            {
                let panic = panic_text(&*panic);
                self.harness = Some(format!("invariant \"{name}\": {panic}"));
                return 0;
            }
            if now.since(healed) >= *bound {
                overdue.list.append(&mut findings.list);
            } else {
                open += findings.list.len();
            }
        }
        self.keep(overdue);
        open
    }

    /// The next instant after `now` at which some invariant's bound passes.
    pub fn next_bound(&self, now: VirtualTime, healed: VirtualTime) -> Option<VirtualTime> {
        self.checks
            .finally
            .iter()
            .map(|(_, bound, _)| healed + *bound)
            .filter(|at| *at > now)
            .min()
    }

    /// The longest bound.
    pub fn last_bound(&self) -> Duration {
        self.checks
            .finally
            .iter()
            .map(|(_, bound, _)| *bound)
            .max()
            .unwrap_or_default()
    }

    /// Something is broken that no check of the checker's found.
    pub fn broken(&mut self, violation: Violation) {
        if !self.unchecked {
            self.list(violation);
        }
    }

    pub fn is_broken(&self) -> bool {
        !self.violations.is_empty()
    }

    /// Something is broken that does damage.
    pub fn does_damage(&self) -> bool {
        let mut violations = self.violations.iter();
        violations.any(|violation| violation.class == Class::Damage)
    }

    /// The harness itself is at fault: nothing that the run shows from here on counts.
    pub fn is_void(&self) -> bool {
        self.harness.is_some()
    }

    pub fn take_unreported(&mut self) -> Vec<Violation> {
        let fresh = self.violations[self.reported..].to_vec();
        self.reported = self.violations.len();
        fresh
    }

    fn keep(&mut self, findings: Findings) -> bool {
        let broken = !findings.list.is_empty();
        for violation in findings.list {
            self.list(violation);
        }
        broken
    }

    /// Lists a violation with its class, unless it, or enough like it, is listed.
    fn list(&mut self, violation: Violation) {
        let Violation { invariant, tag, .. } = &violation;
        let alike = |other: &&Violation| (&other.invariant, &other.tag) == (invariant, tag);
        let known = self.violations.iter().filter(alike);
        if known
            .clone()
            .any(|other| other.entities == violation.entities)
        {
            return;
        }
        if known.count() == ALIKE_MAX {
            *self
                .counts
                .entry("violations not listed".to_owned())
                .or_insert(0) += 1;
            return;
        }
        let class = violation.class.max(self.class(invariant));
        self.violations.push(Violation { class, ..violation });
    }

    /// What it says about a system if the invariant of this name is broken.
    pub fn class(&self, invariant: &str) -> Class {
        match self.insides.contains(invariant) {
            true => Class::Inside,
            false => Class::Damage,
        }
    }
}
