//! The tables at the end of a campaign.

use std::collections::BTreeMap;

use squall_explore::campaign::{Failure, Tally, Totals};

use super::{
    Paint, Style, count,
    table::{Cell, Side::*, Table},
};

/// One line a campaign.
pub fn campaigns(all: &[Totals], style: Style) -> String {
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
pub fn faults(tally: &Tally, style: Style) -> String {
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

/// What should sometimes happen, with the share of storms in which it did, and loudly what never did.
pub fn sometimes(all: &[Totals], style: Style) -> String {
    let mut table = Table::new([
        ("scenario", Left),
        ("sometimes", Left),
        ("storms", Right),
        ("share", Right),
    ]);
    let mut never = String::new();
    let mut any = false;
    for Totals {
        scenario, tally, ..
    } in all
    {
        for (name, runs) in &tally.sometimes {
            any = true;
            let share = 100.0 * *runs as f64 / tally.runs.max(1) as f64;
            table.row([
                scenario.as_str().into(),
                name.as_str().into(),
                count(*runs).into(),
                format!("{share:.1} %").into(),
            ]);
        }
        for name in tally.never_reached() {
            let line = format!(
                "WARNING: in {} storms over {scenario} it never happened that {name}: surviving it is not shown",
                count(tally.runs)
            );
            never.push_str(&style.paint(Paint::Warning, &line));
            never.push('\n');
        }
    }
    match any {
        true => table.render(style) + &never,
        false => String::new(),
    }
}

/// What was counted, by name.
pub fn counts(counts: &BTreeMap<String, u64>, style: Style) -> String {
    let mut table = Table::new([("count", Left), ("total", Right)]);
    for (name, n) in counts {
        table.row([name.as_str().into(), count(*n).into()]);
    }
    table.render(style)
}

/// A distinct failure in two lines: what it is, and how it is replayed.
pub fn failure_line(failure: &Failure, replay: &str) -> String {
    format!(
        "{} × {}\n  replay: {replay}\n",
        count(failure.count),
        failure.message()
    )
}

/// How much a guided campaign covered; nothing of others.
pub fn coverage(totals: &Totals) -> String {
    let curve = &totals.coverage;
    let Some(last) = curve.last() else {
        return String::new();
    };
    let grew = curve.iter().find(|point| point.features == last.features);
    format!(
        "coverage: {}: {} features, the last new one in storm {}\n",
        totals.scenario,
        count(last.features),
        count(grew.unwrap_or(last).runs)
    )
}

/// How often determinism was tested.
pub fn watch(tally: &Tally) -> String {
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

/// Tells that a plan leaves something out that is not there.
pub fn in_vain(name: &str) -> String {
    format!(
        "the plan is without {name:?}, but no client and no operation goes by that name: see to its spelling\n"
    )
}
