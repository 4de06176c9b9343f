//! One failure, told with what is needed to start fixing it. It ends with the command that replays it.

use std::fmt::Write;

use squall_engine::{
    check::{Class, Violation},
    run::{Outcome, Verdict},
    storm::FaultReport,
    trace::Trace,
};
use squall_explore::{
    campaign::{Failure, Mismatch, Totals},
    failure::Kept,
    shrink::{NotReproduced, Shrunk, Sizes},
};

use super::{
    Paint, Style, count, excerpt,
    table::{Side::*, Table},
    words::{NOT_DETERMINISTIC, effect, several, system, unequal},
};

/// What is shown of a failure.
pub enum Told<'a> {
    /// The smallest run that fails in the same way.
    Small(&'a Kept),
    /// The run that was found, with its trace.
    AsFound(Option<&'a Trace>),
    /// It did not happen again; the traces of two more runs.
    Gone(&'a NotReproduced, [Option<&'a Trace>; 2]),
}

/// A failure of a campaign: what, how often, the storm, the end of the trace if there is one, how to replay it.
pub fn failure(
    totals: &Totals,
    failure: &Failure,
    told: &Told<'_>,
    replay: &[String],
    style: Style,
) -> String {
    let mut text = String::new();
    let headline = style.paint(Paint::Bad, label(&failure.verdict));
    let _ = writeln!(
        text,
        "{headline} {}, {} of {} storms, first with seed {}",
        system(&totals.scenario, &totals.shape, totals.plant.as_deref()),
        count(failure.count),
        count(totals.tally.runs),
        failure.seed,
    );
    let (broken, faults, trace) = match told {
        Told::Small(kept) => {
            let outcome = &kept.shrunk.outcome;
            (
                outcome.violation(&failure.signature),
                outcome.all_faults(),
                outcome.trace.as_ref(),
            )
        }
        Told::AsFound(trace) | Told::Gone(_, [trace, _]) => {
            (failure.violation.as_ref(), failure.faults.clone(), *trace)
        }
    };
    match broken {
        Some(broken) => text.push_str(&violation(broken, style)),
        None => {
            let _ = writeln!(text, "  {}", failure.message());
        }
    }
    if let Told::Small(kept) = told {
        text.push_str(&others(&kept.shrunk.outcome, broken));
    }
    match told {
        Told::Small(kept) => text.push_str(&small(&kept.sentence, &kept.shrunk, style)),
        Told::AsFound(_) | Told::Gone(..) if !faults.is_empty() => {
            let _ = writeln!(text, "{}", style.paint(Paint::Heading, "the storm"));
        }
        Told::AsFound(_) | Told::Gone(..) => {}
    }
    if !faults.is_empty() {
        text.push_str(&indented(&storm(&faults, style)));
    }
    match (told, trace) {
        (Told::Gone(gone, traces), _) => {
            let defect = style.paint(Paint::Bad, NOT_DETERMINISTIC);
            let _ = writeln!(text, "{defect}: {gone}");
            if let [Some(one), Some(other)] = traces {
                text.push_str(&excerpt::parting(one, other, style));
            }
        }
        (_, Some(trace)) => text.push_str(&excerpt::end(trace, broken, style)),
        (_, None) => {}
    }
    if let Told::Small(Kept {
        file: Some(Err(wrong)),
        ..
    }) = told
    {
        let line = format!("the failure could not be written to a file: {wrong}");
        let _ = writeln!(text, "{}", style.paint(Paint::Warning, &line));
    }
    text.push_str(&replay_lines(replay, style));
    text
}

/// The sentence of the smallest run, and how small it is.
pub fn small(sentence: &str, shrunk: &Shrunk, style: Style) -> String {
    let heading = match shrunk.after == shrunk.before {
        true if shrunk.effort.cut_short => "the storm as it was found",
        _ => "the smallest storm",
    };
    let heading = style.paint(Paint::Heading, heading);
    let effort = &shrunk.effort;
    let cut_short = match effort.cut_short {
        true => ", when the budget was spent",
        false => "",
    };
    format!(
        "{heading}\n  {sentence}\n  {}, from {}; {} runs{cut_short}\n",
        sizes(&shrunk.after),
        sizes(&shrunk.before),
        count(effort.runs),
    )
}

/// `1 fault, 1 client, 2 requests, 361.041002 s`.
pub fn sizes(sizes: &Sizes) -> String {
    format!(
        "{}, {}, {}, {} s",
        several(sizes.faults, "fault"),
        several(sizes.clients, "client"),
        several(sizes.requests, "request"),
        sizes.ended
    )
}

/// The end of every failure: a line for each command that replays it.
pub fn replay_lines(commands: &[String], style: Style) -> String {
    let line = |command| format!("replay: {}\n", style.paint(Paint::Heading, command));
    commands.iter().map(|command| line(command)).collect()
}

/// What was broken, a line an aspect.
pub fn violation(broken: &Violation, style: Style) -> String {
    let Violation {
        invariant,
        tag,
        class,
        at,
        entities,
        expected,
        found,
    } = broken;
    let what = style.paint(Paint::Bad, &format!("{invariant} ({tag})"));
    let inside = match class {
        Class::Damage => "",
        Class::Inside => ", inside",
    };
    let mut text = format!("  {what} at {at}{inside}\n");
    if !entities.is_empty() {
        let _ = writeln!(text, "  concerns  {}", entities.join(", "));
    }
    let _ = writeln!(text, "  expected  {expected}\n  found     {found}");
    text
}

/// What else is broken in the run, a line an invariant and tag, damage first.
fn others(outcome: &Outcome, shown: Option<&Violation>) -> String {
    let mut others: Vec<(Class, String)> = Vec::new();
    let way = |v: &Violation| (v.class, format!("{} ({})", v.invariant, v.tag));
    for other in outcome.violations.iter().map(way) {
        if shown.map(way).as_ref() != Some(&other) && !others.contains(&other) {
            others.push(other);
        }
    }
    others.sort_by_key(|(class, _)| *class);
    others
        .into_iter()
        .map(|(class, what)| format!("  also      {}: {what}\n", class.name()))
        .collect()
}

/// A storm as it was carried out, a line a fault.
pub fn storm(faults: &[FaultReport], style: Style) -> String {
    let mut table = Table::new([
        ("fault", Left),
        ("fired", Right),
        ("effect", Left),
        ("site", Left),
    ]);
    for report in faults {
        table.row([
            report.fault.to_string().into(),
            report
                .fired
                .map_or("-".to_owned(), |at| at.to_string())
                .into(),
            effect(report).into(),
            report
                .site
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default()
                .into(),
        ]);
    }
    table.render(style)
}

/// A seed that gave two different runs; `traces` are of two more runs, which need not part again.
pub fn mismatch(
    totals: &Totals,
    mismatch: &Mismatch,
    traces: [Option<&Trace>; 2],
    replay: &[String],
    style: Style,
) -> String {
    let headline = style.paint(Paint::Bad, NOT_DETERMINISTIC);
    let mut text = format!(
        "{headline} {}: {}\n",
        system(&totals.scenario, &totals.shape, totals.plant.as_deref()),
        unequal(mismatch)
    );
    if let [Some(one), Some(other)] = traces {
        text.push_str(&excerpt::parting(one, other, style));
    }
    text.push_str(&replay_lines(replay, style));
    text
}

/// A verdict in headline words.
pub fn label(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Survived => "SURVIVED",
        Verdict::Violated => "VIOLATED",
        Verdict::Stuck(_) => "STUCK",
        Verdict::HarnessFailed(_) => "HARNESS FAILED",
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
