//! One failure, told so that somebody can start to fix it. It ends with the command that replays it.

use std::fmt::Write;

use super::{
    Paint, Style, count,
    table::{Side::*, Table},
    trace,
};
use crate::{
    campaign::{Failure, Mismatch, Totals},
    check::Violation,
    run::Verdict,
    storm::FaultReport,
    trace::Trace,
};

/// A failure of a campaign: what, how often, the storm, the end of the trace if there is one, how to replay it.
pub(crate) fn failure(
    totals: &Totals,
    failure: &Failure,
    trace: Option<&Trace>,
    replay: &[String],
    style: Style,
) -> String {
    let mut text = String::new();
    let headline = style.paint(Paint::Bad, label(&failure.verdict));
    let planted = match &totals.plant {
        Some(bug) => format!(" + {bug}"),
        None => String::new(),
    };
    let _ = writeln!(
        text,
        "{headline} {} ({}{planted}), {} of {} storms, first with seed {}",
        totals.scenario,
        totals.shape,
        count(failure.count),
        count(totals.tally.runs),
        failure.seed,
    );
    match &failure.violation {
        Some(broken) => text.push_str(&violation(broken, style)),
        None => {
            let _ = writeln!(text, "  {}", failure.message());
        }
    }
    if !failure.faults.is_empty() {
        text.push_str(&style.paint(Paint::Heading, "the storm"));
        text.push('\n');
        text.push_str(&indented(&storm(&failure.faults, style)));
    }
    if let Some(trace) = trace {
        text.push_str(&trace::end(trace, style));
    }
    text.push_str(&replay_lines(replay, style));
    text
}

/// The end of every failure: a line for each command that replays it.
pub(crate) fn replay_lines(commands: &[String], style: Style) -> String {
    let line = |command| format!("replay: {}\n", style.paint(Paint::Heading, command));
    commands.iter().map(|command| line(command)).collect()
}

/// What was broken, a line an aspect.
pub(crate) fn violation(broken: &Violation, style: Style) -> String {
    let Violation {
        invariant,
        tag,
        at,
        entities,
        expected,
        found,
    } = broken;
    let what = style.paint(Paint::Bad, &format!("{invariant} ({tag})"));
    let mut text = format!("  {what} at {at}\n");
    if !entities.is_empty() {
        let _ = writeln!(text, "  concerns  {}", entities.join(", "));
    }
    let _ = writeln!(text, "  expected  {expected}\n  found     {found}");
    text
}

/// A storm as it was carried out, a line a fault.
pub(crate) fn storm(faults: &[FaultReport], style: Style) -> String {
    let mut table = Table::new([
        ("fault", Left),
        ("fired", Right),
        ("effect", Left),
        ("site", Left),
    ]);
    for report in faults {
        let effect = match (report.fired, report.effective) {
            (_, true) => "effective",
            (Some(_), false) => "touched nothing",
            (None, false) => "never reached",
        };
        table.row([
            report.fault.to_string().into(),
            report
                .fired
                .map_or("-".to_owned(), |at| at.to_string())
                .into(),
            effect.into(),
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
pub(crate) fn mismatch(
    totals: &Totals,
    mismatch: &Mismatch,
    traces: [Option<&Trace>; 2],
    replay: &[String],
    style: Style,
) -> String {
    let headline = style.paint(Paint::Bad, "NOT DETERMINISTIC");
    let mut text = format!(
        "{headline} {} ({}): seed {} gave hash {:016x} first and {:016x} the second time\n",
        totals.scenario, totals.shape, mismatch.seed, mismatch.hashes.0, mismatch.hashes.1
    );
    if let [Some(one), Some(other)] = traces {
        text.push_str(&trace::parting(one, other, style));
    }
    text.push_str(&replay_lines(replay, style));
    text
}

/// A verdict in headline words.
pub(crate) fn label(verdict: &Verdict) -> &'static str {
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
