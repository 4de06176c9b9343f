//! What must hold: invariants, judged on the databases themselves.
//!
//! *Always* invariants see each commit as it happens; *finally* invariants see all stores at one instant after healing,
//! each with its own bound in virtual time. Beside them stand goals: what should sometimes happen.
//!
//! A run goes on after an invariant is broken, so that what a bug does in the end is seen too. Damage
//! ([`Class::Damage`]) is reported before what only a look into a service shows ([`Class::Inside`]).

mod goals;

pub mod history;
pub mod session;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

pub use goals::Goal;
pub(crate) use goals::Goals;

use squall_core::{
    event::{Row, Scope},
    time::VirtualTime,
};

/// What a broken invariant says about a system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Damage: money, stock or a promise to a client is lost.
    #[default]
    Damage,
    /// A service is not inside as its check expects: another sound implementation might differ. See
    /// [`Sim::inside`](crate::Sim::inside).
    Inside,
}

impl Class {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Class::Damage => "damage",
            Class::Inside => "inside",
        }
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The invariant.
    pub invariant: String,
    /// The fixed name of the way in which it broke.
    pub tag: String,
    /// Whether it is damage.
    #[serde(default)]
    pub class: Class,
    /// When it was seen.
    pub at: VirtualTime,
    /// The things concerned (order ids, products ...).
    pub entities: Vec<String>,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Violation {
            invariant,
            tag,
            class: _,
            at,
            entities,
            expected,
            found,
        } = self;
        write!(
            f,
            "{invariant} ({tag}) at {at}: {}: expected {expected}, found {found}",
            entities.join(", ")
        )
    }
}

/// Where a check reports what it found broken.
#[derive(Debug, Default)]
pub struct Findings {
    pub(crate) now: VirtualTime,
    pub(crate) invariant: &'static str,
    pub(crate) list: Vec<Violation>,
}

impl Findings {
    /// The invariant under check is broken, in the way `tag`.
    pub fn broken(
        &mut self,
        tag: impl Into<String>,
        entities: &[&str],
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.broken_as(self.invariant, tag, entities, expected, found);
    }

    /// Another invariant, named here, is broken: for checks that judge several at once.
    pub fn broken_as(
        &mut self,
        invariant: impl Into<String>,
        tag: impl Into<String>,
        entities: &[&str],
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.list.push(Violation {
            invariant: invariant.into(),
            tag: tag.into(),
            class: Class::default(),
            at: self.now,
            entities: entities.iter().map(|&e| e.to_owned()).collect(),
            expected: expected.into(),
            found: found.into(),
        });
    }

    /// The present instant.
    pub fn now(&self) -> VirtualTime {
        self.now
    }
}

/// A commit as the checks see it.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The node whose database it is.
    pub node: &'a str,
    /// The database file.
    pub file: &'a str,
    /// The rows that it changed.
    pub rows: &'a [Row],
    /// On whose behalf it happened, as the service said in its tracing span.
    pub scope: &'a Scope,
    /// False for a commit whose writer never learned of it, found on the disk after a power loss.
    pub acknowledged: bool,
}

/// All rows of all stores at one instant: node → table → key → value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    pub(crate) stores: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<u8>>>>,
}

impl Truth {
    /// The rows of one table of one node, in key order. Empty if there are none.
    pub fn rows<'a>(
        &'a self,
        node: &str,
        table: &str,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> + 'a {
        self.stores
            .get(node)
            .and_then(|tables| tables.get(table))
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }

    /// One row.
    pub fn row(&self, node: &str, table: &str, key: &str) -> Option<&[u8]> {
        self.stores
            .get(node)?
            .get(table)?
            .get(key)
            .map(Vec::as_slice)
    }

    /// The nodes that have rows.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.stores.keys().map(String::as_str)
    }

    /// The tables of a node.
    pub fn tables<'a>(&'a self, node: &str) -> impl Iterator<Item = &'a str> + 'a {
        self.stores
            .get(node)
            .into_iter()
            .flat_map(|tables| tables.keys().map(String::as_str))
    }

    /// Carries out what a commit changed. For those who tell what the databases held.
    pub fn apply(&mut self, node: &str, rows: Vec<Row>) {
        if !self.stores.contains_key(node) {
            self.stores.insert(node.to_owned(), BTreeMap::new());
        }
        let tables = self.stores.get_mut(node).expect("inserted above");
        for row in rows {
            let table = match tables.get_mut(&*row.table) {
                Some(table) => table,
                None => tables.entry(row.table.into_owned()).or_default(),
            };
            match row.value {
                Some(value) => {
                    table.insert(row.key, value);
                }
                None => {
                    table.remove(&row.key);
                }
            }
        }
    }

    /// The rows of one node alone.
    pub(crate) fn of_node(&self, node: &str) -> Truth {
        let stores = self.stores.get_key_value(node).into_iter();
        Truth {
            stores: stores
                .map(|(node, tables)| (node.clone(), tables.clone()))
                .collect(),
        }
    }

    /// Those of `rows` that change anything on `node`.
    pub(crate) fn changes(&self, node: &str, rows: &[Row]) -> Vec<Row> {
        let changes = |row: &&Row| self.row(node, &row.table, &row.key) != row.value.as_deref();
        rows.iter().filter(changes).cloned().collect()
    }

    /// What would have to be committed on `node` to get from these rows to `found`.
    pub(crate) fn difference(&self, node: &str, found: &[(String, String, Vec<u8>)]) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut stored: BTreeMap<(&str, &str), &[u8]> = BTreeMap::new();
        for (table, key, value) in found {
            stored.insert((table, key), value);
            if self.row(node, table, key) != Some(value) {
                rows.push(Row::new(table.clone(), key.clone(), Some(value.clone())));
            }
        }
        for (table, entries) in self.stores.get(node).into_iter().flatten() {
            for key in entries
                .keys()
                .filter(|key| !stored.contains_key(&(table.as_str(), key.as_str())))
            {
                rows.push(Row::new(table.clone(), key.clone(), None));
            }
        }
        rows
    }
}

type Always = Box<dyn FnMut(&Commit<'_>, &mut Findings) + Send>;
type Finally = Box<dyn FnMut(&Truth, &mut Findings) + Send>;

/// The checks of one run.
#[derive(Default)]
pub(crate) struct Checks {
    pub always: Vec<(&'static str, Always)>,
    pub finally: Vec<(&'static str, Duration, Finally)>,
}

impl Checks {
    /// The names of the invariants.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let always = self.always.iter().map(|(name, _)| *name);
        let finally = self.finally.iter().map(|(name, ..)| *name);
        always.chain(finally)
    }
}
