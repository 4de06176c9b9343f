//! The report of a campaign: one HTML page with what was run, what the storms did, what was found and how to see it.
//!
//! What a command does not know (coverage, what should sometimes happen, a sweep's matrix) the page leaves out.

use std::{collections::BTreeSet, iter, time::Duration};

use askama::Template;

use squall_explore::{
    campaign::{Coverage, Failure, Tally, Totals, rate},
    strategy::sweep::{CellResult, Matrix},
};

use crate::words::{self, NOT_DETERMINISTIC};

/// What a campaign's page shows.
pub struct Report<'a> {
    /// What was done, in a few words: `run`, `sweep order-saga`.
    pub title: String,
    /// What was found, a line for each scenario and shape.
    pub all: &'a [Totals],
    /// Real time that it took.
    pub elapsed: Duration,
    /// What totals do not tell of their distinct failures, in the same order.
    pub seen: Vec<Seen>,
    /// Every site against every kind of fault.
    pub sweep: Option<&'a Matrix>,
}

/// How a failure can be seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The smallest storm that does it, in one sentence, if it was looked for.
    pub sentence: Option<String>,
    /// The command that replays it.
    pub replay: String,
    /// Its own page, relative to this one.
    pub page: Option<String>,
}

impl<'a> Report<'a> {
    /// What totals tell.
    pub fn of(title: impl Into<String>, all: &'a [Totals], elapsed: Duration) -> Self {
        Report {
            title: title.into(),
            all,
            elapsed,
            seen: Vec::new(),
            sweep: None,
        }
    }

    /// The page.
    pub fn html(&self) -> String {
        let sum = Tally::sum(self.all.iter().map(|totals| &totals.tally));
        let seen = self.seen.iter().map(Some).chain(iter::repeat(None));
        let failures = self.all.iter().flat_map(|totals| {
            let failures = totals.failures.iter();
            failures.map(move |failure| (totals, failure))
        });
        let failures: Vec<_> = failures.zip(seen).collect();
        let sometimes = self.all.iter().flat_map(|totals| {
            let stated = totals.tally.sometimes.iter();
            stated.map(|(what, reached)| (&*totals.scenario, &**what, *reached))
        });
        let clean = failures.is_empty() && self.all.iter().all(Totals::is_clean);
        let facts = vec![
            ("storms", words::count(sum.runs)),
            ("failed", words::count(sum.failed())),
            ("distinct failures", words::count(failures.len() as u64)),
            ("elapsed", words::duration(self.elapsed)),
            ("rate", words::rate(rate(sum.runs, self.elapsed))),
        ];
        let page = Page {
            style: concat!(
                include_str!("../../templates/run.css"),
                include_str!("../../templates/campaign.css")
            ),
            script: include_str!("../../templates/campaign.js"),
            title: &self.title,
            verdict: match (clean, sum.mismatched) {
                (true, _) => "SURVIVED",
                (false, 0) => "FAILURES",
                (false, _) => NOT_DETERMINISTIC,
            },
            class: if clean { "good" } else { "bad" },
            facts,
            most_planned: sum.faults.values().map(|of| of.planned).max().unwrap_or(0),
            sum,
            all: self.all,
            failures,
            // Features of different scenarios are different things.
            coverage: match self.all {
                [one] => &one.coverage,
                _ => &[],
            },
            sometimes: sometimes.collect(),
            heat: self.sweep.map(Heat::of),
        };
        page.render().expect("a String takes whatever is written")
    }
}

/// A sweep's matrix as a table.
struct Heat<'a> {
    /// The kinds of fault, with how many runs survived of how many that fired.
    columns: Vec<(&'a str, usize, usize)>,
    /// The sites, with a cell for each kind.
    rows: Vec<(String, Vec<Cell>)>,
}

impl<'a> Heat<'a> {
    fn of(matrix: &'a Matrix) -> Self {
        let seeds: BTreeSet<u64> = matrix.rows.iter().map(|row| row.seed.0).collect();
        let rows = matrix.rows.iter().map(|row| {
            let site = match seeds.len() {
                1 => row.site.to_string(),
                _ => format!("seed {}: {}{}", row.seed, row.site, row.length.words()),
            };
            let tried = |name: &str| row.cells.iter().find(|cell| cell.column == *name);
            let cells = matrix.columns.iter();
            let cells = cells.map(|column| Cell::of(tried(&column.name).map(|cell| cell.result)));
            (site, cells.collect())
        });
        let rows: Vec<(String, Vec<Cell>)> = rows.collect();
        let columns = matrix.columns.iter().enumerate().map(|(place, column)| {
            let of = |class| {
                let cells = rows.iter().map(|(_, cells)| &cells[place]);
                cells.filter(|cell| cell.class == class).count()
            };
            let survived = of("survived");
            (&*column.name, survived, survived + of("violated"))
        });
        Heat {
            columns: columns.collect(),
            rows,
        }
    }
}

/// What a fault did at a site.
struct Cell {
    class: &'static str,
    words: &'static str,
    /// Seen without colour.
    mark: &'static str,
}

impl Cell {
    /// `None`: this kind of fault makes no sense there.
    fn of(result: Option<CellResult>) -> Self {
        use CellResult::*;
        let (class, words, mark) = match result {
            None => ("none", "does not apply", ""),
            Some(Survived) => ("survived", "survived", "·"),
            Some(Violated | Stuck | HarnessFailed) => ("violated", "violated", "✗"),
            Some(NotFired) => ("not-fired", "not fired", "–"),
            Some(NotRun) => ("not-run", "not run: the sweep ended before", "?"),
        };
        Cell { class, words, mark }
    }
}

/// The coverage curve is drawn in a box of this size.
const CURVE: (f64, f64) = (760.0, 150.0);

#[derive(Template)]
#[template(path = "campaign.html")]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    title: &'a str,
    verdict: &'static str,
    class: &'static str,
    facts: Vec<(&'static str, String)>,
    sum: Tally,
    most_planned: u64,
    all: &'a [Totals],
    failures: Vec<((&'a Totals, &'a Failure), Option<&'a Seen>)>,
    coverage: &'a [Coverage],
    sometimes: Vec<(&'a str, &'a str, u64)>,
    heat: Option<Heat<'a>>,
}

impl Page<'_> {
    fn n(&self, number: &u64) -> String {
        words::count(*number)
    }

    /// A count that may not be kept.
    fn counted(&self, of: &Totals, name: &str) -> String {
        let number = of.tally.counts.get(name);
        number.map_or_else(|| "–".to_owned(), |number| words::count(*number))
    }

    fn variant(&self, of: &Totals) -> String {
        words::variant(&of.shape, of.plant.as_deref())
    }

    /// A bar's length against the longest, in percent.
    fn percent(&self, part: &u64) -> String {
        format!(
            "{:.1}",
            *part as f64 / self.most_planned.max(1) as f64 * 100.0
        )
    }

    fn reached(&self) -> usize {
        let reached = self.sometimes.iter().filter(|(.., runs)| *runs > 0);
        reached.count()
    }

    /// The points of the coverage curve, as SVG reads them.
    fn curve(&self) -> String {
        let most = |of: fn(&Coverage) -> u64| self.coverage.iter().map(of).max();
        let runs = most(|c| c.runs).unwrap_or(0).max(1) as f64;
        let features = most(|c| c.features).unwrap_or(0).max(1) as f64;
        let point = |c: &Coverage| {
            let x = c.runs as f64 / runs * CURVE.0;
            let y = CURVE.1 - c.features as f64 / features * CURVE.1;
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = self.coverage.iter().map(point).collect();
        points.join(" ")
    }
}
