//! Traces as far as a failure needs them.

use std::fmt::Write;

use squall_core::event::{Event, What};
use squall_engine::{check::Violation, trace::Trace};

use super::{Paint, Style};
use crate::trace::text::{Options, render};

/// How many lines show how a run failed.
const LINES: usize = 15;

/// Everything.
pub fn whole(trace: &Trace, style: Style) -> String {
    shown(trace, None, style)
}

/// What led to this violation, if the trace has it, or else to the first; or to the end of a run without any.
pub fn end(trace: &Trace, broken: Option<&Violation>, style: Style) -> String {
    let is_any = |event: &Event| matches!(event.what, What::Violation { .. });
    let is_it = |event: &Event| match (&event.what, broken) {
        (What::Violation { invariant, .. }, Some(broken)) => {
            event.at == broken.at && **invariant == *broken.invariant
        }
        _ => false,
    };
    let mut events = trace.events.iter();
    let place = events.clone().position(is_it);
    let end = match place.or_else(|| events.position(is_any)) {
        Some(place) => place + 1,
        None => trace.events.len(),
    };
    let heading = format!(
        "the trace, events {} to {end} of {}",
        end.saturating_sub(LINES).min(end) + 1,
        trace.events.len()
    );
    let lines = shown(&until(trace, end), Some(LINES), style);
    format!("{}\n{lines}", style.paint(Paint::Heading, &heading))
}

/// Where two runs of one seed part; empty if they are the same.
pub fn parting(one: &Trace, other: &Trace, style: Style) -> String {
    let Some(index) = one.parts_from(other) else {
        return String::new();
    };
    let mut text = format!("  the traces part at event {index}\n");
    for (name, trace) in [("first ", one), ("second", other)] {
        let _ = write!(text, "  {name}  {}", line(trace, index, style));
    }
    text
}

/// The line of one event; that the trace ends, if there is no such event.
pub fn line(trace: &Trace, event: usize, style: Style) -> String {
    match trace.events.get(event) {
        Some(_) => {
            let line = shown(&until(trace, event + 1), Some(1), style);
            line.trim_start().to_owned()
        }
        None => "(the trace ends)\n".to_owned(),
    }
}

fn shown(trace: &Trace, last: Option<usize>, style: Style) -> String {
    let options = Options {
        last,
        colour: style.has_colour(),
        ..Options::default()
    };
    render(trace, &options)
}

fn until(trace: &Trace, end: usize) -> Trace {
    Trace {
        events: trace.events[..end].to_vec(),
        ..trace.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_core::{
        event::{Life, Scope},
        time::VirtualTime,
    };
    use squall_engine::trace::{Mode, Recorder};

    fn trace(details: &[&'static str]) -> Trace {
        let mut recorder = Recorder::new(Mode::Full);
        for (ms, detail) in (0..).zip(details) {
            let what = match *detail {
                "broken" => What::Violation {
                    invariant: "no money is lost".into(),
                    detail: "93".into(),
                },
                detail => What::Node {
                    event: Life::Boots,
                    detail: detail.into(),
                },
            };
            recorder.record(VirtualTime(ms * 1_000_000), "vault", &Scope::NONE, what);
        }
        recorder.finish()
    }

    #[test]
    fn a_failure_shows_what_led_to_its_violation() {
        let mut details = vec!["early"; 30];
        details[18] = "broken";
        details[20] = "broken";
        details[25] = "broken";
        let broken = Violation {
            at: VirtualTime(20_000_000),
            ..squall_fixtures::violation("kept", 1)
        };
        let text = end(&trace(&details), Some(&broken), Style::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "the trace, events 7 to 21 of 30");
        assert_eq!(lines.len(), 1 + LINES);
        assert!(lines[LINES].contains("no money is lost"), "{text}");
    }

    #[test]
    fn a_short_trace_without_a_violation_is_shown_to_its_end() {
        let text = end(&trace(&["a", "b"]), None, Style::PLAIN);
        assert!(
            text.starts_with("the trace, events 1 to 2 of 2\n"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn two_traces_part_at_their_first_different_event() {
        let (one, other) = (trace(&["a", "b", "c"]), trace(&["a", "x", "c"]));
        assert_eq!(parting(&one, &one, Style::PLAIN), "");
        let text = parting(&one, &other, Style::PLAIN);
        assert!(
            text.starts_with("  the traces part at event 1\n  first   0.001000"),
            "{text}"
        );
        let text = parting(&one, &trace(&["a"]), Style::PLAIN);
        assert!(text.ends_with("  second  (the trace ends)\n"), "{text}");
    }
}
