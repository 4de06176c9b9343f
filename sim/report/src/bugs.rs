//! What the bench of planted bugs measured, as tables.

use std::{collections::BTreeSet, time::Duration};

use squall_explore::bug_bench::Power;

use super::{
    Style, count, duration,
    table::{Side::*, Table},
};

/// How the figures were measured.
const MEASURED_HOW: &str = "CPU time is that of the runs' own threads";

/// A table with a line a bug and strategy, for people.
pub fn text(powers: &[Power], style: Style) -> String {
    let mut table = Table::new([
        ("scenario", Left),
        ("bug", Left),
        ("strategy", Left),
        ("found", Right),
        ("storms", Right),
        ("worst", Right),
        ("CPU", Right),
        ("worst", Right),
        ("faults", Right),
        ("small", Right),
        ("invariant", Left),
    ]);
    for power in powers {
        let cut = format!("> {}", count(power.cut_off));
        let number = |n: Option<u64>| n.map_or(cut.clone(), count);
        let time = |d: Option<Duration>| d.map_or("-".to_owned(), duration);
        table.row([
            power.scenario.as_str().into(),
            power.bug.as_str().into(),
            power.strategy.as_str().into(),
            format!("{}/{}", power.found, power.campaigns).into(),
            number(power.runs.median).into(),
            number(power.runs.worst).into(),
            time(power.cpu.median).into(),
            time(power.cpu.worst).into(),
            power.faults.median.map_or("-".to_owned(), count).into(),
            power.small.median.map_or("-".to_owned(), count).into(),
            what_speaks(power).unwrap_or_default().into(),
        ]);
    }
    let mut text = table.render(style);
    text += "\n";
    for sum in sums(powers) {
        text += &format!("{sum}\n");
    }
    text += &format!(
        "storms to the first failure, CPU time, faults of that storm and of the same made small: medians, and the \
         worst of the campaigns; {MEASURED_HOW}\n"
    );
    for bug in missed(powers) {
        text += &format!("NOT FOUND: {bug}: no strategy found it\n");
    }
    text
}

/// Bugs that no strategy found in any campaign.
pub fn missed(powers: &[Power]) -> BTreeSet<String> {
    let name = |power: &Power| format!("{} + {}", power.scenario, power.bug);
    let found: BTreeSet<String> = powers.iter().filter(|p| p.found > 0).map(name).collect();
    powers
        .iter()
        .map(name)
        .filter(|bug| !found.contains(bug))
        .collect()
}

/// What each strategy comes to over all bugs.
fn sums(powers: &[Power]) -> Vec<String> {
    let strategies: BTreeSet<&str> = powers.iter().map(|power| power.strategy.as_str()).collect();
    let sum = |strategy: &str| {
        let own: Vec<&Power> = powers
            .iter()
            .filter(|power| power.strategy == strategy)
            .collect();
        let median = own
            .iter()
            .filter(|power| power.runs.median.is_some())
            .count();
        let spent: Duration = own.iter().map(|power| power.spent).sum();
        let slowest = own.iter().filter_map(|power| power.cpu.median).max();
        format!(
            "{strategy}: {median} of {} bugs in the median, the slowest of them after {}; {} in all campaigns",
            own.len(),
            slowest.map_or("-".to_owned(), duration),
            duration(spent)
        )
    };
    strategies.into_iter().map(sum).collect()
}

/// A table with a line a bug and a column a strategy, for a README.
pub fn markdown(powers: &[Power]) -> String {
    let strategies: BTreeSet<&str> = powers.iter().map(|power| power.strategy.as_str()).collect();
    let bugs: BTreeSet<(&str, &str)> = powers
        .iter()
        .map(|power| (power.scenario.as_str(), power.bug.as_str()))
        .collect();
    let head: Vec<String> = strategies
        .iter()
        .map(|strategy| format!(" {strategy} |"))
        .collect();
    let mut text = format!(
        "| scenario | bug |{} faults | what speaks | smallest storm |\n",
        head.concat()
    );
    text += &format!("|---|---|{}--:|---|---|\n", "--:|".repeat(strategies.len()));
    for (scenario, bug) in bugs {
        let of = |strategy: &str| {
            powers.iter().find(|p| {
                (p.scenario.as_str(), p.bug.as_str(), p.strategy.as_str())
                    == (scenario, bug, strategy)
            })
        };
        text += &format!("| `{scenario}` | `{bug}` |");
        for strategy in &strategies {
            text += &match of(strategy) {
                Some(power) => format!(" {} |", markdown_cell(power)),
                None => " |".to_owned(),
            };
        }
        let own = || strategies.iter().filter_map(|strategy| of(strategy));
        let faults = own()
            .filter_map(|power| power.small.median.or(power.faults.median))
            .min();
        text += &format!(
            " {} | {} | {} |\n",
            faults.map_or("-".to_owned(), count),
            own()
                .find_map(what_speaks)
                .as_deref()
                .unwrap_or("not found"),
            own()
                .find_map(|power| power.storm.as_deref())
                .unwrap_or("-"),
        );
    }
    text += "\n";
    for sum in sums(powers) {
        text += &format!("* {sum}\n");
    }
    text + &format!(
        "\nStorms to the first failure: median (worst), CPU time of the median; {MEASURED_HOW}.\n"
    )
}

/// The invariant that tells of it, with a word of warning where no damage was seen.
fn what_speaks(power: &Power) -> Option<String> {
    let invariant = power.invariant.as_ref()?;
    Some(match power.damage {
        0 => format!("{invariant} (inside)"),
        _ => invariant.clone(),
    })
}

fn markdown_cell(power: &Power) -> String {
    let cut = format!("> {}", count(power.cut_off));
    let number = |n: Option<u64>| n.map_or(cut.clone(), count);
    let worst = number(power.runs.worst);
    match power.cpu.median {
        Some(cpu) => format!("{} ({worst}) {}", number(power.runs.median), duration(cpu)),
        None => format!("{} ({worst})", number(power.runs.median)),
    }
}
