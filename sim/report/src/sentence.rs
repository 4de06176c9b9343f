//! A storm in one sentence that a person can read.

use squall_core::{
    fault::{
        Action, When,
        words::{Moment, again, ordinal, time, work},
    },
    site::{Kind, Site},
};
use squall_engine::{run::Outcome, scenario::Scenario, storm::FaultReport};

#[cfg(test)]
mod tests;

/// What happens in a run of a scenario.
pub fn of(scenario: &dyn Scenario, outcome: &Outcome) -> String {
    let told = sentence(&outcome.all_faults(), &scenario.profile().links);
    match outcome.plan.pct {
        Some(depth) => format!("{told}, where tasks run by priority (PCT of depth {depth})"),
        None => told,
    }
}

/// What happens in a storm, as it was carried out, in one sentence without a full stop. `links` say who calls whom, as
/// (caller, callee): they tell requests from answers.
///
/// ```
/// # mod squall {
/// #     pub use squall_core::{fault, site, time};
/// #     pub use {squall_engine::storm, squall_report::sentence as shrink};
/// # }
/// use squall::{
///     fault::PowerLoss,
///     shrink::sentence,
///     site::{Kind, Site},
///     storm::{Fault, FaultReport, When},
///     time::VirtualTime,
/// };
///
/// let site = Site {
///     node: "payment".into(),
///     kind: Kind::Send("order".into()),
///     label: "ann-1/payment-authorize".into(),
///     attempt: 1,
/// };
/// let action = PowerLoss::new("order", 2_000).into();
/// let report = FaultReport {
///     fault: Fault { when: When::Site(site.clone()), action },
///     fired: Some(VirtualTime(1)),
///     site: Some(site),
///     effective: true,
/// };
/// assert_eq!(
///     sentence(&[report], &[("order", "payment")]),
///     "order loses power just before payment answers it about ann-1's payment authorize; back 2 s later"
/// );
/// ```
pub fn sentence(faults: &[FaultReport], links: &[(&str, &str)]) -> String {
    let mut fired: Vec<&FaultReport> = faults.iter().filter(|r| r.fired.is_some()).collect();
    fired.sort_by_key(|report| report.fired);
    let clauses: Vec<String> = fired.iter().map(|report| clause(report, links)).collect();
    match clauses.split_last() {
        None => "it happens without any fault".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{}, and {last}", others.join(", ")),
    }
}

fn clause(report: &FaultReport, links: &[(&str, &str)]) -> String {
    let (when, action) = (&report.fault.when, &report.fault.action);
    let message = match when {
        When::Site(site) => message(site, links),
        When::Nth {
            node,
            kind: Kind::Send(peer),
            nth,
        } => {
            let direction = Direction::of(node, peer, links);
            format!("{node}'s {} {} to {peer}", ordinal(*nth), direction.noun())
        }
        _ => "a message".to_owned(),
    };
    let told = action.clause(&Moment {
        when,
        message: &message,
    });
    let moment = match (action.needs_burst() || told.tells_site, when) {
        (true, _) => String::new(),
        (false, When::AtMs(0)) => " as the storm begins".to_owned(),
        (false, When::AtMs(ms)) => format!(" {} into the storm", time(*ms)),
        (false, When::Site(site)) => format!(" {}", at_site(site, action, links)),
        (false, When::Nth { node, kind, nth }) => {
            format!(" {}", at_nth(node, kind, *nth, action, links))
        }
    };
    format!("{}{moment}{}", told.what, told.after)
}

/// Who speaks to whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
    Unknown,
}

impl Direction {
    fn of(from: &str, to: &str, links: &[(&str, &str)]) -> Self {
        match (links.contains(&(from, to)), links.contains(&(to, from))) {
            (true, false) => Direction::Request,
            (false, true) => Direction::Answer,
            _ => Direction::Unknown,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Direction::Request => "request",
            Direction::Answer => "answer",
            Direction::Unknown => "message",
        }
    }
}

/// The burst at a site: `order's request to payment (ann-1's payment authorize, the 2nd time)`.
fn message(site: &Site, links: &[(&str, &str)]) -> String {
    let Kind::Send(peer) = &site.kind else {
        return "a message".to_owned();
    };
    let noun = Direction::of(&site.node, peer, links).noun();
    let particulars: Vec<String> = work(&site.label).into_iter().chain(again(site)).collect();
    let particulars = match particulars.is_empty() {
        true => String::new(),
        false => format!(" ({})", particulars.join(", ")),
    };
    format!("{}'s {noun} to {peer}{particulars}", site.node)
}

/// The moment at a site, from the point of view of whom the action befalls.
fn at_site(site: &Site, action: &Action, links: &[(&str, &str)]) -> String {
    let befalls = action.nodes();
    let subject = |name: &str| pronoun(name, &befalls);
    let node = subject(&site.node);
    let about =
        |word: &str| work(&site.label).map_or(String::new(), |work| format!(" {word} {work}"));
    let moment = match &site.kind {
        Kind::Send(peer) => {
            let direction = Direction::of(&site.node, peer, links);
            let peer = subject(peer);
            match direction {
                Direction::Request => format!("just before {node} asks {peer}{}", about("about")),
                Direction::Answer => format!("just before {node} answers {peer}{}", about("about")),
                Direction::Unknown => {
                    format!("just before {node} sends to {peer}{}", about("for"))
                }
            }
        }
        Kind::Commit => match site.label.is_empty() {
            true => format!("right after {node} commits on its own account"),
            false => format!("right after {node} commits{}", about("for")),
        },
        Kind::Write => format!("as {node} writes to disk{}", about("for")),
        Kind::Sync => format!("just before {node} syncs its disk{}", about("for")),
        Kind::Event(event) => format!("as {node} logs \"{event}\"{}", about("for")),
        Kind::Clock => format!("just after {node} has read its clock{}", about("for")),
        Kind::Timer => format!(
            "just as {} timer runs out{}",
            whose(&site.node, &befalls),
            waited_for(&site.label)
        ),
    };
    match again(site) {
        Some(again) => format!("{moment} {again}"),
        None => moment,
    }
}

/// The moment at the n-th site of a kind.
fn at_nth(node: &str, kind: &Kind, nth: u32, action: &Action, links: &[(&str, &str)]) -> String {
    let befalls = action.nodes();
    let whose = whose(node, &befalls);
    let nth = ordinal(nth);
    match kind {
        Kind::Send(peer) => {
            let noun = Direction::of(node, peer, links).noun();
            format!(
                "just before {whose} {nth} {noun} to {}",
                pronoun(peer, &befalls)
            )
        }
        Kind::Commit => format!("right after {whose} {nth} commit"),
        Kind::Write => format!("at {whose} {nth} disk write"),
        Kind::Sync => format!("just before {whose} {nth} disk sync"),
        Kind::Event(event) => format!("at {whose} {nth} \"{event}\""),
        Kind::Timer => format!("just as {whose} {nth} timer runs out"),
        Kind::Clock => format!("just after {whose} {nth} read of the clock"),
    }
}

/// What a timer's task waited for: an operation, or something of its own that only its name tells.
fn waited_for(label: &str) -> String {
    let is_operation = label.bytes().any(|b| b.is_ascii_digit());
    match work(label) {
        Some(work) if is_operation => format!(" for {work}"),
        Some(name) => format!(" in \"{name}\""),
        None => String::new(),
    }
}

/// `its` where the sentence is about no other node.
fn whose(name: &str, befalls: &[&str]) -> String {
    match befalls == [name] {
        true => "its".to_owned(),
        false => format!("{name}'s"),
    }
}

/// A name, or `it` where the sentence is about no other node.
fn pronoun(name: &str, befalls: &[&str]) -> String {
    if befalls == [name] { "it" } else { name }.to_owned()
}
