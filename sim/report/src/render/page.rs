//! The page of one run: a single HTML file that needs nothing else, no network least of all.

use askama::Template;

use squall_engine::{
    check::Violation,
    run::{Outcome, Verdict},
    trace::Trace,
};

use super::{Drawing, Source, Subject, embed};
use crate::{
    count, failure,
    trace::Links,
    words::{NO_FAULT, effect, several, variant},
};

/// The script, in the order in which its parts need each other.
const SCRIPT: &str = concat!(
    include_str!("../../templates/run/model.js"),
    include_str!("../../templates/run/axis.js"),
    include_str!("../../templates/run/filter.js"),
    include_str!("../../templates/run/glyphs.js"),
    include_str!("../../templates/run/layout.js"),
    include_str!("../../templates/run/timeline.js"),
    include_str!("../../templates/run/messages.js"),
    include_str!("../../templates/run/overview.js"),
    include_str!("../../templates/run/list.js"),
    include_str!("../../templates/run/details.js"),
    include_str!("../../templates/run/view.js"),
    include_str!("../../templates/run/keys.js"),
    include_str!("../../templates/run/main.js"),
);

#[derive(Template)]
#[template(path = "run.html")]
struct Page<'a> {
    style: &'static str,
    script: &'static str,
    title: String,
    verdict: Headline,
    scenario: &'a str,
    variant: String,
    seed: String,
    facts: Vec<(&'static str, String)>,
    why: &'a str,
    violations: Vec<&'a Violation>,
    faults: Vec<Fault>,
    storm: String,
    sentence: &'a str,
    replay: &'a str,
    data: String,
}

/// How a run ended, in words and as a class of the style.
pub(super) struct Headline {
    pub word: &'static str,
    pub class: &'static str,
}

/// A line of the storm.
struct Fault {
    text: String,
    fired: String,
    effect: &'static str,
    class: &'static str,
    site: String,
}

/// The page of a run. The same run gives the same bytes.
///
/// ```
/// # mod squall {
/// #     pub use {squall_core::seed, squall_report::render};
/// #     pub use squall_engine::{Sim, run, scenario, storm};
/// # }
/// use squall::{
///     render::{Subject, page},
///     run::{Spec, Verdict},
///     scenario::{Scenario, Setup},
///     seed::Seed,
///     storm::Profile,
/// };
///
/// struct Nothing;
///
/// impl Scenario for Nothing {
///     fn name(&self) -> &str { "nothing" }
///     fn about(&self) -> &str { "an empty world" }
///     fn profile(&self) -> Profile { Profile::new(&[], &[]) }
///     fn build(&self, _: &squall::Sim, _: &Setup) {}
/// }
///
/// let spec = Spec::of(&Nothing, Seed(7)).calm();
/// let outcome = squall::run::run(&Nothing, &spec, true);
/// let replay = spec.replay_command(&Nothing);
/// let subject = Subject {
///     scenario: "nothing",
///     spec: &spec,
///     outcome: &outcome,
///     sentence: None,
///     replay: &replay,
/// };
/// assert!(page::html(&subject).contains("SURVIVED"));
/// ```
pub fn html(subject: &Subject<'_>) -> String {
    let Subject {
        scenario,
        spec,
        outcome,
        sentence,
        replay,
    } = *subject;
    let untraced = Trace::default();
    let trace = outcome.trace.as_ref().unwrap_or(&untraced);
    let links = Links::of(&trace.events);
    let source = Source::new(trace, &links, outcome.ended);
    let verdict = headline(&outcome.verdict);
    let why = match &outcome.verdict {
        Verdict::Stuck(why) | Verdict::HarnessFailed(why) => why,
        Verdict::Survived | Verdict::Violated => "",
    };
    let page = Page {
        style: include_str!("../../templates/run.css"),
        script: SCRIPT,
        title: format!("{} · {scenario} · seed {}", verdict.word, spec.seed),
        verdict,
        scenario,
        variant: variant(&spec.shape, spec.plant.as_deref()),
        seed: spec.seed.to_string(),
        facts: facts(outcome, trace),
        why,
        violations: outcome.by_severity(),
        faults: storm(outcome),
        storm: storm_in_short(outcome),
        sentence: sentence.unwrap_or_default(),
        replay,
        data: embed::json(&Drawing::of(&source, outcome)),
    };
    page.render().expect("a String takes whatever is written")
}

pub(super) fn headline(verdict: &Verdict) -> Headline {
    Headline {
        word: failure::label(verdict),
        class: match verdict {
            Verdict::Survived => "good",
            _ => "bad",
        },
    }
}

fn facts(outcome: &Outcome, trace: &Trace) -> Vec<(&'static str, String)> {
    let n = |name| outcome.counts.get(name).copied();
    let counted = ["completed", "compensated"].map(|name| n(name).map(|n| (name, count(n))));
    let mut facts = vec![
        ("events", count(trace.events.len() as u64)),
        ("virtual time", format!("{} s", outcome.ended)),
    ];
    facts.extend(counted.into_iter().flatten());
    facts.push(("hash", format!("{:016x}", outcome.hash)));
    facts
}

fn storm(outcome: &Outcome) -> Vec<Fault> {
    outcome
        .faults
        .iter()
        .map(|report| Fault {
            text: report.fault.to_string(),
            fired: report.fired.map(|at| format!("{at} s")).unwrap_or_default(),
            effect: effect(report),
            class: if report.effective { "bit" } else { "idle" },
            site: report
                .site
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        })
        .collect()
}

/// `4 faults, 3 fired, 2 effective`.
fn storm_in_short(outcome: &Outcome) -> String {
    let faults = outcome.all_faults();
    let fired = faults
        .iter()
        .filter(|report| report.fired.is_some())
        .count();
    let effective = faults.iter().filter(|report| report.effective).count();
    match faults.len() {
        0 => NO_FAULT.to_owned(),
        n => format!(
            "{}, {fired} fired, {effective} effective",
            several(n, "fault")
        ),
    }
}
