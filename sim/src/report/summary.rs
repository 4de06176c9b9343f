//! The tables at the end of a campaign.

use std::collections::BTreeMap;

use super::{
    Paint, Style, count,
    table::{Cell, Side::*, Table},
};
use crate::campaign::{Tally, Totals};

/// One line a campaign.
pub(crate) fn campaigns(all: &[Totals], style: Style) -> String {
    let mut table = Table::new([
        ("scenario", Left),
        ("shape", Left),
        ("storms", Right),
        ("violations", Right),
        ("completed", Right),
        ("compensated", Right),
        ("verdict", Left),
    ]);
    for totals in all {
        let shape = match &totals.plant {
            Some(bug) => format!("{} + {bug}", totals.shape),
            None => totals.shape.clone(),
        };
        table.row([
            totals.scenario.as_str().into(),
            shape.into(),
            count(totals.tally.runs).into(),
            count(totals.tally.failed()).into(),
            counted(&totals.tally, "completed"),
            counted(&totals.tally, "compensated"),
            verdict(totals),
        ]);
    }
    table.render(style)
}

/// A count that a scenario may not keep.
fn counted(tally: &Tally, name: &str) -> Cell {
    match tally.counts.get(name) {
        Some(n) => count(*n).into(),
        None => Cell::painted(Paint::Faint, "-"),
    }
}

fn verdict(totals: &Totals) -> Cell {
    let Tally {
        verdicts,
        mismatched,
        ..
    } = &totals.tally;
    let bad = [
        (verdicts.violated, "VIOLATED"),
        (verdicts.stuck, "STUCK"),
        (verdicts.harness_failed, "HARNESS FAILED"),
        (*mismatched, "NOT DETERMINISTIC"),
    ];
    let bad: Vec<&str> = bad
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(_, name)| name)
        .collect();
    if bad.is_empty() {
        Cell::painted(Paint::Good, "survived")
    } else {
        Cell::painted(Paint::Bad, bad.join(", "))
    }
}

/// One line a kind of fault, and a loud one for each that proved nothing.
pub(crate) fn faults(tally: &Tally, style: Style) -> String {
    if tally.faults.is_empty() {
        return style.paint(Paint::Warning, "no fault was planned") + "\n";
    }
    let mut table = Table::new([
        ("fault", Left),
        ("planned", Right),
        ("fired", Right),
        ("effective", Right),
    ]);
    for (kind, of) in &tally.faults {
        table.row([
            kind.as_str().into(),
            count(of.planned).into(),
            count(of.fired).into(),
            count(of.effective).into(),
        ]);
    }
    let mut text = table.render(style);
    for kind in tally.never_effective() {
        let times = match tally.faults[kind].planned {
            1 => "once".to_owned(),
            planned => format!("{} times", count(planned)),
        };
        let line = format!(
            "WARNING: {kind} was planned {times} and never touched anything: surviving it proves nothing"
        );
        text.push_str(&style.paint(Paint::Warning, &line));
        text.push('\n');
    }
    text
}

/// What was counted, by name.
pub(crate) fn counts(counts: &BTreeMap<String, u64>, style: Style) -> String {
    let mut table = Table::new([("count", Left), ("total", Right)]);
    for (name, n) in counts {
        table.row([name.as_str().into(), count(*n).into()]);
    }
    table.render(style)
}

/// How often determinism was tested.
pub(crate) fn watch(tally: &Tally) -> String {
    match (tally.watched, tally.mismatched) {
        (0, _) => {
            "determinism: no seed of this range was run twice (every hundredth is)\n".to_owned()
        }
        (n, 0) => format!(
            "determinism: {} seeds were run twice, with equal hashes\n",
            count(n)
        ),
        (n, bad) => format!(
            "determinism: {} of {} seeds that were run twice gave two different runs\n",
            count(bad),
            count(n)
        ),
    }
}
