//! How one run ended, what was broken, and what the storm did.

use std::fmt::Write;

use squall_engine::run::{Outcome, Verdict};

use super::{Paint, Style, failure, summary, words::NO_FAULT};

/// A run in full, without its trace.
pub fn text(outcome: &Outcome, style: Style) -> String {
    let paint = match outcome.verdict {
        Verdict::Survived => Paint::Good,
        _ => Paint::Bad,
    };
    let verdict = style.paint(paint, failure::label(&outcome.verdict));
    let mut text = match &outcome.verdict {
        Verdict::Stuck(why) | Verdict::HarnessFailed(why) => {
            format!("{verdict} at {}: {why}\n", outcome.ended)
        }
        Verdict::Survived | Verdict::Violated => format!("{verdict}, ended at {}\n", outcome.ended),
    };
    for broken in outcome.by_severity() {
        text += &failure::violation(broken, style);
    }
    let _ = writeln!(text, "hash {:016x}\n", outcome.hash);
    match outcome.all_faults() {
        none if none.is_empty() => _ = writeln!(text, "{NO_FAULT}"),
        faults => text += &failure::storm(&faults, style),
    }
    if let Some(depth) = outcome.plan.pct {
        let _ = writeln!(text, "tasks run by priorities (PCT, depth {depth})");
    }
    if !outcome.plan.without.is_empty() {
        let _ = writeln!(text, "without {}", outcome.plan.without.join(", "));
    }
    for name in &outcome.unmet {
        text += &summary::in_vain(name);
    }
    if !outcome.counts.is_empty() {
        let _ = write!(text, "\n{}", summary::counts(&outcome.counts, style));
    }
    text
}
