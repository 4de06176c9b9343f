//! A storm in one sentence that a person can read.

use squall_core::site::{Kind, Site};
use squall_engine::storm::{Action, FaultReport, When, rows_in_words};

/// What happens in a storm, as it was carried out, in one sentence without a full stop. `links` say who calls whom, as
/// (caller, callee): they tell requests from answers.
///
/// ```
/// # mod squall {
/// #     pub use squall_core::{site, time};
/// #     pub use {squall_engine::storm, squall_explore::shrink};
/// # }
/// use squall::{
///     shrink::sentence,
///     site::{Kind, Site},
///     storm::{Action, Fault, FaultReport, When},
///     time::VirtualTime,
/// };
///
/// let site = Site {
///     node: "payment".into(),
///     kind: Kind::Send("order".into()),
///     label: "ann-1/payment-authorize".into(),
///     attempt: 1,
/// };
/// let action = Action::PowerLoss { node: "order".into(), down_ms: 2_000 };
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
    let told = told(action, &message, when);
    let moment = match (action.needs_burst() || told.is_at_site, when) {
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

/// An action in words.
struct Told {
    what: String,
    /// What comes after the moment.
    after: String,
    /// The site is told already.
    is_at_site: bool,
}

fn told(action: &Action, message: &str, when: &When) -> Told {
    use Action::*;
    let mut after = String::new();
    let mut is_at_site = false;
    let what = match action {
        Crash { node, down_ms } => {
            after = format!("; back {} later", time(*down_ms));
            format!("{node} crashes")
        }
        PowerLoss { node, down_ms } => {
            after = format!("; back {} later", time(*down_ms));
            format!("{node} loses power")
        }
        CrashLoop {
            node,
            times,
            down_ms,
        } => {
            after = format!("; each time back {} later", time(*down_ms));
            format!("{node} crashes {times} times, the first time")
        }
        Pause { node, for_ms } => {
            format!("{node} stands still for {}, beginning", time(*for_ms))
        }
        Restart { node } => format!("{node} is restarted"),
        Overlap { node, for_ms } => format!(
            "{node} is taken for dead and its old process lives on for {} while a new one runs, beginning",
            time(*for_ms)
        ),
        SlowNode {
            node,
            wait_ms,
            for_ms,
        } => format!(
            "{node} is slow (each turn waits {}) for {}, beginning",
            time(*wait_ms),
            time(*for_ms)
        ),
        Cut {
            from,
            to,
            both: true,
            for_ms,
        } => format!(
            "nothing passes between {from} and {to} for {}, beginning",
            time(*for_ms)
        ),
        Cut {
            from, to, for_ms, ..
        } => format!(
            "nothing from {from} reaches {to} for {}, beginning",
            time(*for_ms)
        ),
        Isolate { node, for_ms } => {
            format!(
                "{node} is cut off from all others for {}, beginning",
                time(*for_ms)
            )
        }
        Flap {
            from,
            to,
            times,
            each_ms,
        } => format!(
            "the link between {from} and {to} fails {times} times for {}, the first time",
            time(*each_ms)
        ),
        Latency {
            from,
            to,
            extra_ms,
            for_ms,
        } => format!(
            "everything from {from} to {to} takes {} longer for {}, beginning",
            time(*extra_ms),
            time(*for_ms)
        ),
        Loss {
            from,
            to,
            percent,
            for_ms,
        } => format!(
            "{percent} % of the packets from {from} to {to} are lost for {}, beginning",
            time(*for_ms)
        ),
        Trickle {
            from,
            to,
            bytes_per_s,
            for_ms,
        } => format!(
            "no more than {bytes_per_s} bytes a second pass from {from} to {to} for {}, beginning",
            time(*for_ms)
        ),
        Refuse { node, for_ms } => {
            format!(
                "{node} refuses connections for {}, beginning",
                time(*for_ms)
            )
        }
        HangConnects { node, for_ms } => {
            format!("connects to {node} hang for {}, beginning", time(*for_ms))
        }
        ResetConnections { from, to } => {
            format!("all connections between {from} and {to} are reset")
        }
        HalfOpen { from, to } => {
            format!("all connections between {from} and {to} silently die")
        }
        LoseBurst {} => format!("{message} is lost, and its connection is dead"),
        ResetBurst {} => format!("a reset of the connection comes in place of {message}"),
        DelayBurst { by_ms } => format!("{message} is {} late", time(*by_ms)),
        DuplicateBurst { after_ms } => format!("{message} comes again {} later", time(*after_ms)),
        SlowDisk {
            node,
            extra_ms,
            for_ms,
        } => format!(
            "each commit of {node} takes {} longer for {}, beginning",
            time(*extra_ms),
            time(*for_ms)
        ),
        SyncError { node } | WriteError { node } => {
            let (kind, noun) = match action {
                SyncError { .. } => (Kind::Sync, "sync"),
                _ => (Kind::Write, "write"),
            };
            let which = which(node, &kind, noun, when);
            is_at_site = which.is_some();
            let which = which.unwrap_or_else(|| format!("the next {noun}"));
            format!("{node}'s disk fails {which}")
        }
        DiskFull { node, for_ms } => {
            format!("{node}'s disk is full for {}, beginning", time(*for_ms))
        }
        SectorError { node, .. } => format!("a sector of {node}'s disk becomes unreadable"),
        ClockJump { node, by_ms } => format!(
            "{node}'s clock jumps {} {}",
            time(by_ms.unsigned_abs()),
            if *by_ms < 0 { "back" } else { "ahead" }
        ),
        ClockDrift { node, ppm, for_ms } => format!(
            "{node}'s clock runs {} {} for {}, beginning",
            share(ppm.unsigned_abs()),
            if *ppm < 0 { "slow" } else { "fast" },
            time(*for_ms)
        ),
        UnreadableRow {
            node,
            table,
            key,
            for_ms,
            ..
        } => format!(
            "{} of {node} can't be read for {}, beginning",
            rows_in_words(table.as_deref(), key.as_deref()),
            time(*for_ms)
        ),
        Custom {
            name,
            node,
            amount,
            for_ms,
        } => format!(
            "{node} is struck by {name} ({amount}) for {}, beginning",
            time(*for_ms)
        ),
        Upgrade { node } => format!("{node} is restarted as its other build"),
    };
    Told {
        what,
        after,
        is_at_site,
    }
}

/// Which write or sync it is, where a disk error is aimed at one: `its 6th write`, `the 1st sync for ann-1`.
fn which(of: &str, kind: &Kind, noun: &str, when: &When) -> Option<String> {
    match when {
        When::Site(site) if site.node == of && site.kind == *kind => {
            let nth = ordinal(site.attempt);
            Some(match work(&site.label) {
                Some(work) => format!("the {nth} {noun} for {work}"),
                None => format!("the {nth} {noun} of its own"),
            })
        }
        When::Nth {
            node,
            kind: at,
            nth,
        } if node == of && at == kind => Some(format!("its {} {noun}", ordinal(*nth))),
        _ => None,
    }
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

/// `its` where the sentence is about nobody else.
fn whose(name: &str, befalls: &[&str]) -> String {
    match befalls == [name] {
        true => "its".to_owned(),
        false => format!("{name}'s"),
    }
}

/// A name, or `it` where the sentence is about nobody else.
fn pronoun(name: &str, befalls: &[&str]) -> String {
    if befalls == [name] { "it" } else { name }.to_owned()
}

/// `the 2nd time`, unless it is the first.
fn again(site: &Site) -> Option<String> {
    (site.attempt > 1).then(|| format!("the {} time", ordinal(site.attempt)))
}

/// On whose behalf, in words: `ann-1/payment-authorize` is `ann-1's payment authorize`. None if nobody said.
fn work(label: &str) -> Option<String> {
    let is_connection = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match label.split_once('/') {
        _ if label.is_empty() => None,
        Some((op, step)) => Some(format!("{op}'s {}", step.replace(['-', '_', '/'], " "))),
        None => match label.strip_prefix('c') {
            Some(ordinal) if is_connection(ordinal) => Some(format!("connection {ordinal}")),
            _ => Some(label.to_owned()),
        },
    }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

/// Virtual milliseconds for people: `250 ms`, `1.5 s`, `2 min`, `1 h`.
pub(crate) fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        _ if ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => format!("{} s", ms as f64 / 1000.0),
    }
}

/// Parts in a million for people.
fn share(ppm: u64) -> String {
    if ppm < 1_000 {
        format!("{ppm} ppm")
    } else {
        format!("{} %", ppm as f64 / 10_000.0)
    }
}
