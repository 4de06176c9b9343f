//! What a sweep found, as data: sites down, kinds of fault across.

use serde::{Deserialize, Serialize};

use squall_core::{seed::Seed, site::Site};
use squall_engine::run::{Outcome, Verdict};

use super::Length;

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Sites that the calm runs met.
    pub sites_met: u64,
    /// Those at which nothing was tried, because a site that is alike stands for them.
    pub sites_pruned: u64,
    /// Storms of one fault. One storm may be in two cells: a crash after a site is one before the next.
    pub storms: u64,
    /// The columns, in order; those that apply nowhere are left out.
    pub columns: Vec<Column>,
    /// The sites at which something was tried, as the calm runs met them.
    pub rows: Vec<Row>,
    /// Storms of two faults, if there was a budget for them.
    pub pairs: Option<Pairs>,
}

/// A kind of fault over all sites to which it applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Sites to which it applies.
    pub planned: u64,
    /// That were run before the sweep ended.
    pub run: u64,
    /// The fault struck.
    pub fired: u64,
    /// It touched something.
    pub effective: u64,
    /// It struck, and nothing was broken.
    pub survived: u64,
}

/// A site and what was done to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The seed of the calm run that met it.
    pub seed: Seed,
    /// The site.
    pub site: Site,
    /// Virtual milliseconds at which it was met.
    pub at_ms: f64,
    /// How many sites it stands for, itself included.
    pub stands_for: u64,
    /// How long its faults last.
    #[serde(default)]
    pub length: Length,
    /// In the order of the columns; a column that does not apply has none.
    pub cells: Vec<Cell>,
}

/// One kind of fault at one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The column's name.
    pub column: String,
    /// How it went.
    pub result: CellResult,
    /// Whether the fault touched something.
    pub effective: bool,
    /// What was broken: `invariant (tag)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke: Option<String>,
}

/// How a storm went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellResult {
    /// Every invariant held.
    Survived,
    /// One was broken.
    Violated,
    /// The run did not come to an end.
    Stuck,
    /// The harness itself failed.
    HarnessFailed,
    /// Not every fault struck: it proves nothing.
    NotFired,
    /// The sweep ended before.
    NotRun,
}

/// Storms of two faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pairs {
    /// That could have been tried.
    pub possible: u64,
    /// That the budget allowed.
    pub planned: u64,
    /// That were run before the sweep ended.
    pub run: u64,
    /// Both faults struck.
    pub fired: u64,
    /// Both touched something.
    pub effective: u64,
    /// Both struck and nothing was broken.
    pub survived: u64,
}

/// How a storm went, without the rest of its outcome.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub result: CellResult,
    pub fired: bool,
    pub effective: bool,
    pub broke: Option<String>,
}

impl Gone {
    pub fn of(outcome: &Outcome) -> Self {
        let fired = outcome.faults.iter().all(|report| report.fired.is_some());
        let result = match outcome.verdict {
            Verdict::Violated => CellResult::Violated,
            Verdict::Stuck(_) => CellResult::Stuck,
            Verdict::HarnessFailed(_) => CellResult::HarnessFailed,
            Verdict::Survived if fired => CellResult::Survived,
            Verdict::Survived => CellResult::NotFired,
        };
        let broke = outcome.signature("", "");
        Gone {
            result,
            fired,
            effective: outcome.faults.iter().all(|report| report.effective),
            broke: broke.map(|s| s.to_string()),
        }
    }

    pub fn survived(&self) -> bool {
        self.result == CellResult::Survived
    }
}

impl Cell {
    pub(super) fn of(column: &str, gone: Option<&Gone>) -> Self {
        Cell {
            column: column.to_owned(),
            result: gone.map_or(CellResult::NotRun, |gone| gone.result),
            effective: gone.is_some_and(|gone| gone.effective),
            broke: gone.and_then(|gone| gone.broke.clone()),
        }
    }
}

impl Column {
    pub(super) fn named(name: String) -> Self {
        Column {
            name,
            ..Column::default()
        }
    }

    pub(super) fn count(&mut self, gone: Option<&Gone>) {
        self.planned += 1;
        if let Some(gone) = gone {
            self.run += 1;
            self.fired += u64::from(gone.fired);
            self.effective += u64::from(gone.effective);
            self.survived += u64::from(gone.survived());
        }
    }
}

impl Pairs {
    pub(super) fn count(&mut self, gone: &Gone) {
        self.run += 1;
        self.fired += u64::from(gone.fired);
        self.effective += u64::from(gone.effective);
        self.survived += u64::from(gone.survived());
    }
}
