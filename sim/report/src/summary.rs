//! The tables at the end of a campaign.

use std::collections::BTreeMap;

use squall_explore::campaign::{Failure, Tally, Totals, Unheard};

use super::{
    Paint, Style, count,
    table::{Cell, Side::*, Table},
    words::{IN_VAIN, NO_FAULT, NOT_DETERMINISTIC, variant},
};

/// One line a campaign.
fn campaigns(all: &[Totals], style: Style) -> String {
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
        table.row([
            totals.scenario.as_str().into(),
            variant(&totals.shape, totals.plant.as_deref()).into(),
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
        (*mismatched, NOT_DETERMINISTIC),
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
fn faults(tally: &Tally, style: Style) -> String {
    if tally.faults.is_empty() {
        return style.paint(Paint::Warning, NO_FAULT) + "\n";
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
        let line = format!("WARNING: {kind} was planned {times} and {IN_VAIN}");
        text.push_str(&style.paint(Paint::Warning, &line));
        text.push('\n');
    }
    text
}

/// What should sometimes happen, with the share of storms in which it did, and loudly what never did.
fn sometimes(all: &[Totals], style: Style) -> String {
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
fn coverage(totals: &Totals) -> String {
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
fn watch(tally: &Tally) -> String {
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

/// What goals and checks wait for and no storm has logged, where something else seems to be meant.
fn misheard(totals: &Totals, style: Style) -> String {
    let line = |one: &Unheard| {
        let (node, message) = (&one.node, &one.message);
        let line = format!(
            "WARNING: in {} storms over {} {node} never logged \"{message}\", for which a goal or a check waits; it logs \"{}\"",
            count(totals.tally.runs),
            totals.scenario,
            one.nearest.as_ref()?,
        );
        Some(style.paint(Paint::Warning, &line) + "\n")
    };
    totals.unheard.iter().filter_map(line).collect()
}

/// Every table of several campaigns, and what is to be noted of each.
pub fn tables(all: &[Totals], style: Style) -> String {
    let sum = Tally::sum(all.iter().map(|totals| &totals.tally));
    let mut text = campaigns(all, style) + "\n" + &faults(&sum, style) + "\n";
    let sometimes = sometimes(all, style);
    if !sometimes.is_empty() {
        text += &(sometimes + "\n");
    }
    text += &watch(&sum);
    for totals in all {
        text += &misheard(totals, style);
        text += &coverage(totals);
        for name in totals.tally.without_in_vain() {
            text += &format!("{}: {}", totals.scenario, in_vain(name));
        }
    }
    text
}

/// Tells that a plan leaves something out that is not there.
pub fn in_vain(name: &str) -> String {
    format!(
        "the plan is without {name:?}, but no client and no operation goes by that name: see to its spelling\n"
    )
}
