//! What a person or a script reads after a sweep.

use std::time::Duration;

use serde::Serialize;

use squall_explore::{
    campaign::{Totals, Verdicts, rate},
    strategy::sweep::Matrix,
};

use super::{
    Paint, Style, count,
    json::Failed,
    table::{Cell, Side::*, Table},
    words::{IN_VAIN, system},
};

/// How many sites there were, how each kind of fault was survived, and how pairs were.
pub fn text(totals: &Totals, matrix: &Matrix, style: Style) -> String {
    let title = system(&totals.scenario, &totals.shape, totals.plant.as_deref());
    let mut text = format!(
        "{}: {} sites met, {} of them pruned: as many are like one of the {} that were tried\n{} storms of one fault\n\n",
        style.paint(Paint::Heading, &title),
        count(matrix.sites_met),
        count(matrix.sites_pruned),
        count(matrix.rows.len() as u64),
        count(matrix.storms),
    );
    let mut table = Table::new([
        ("fault", Left),
        ("planned", Right),
        ("fired", Right),
        ("effective", Right),
        ("survived", Left),
    ]);
    for column in &matrix.columns {
        let whole = column.survived == column.run;
        let paint = if whole { Paint::Good } else { Paint::Bad };
        let mut survived = format!(
            "{} of {} sites survived",
            count(column.survived),
            count(column.run)
        );
        if column.run < column.planned {
            survived += &format!(", {} not run", count(column.planned - column.run));
        }
        table.row([
            column.name.as_str().into(),
            count(column.planned).into(),
            count(column.fired).into(),
            count(column.effective).into(),
            Cell::painted(paint, survived),
        ]);
    }
    text.push_str(&table.render(style));
    for column in &matrix.columns {
        if column.run > 0 && column.effective == 0 {
            let line = format!("WARNING: {} {IN_VAIN}\n", column.name);
            text.push_str(&style.paint(Paint::Warning, &line));
        }
    }
    if let Some(pairs) = &matrix.pairs {
        text.push_str(&format!(
            "\npairs: {} of {} that were run survived both faults; {} fired, {} effective; {} planned of {} possible\n",
            count(pairs.survived),
            count(pairs.run),
            count(pairs.fired),
            count(pairs.effective),
            count(pairs.planned),
            count(pairs.possible),
        ));
    }
    text
}

/// One JSON object.
pub fn json<'a>(
    totals: &'a Totals,
    matrix: &'a Matrix,
    failures: Vec<Failed<'a>>,
    elapsed: Duration,
) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        scenario: &'a str,
        shape: &'a str,
        plant: Option<&'a str>,
        runs: u64,
        elapsed_s: f64,
        runs_per_s: f64,
        verdicts: Verdicts,
        runs_twice: u64,
        mismatched: u64,
        violations: Vec<Failed<'a>>,
        matrix: &'a Matrix,
    }
    let report = Report {
        scenario: &totals.scenario,
        shape: &totals.shape,
        plant: totals.plant.as_deref(),
        runs: totals.tally.runs,
        elapsed_s: elapsed.as_secs_f64(),
        runs_per_s: rate(totals.tally.runs, elapsed),
        verdicts: totals.tally.verdicts,
        runs_twice: totals.tally.watched,
        mismatched: totals.tally.mismatched,
        violations: failures,
        matrix,
    };
    serde_json::to_string_pretty(&report).expect("a report has only string keys") + "\n"
}
