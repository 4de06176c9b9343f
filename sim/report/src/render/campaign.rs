//! The report of a campaign: one HTML page with what was run, what the storms did, what was found and how to see it.
//!
//! [`Report`] is plain data. What a command does not know (coverage, what should sometimes happen, a sweep's matrix) it
//! leaves empty, and the page leaves it out.

use std::{collections::BTreeSet, time::Duration};

use askama::Template;
use serde::{Deserialize, Serialize};

use squall_explore::{
    campaign::{Tally, Totals, Verdicts, rate},
    strategy::sweep::{CellResult, Matrix},
};

pub use squall_explore::campaign::Coverage;

/// What a campaign's page shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// What was done, in a few words: `run`, `sweep order-saga`.
    pub title: String,
    /// Real seconds that it took; 0 if that is not known.
    pub elapsed_s: f64,
    /// A line for each scenario and shape.
    pub campaigns: Vec<Campaign>,
    /// A line for each kind of fault.
    pub faults: Vec<Faults>,
    /// Seeds that were run twice ...
    pub watched: u64,
    /// ... and those of them that gave two different runs.
    pub mismatched: u64,
    /// The distinct failures.
    pub failures: Vec<Failure>,
    /// How coverage grew, in the order of runs.
    pub coverage: Vec<Coverage>,
    /// What should sometimes happen.
    pub sometimes: Vec<Sometimes>,
    /// Every site against every kind of fault.
    pub sweep: Option<Sweep>,
}

/// One scenario in one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Campaign {
    /// The scenario.
    pub scenario: String,
    /// Its shape.
    pub shape: String,
    /// The bug that was planted.
    pub plant: Option<String>,
    /// Runs, not counting second runs.
    pub runs: u64,
    /// How many of them survived ...
    pub survived: u64,
    /// ... broke an invariant ...
    pub violated: u64,
    /// ... came to no end ...
    pub stuck: u64,
    /// ... or broke the harness.
    pub harness_failed: u64,
    /// Sagas that completed, if the scenario counts them.
    pub completed: Option<u64>,
    /// Sagas that were compensated, if the scenario counts them.
    pub compensated: Option<u64>,
}

/// What became of the faults of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// The kind.
    pub kind: String,
    /// In a plan.
    pub planned: u64,
    /// Their moment came.
    pub fired: u64,
    /// They touched something.
    pub effective: u64,
}

/// Everything with one signature.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// The scenario.
    pub scenario: String,
    /// Its shape.
    pub shape: String,
    /// The bug that was planted.
    pub plant: Option<String>,
    /// The invariant.
    pub invariant: String,
    /// The way in which it broke.
    pub tag: String,
    /// The first occurrence in one line.
    pub message: String,
    /// How many runs showed it.
    pub count: u64,
    /// The first seed that did.
    pub seed: u64,
    /// The smallest storm that does it, in one sentence, if it was looked for.
    pub sentence: Option<String>,
    /// Its own page, relative to this one.
    pub page: Option<String>,
    /// The command that replays it.
    pub replay: String,
}

/// Something that should sometimes happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sometimes {
    /// In which scenario.
    pub scenario: String,
    /// What.
    pub what: String,
    /// In how many runs it did.
    pub reached: u64,
}

impl Sometimes {
    /// Whatever one campaign's scenario states.
    fn of(totals: &Totals) -> impl Iterator<Item = Sometimes> {
        let stated = totals.tally.sometimes.iter();
        stated.map(|(what, reached)| Sometimes {
            scenario: totals.scenario.clone(),
            what: what.clone(),
            reached: *reached,
        })
    }
}

/// One run for each site and kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The kinds of fault: the columns.
    pub kinds: Vec<String>,
    /// The sites: the rows.
    pub sites: Vec<Swept>,
}

/// A site and what each kind of fault did there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// The site's name.
    pub site: String,
    /// A cell for each kind, in the order of the columns.
    pub cells: Vec<Cell>,
}

/// What a fault did at a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// This kind of fault makes no sense there.
    #[default]
    None,
    /// Every invariant held.
    Survived,
    /// An invariant was broken, or the run came to no end.
    Violated,
    /// The site was not met again.
    NotFired,
    /// The sweep ended before.
    NotRun,
}

impl Cell {
    fn class(self) -> &'static str {
        match self {
            Cell::None => "none",
            Cell::Survived => "survived",
            Cell::Violated => "violated",
            Cell::NotFired => "not-fired",
            Cell::NotRun => "not-run",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Cell::None => "does not apply",
            Cell::Survived => "survived",
            Cell::Violated => "violated",
            Cell::NotFired => "not fired",
            Cell::NotRun => "not run: the sweep ended before",
        }
    }

    /// Told without colour.
    fn mark(self) -> &'static str {
        match self {
            Cell::None => "",
            Cell::Survived => "·",
            Cell::Violated => "✗",
            Cell::NotFired => "–",
            Cell::NotRun => "?",
        }
    }
}

impl From<Matrix> for Sweep {
    fn from(matrix: Matrix) -> Self {
        let kinds: Vec<String> = matrix.columns.into_iter().map(|c| c.name).collect();
        let seeds: BTreeSet<u64> = matrix.rows.iter().map(|row| row.seed.0).collect();
        let sites = matrix.rows.into_iter().map(|row| {
            let cell = |kind: &String| {
                let tried = row.cells.iter().find(|cell| cell.column == *kind);
                match tried.map(|cell| cell.result) {
                    None => Cell::None,
                    Some(CellResult::Survived) => Cell::Survived,
                    Some(CellResult::NotFired) => Cell::NotFired,
                    Some(CellResult::NotRun) => Cell::NotRun,
                    Some(CellResult::Violated | CellResult::Stuck | CellResult::HarnessFailed) => {
                        Cell::Violated
                    }
                }
            };
            Swept {
                site: match seeds.len() {
                    1 => row.site.to_string(),
                    _ => format!("seed {}: {}{}", row.seed, row.site, row.length.words()),
                },
                cells: kinds.iter().map(cell).collect(),
            }
        });
        let sites = sites.collect();
        Sweep { kinds, sites }
    }
}

impl Sweep {
    /// How many of a column's runs survived, and of how many that fired.
    fn survived(&self, column: &usize) -> (usize, usize) {
        let of = |cell| {
            self.sites
                .iter()
                .filter(|site| site.cells.get(*column) == Some(&cell))
                .count()
        };
        let survived = of(Cell::Survived);
        (survived, survived + of(Cell::Violated))
    }
}

impl Report {
    /// What totals tell: failures without commands and pages, which the caller adds.
    pub fn of(title: impl Into<String>, all: &[Totals], elapsed: Duration) -> Self {
        let sum = Tally::sum(all.iter().map(|totals| &totals.tally));
        let failures = all.iter().flat_map(|totals| {
            totals.failures.iter().map(move |failure| Failure {
                scenario: totals.scenario.clone(),
                shape: totals.shape.clone(),
                plant: totals.plant.clone(),
                invariant: failure.signature.invariant.clone(),
                tag: failure.signature.tag.clone(),
                message: failure.message(),
                count: failure.count,
                seed: failure.seed.0,
                sentence: None,
                page: None,
                replay: String::new(),
            })
        });
        Report {
            title: title.into(),
            elapsed_s: elapsed.as_secs_f64(),
            campaigns: all.iter().map(Campaign::of).collect(),
            faults: sum
                .faults
                .iter()
                .map(|(kind, count)| Faults {
                    kind: kind.clone(),
                    planned: count.planned,
                    fired: count.fired,
                    effective: count.effective,
                })
                .collect(),
            watched: sum.watched,
            mismatched: sum.mismatched,
            failures: failures.collect(),
            // Features of different scenarios are different things.
            coverage: match all {
                [one] => one.coverage.clone(),
                _ => Vec::new(),
            },
            sometimes: all.iter().flat_map(Sometimes::of).collect(),
            ..Report::default()
        }
    }

    fn runs(&self) -> u64 {
        self.campaigns.iter().map(|campaign| campaign.runs).sum()
    }

    fn failed(&self) -> u64 {
        self.campaigns.iter().map(Campaign::failed).sum()
    }

    /// The page.
    pub fn html(&self) -> String {
        let clean = self.failed() == 0 && self.mismatched == 0 && self.failures.is_empty();
        let elapsed = Duration::try_from_secs_f64(self.elapsed_s).unwrap_or_default();
        let (runs, failed) = (self.runs(), self.failed());
        let page = Page {
            style: concat!(
                include_str!("../../templates/run.css"),
                include_str!("../../templates/campaign.css")
            ),
            script: include_str!("../../templates/campaign.js"),
            verdict: match (clean, self.mismatched) {
                (true, _) => "SURVIVED",
                (false, 0) => "FAILURES",
                (false, _) => "NOT DETERMINISTIC",
            },
            class: if clean { "good" } else { "bad" },
            facts: vec![
                ("storms", crate::count(runs)),
                ("failed", crate::count(failed)),
                (
                    "distinct failures",
                    crate::count(self.failures.len() as u64),
                ),
                ("elapsed", crate::duration(elapsed)),
                ("rate", crate::rate(rate(runs, elapsed))),
            ],
            most_planned: self.faults.iter().map(|f| f.planned).max().unwrap_or(0),
            reached: self.sometimes.iter().filter(|s| s.reached > 0).count(),
            curve: curve(&self.coverage),
            report: self,
        };
        page.render().expect("a String takes whatever is written")
    }
}

impl Campaign {
    fn of(totals: &Totals) -> Self {
        let Verdicts {
            survived,
            violated,
            stuck,
            harness_failed,
        } = totals.tally.verdicts;
        let counted = |name: &str| totals.tally.counts.get(name).copied();
        Campaign {
            scenario: totals.scenario.clone(),
            shape: totals.shape.clone(),
            plant: totals.plant.clone(),
            runs: totals.tally.runs,
            survived,
            violated,
            stuck,
            harness_failed,
            completed: counted("completed"),
            compensated: counted("compensated"),
        }
    }

    fn failed(&self) -> u64 {
        self.violated + self.stuck + self.harness_failed
    }
}

/// The coverage curve is drawn in a box of this size.
const CURVE: (f64, f64) = (760.0, 150.0);

/// The points of the coverage curve, as SVG reads them.
fn curve(coverage: &[Coverage]) -> String {
    let runs = coverage.iter().map(|c| c.runs).max().unwrap_or(0).max(1) as f64;
    let features = coverage
        .iter()
        .map(|c| c.features)
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    let point = |c: &Coverage| {
        let x = c.runs as f64 / runs * CURVE.0;
        let y = CURVE.1 - c.features as f64 / features * CURVE.1;
        format!("{x:.1},{y:.1}")
    };
    coverage.iter().map(point).collect::<Vec<_>>().join(" ")
}

#[derive(Template)]
#[template(path = "campaign.html")]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    verdict: &'static str,
    class: &'static str,
    facts: Vec<(&'static str, String)>,
    most_planned: u64,
    reached: usize,
    curve: String,
    report: &'a Report,
}

impl Page<'_> {
    fn n(&self, number: &u64) -> String {
        crate::count(*number)
    }

    /// A count that may not be kept.
    fn counted(&self, number: &Option<u64>) -> String {
        number.map_or_else(|| "–".to_owned(), crate::count)
    }

    /// `hardened + no-journal`.
    fn variant(&self, shape: &str, plant: &Option<String>) -> String {
        match plant {
            Some(bug) => format!("{shape} + {bug}"),
            None => shape.to_owned(),
        }
    }

    /// A bar's length against the longest, in percent.
    fn percent(&self, part: &u64) -> String {
        format!(
            "{:.1}",
            *part as f64 / self.most_planned.max(1) as f64 * 100.0
        )
    }
}
