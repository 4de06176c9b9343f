//! A failure that was recorded and the same run now: whether they are the same, and where they part.

use std::fmt::Write;

use squall_engine::{run::Outcome, trace::Trace};
use squall_explore::failure::FailureFile;

use super::{Paint, Style, excerpt, words::NOT_DETERMINISTIC};

/// What became of a failure.
pub struct Compared {
    /// As it is printed.
    pub text: String,
    /// It still fails, or the run is not deterministic.
    pub fails: bool,
}

/// Compares a run, with its whole trace, with the file that it was made from.
pub fn compare(file: &FailureFile, outcome: &Outcome, style: Style) -> Compared {
    let recorded_way = file.signature();
    let found = match outcome.shows(&recorded_way) {
        true => Some(recorded_way),
        false => outcome.signature(&file.scenario, &file.shape),
    };
    if file.is_same_run(outcome) && found == Some(file.signature()) {
        let line = "It fails again as recorded: the same run, event for event.";
        return Compared {
            text: format!("{}\n", style.paint(Paint::Bad, line)),
            fails: true,
        };
    }
    let same_build = file.build.is_present();
    let recorded = format!("\"{}\"", file.signature());
    let (paint, line) = match &found {
        None if same_build => (
            Paint::Bad,
            format!("The recorded failure {recorded} does not happen."),
        ),
        None => (
            Paint::Good,
            format!("The recorded failure {recorded} does not happen any more with this build."),
        ),
        Some(found) if *found == file.signature() => (
            Paint::Bad,
            "It fails in the same way as recorded, but in another run.".to_owned(),
        ),
        Some(found) => (
            Paint::Bad,
            format!("Instead of {recorded}, as recorded, it fails with \"{found}\"."),
        ),
    };
    let mut text = format!("{}\n", style.paint(paint, &line));
    if same_build {
        let defect = style.paint(Paint::Bad, NOT_DETERMINISTIC);
        let why = "this very build recorded another run of the same seed and plan";
        let _ = writeln!(text, "{defect}: {why}");
    } else {
        let _ = writeln!(
            text,
            "  recorded by  {}\n  this build   {}",
            file.build,
            squall_explore::failure::Build::present()
        );
    }
    if let Some(trace) = &outcome.trace {
        text.push_str(&parting(file, trace, style));
    }
    Compared {
        text,
        fails: found.is_some() || same_build,
    }
}

fn parting(file: &FailureFile, now: &Trace, style: Style) -> String {
    let Some(event) = file.trace.parts_from(now) else {
        return "  the traces are too much alike to tell where they part\n".to_owned();
    };
    let before = match file.trace.line(event) {
        Some(line) => line.trim_start(),
        None if event >= file.trace.events => "(the trace ends)",
        None => "(not kept)",
    };
    format!(
        "  the traces part at event {event} of {}\n  recorded  {before}\n  now       {}",
        file.trace.events,
        excerpt::line(now, event, style)
    )
}
