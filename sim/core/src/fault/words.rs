//! Faults in sentences for people.

use super::{FOR_EVER_MS, When};
use crate::site::{Kind, SAYS, Site};

/// What a fault's sentence may speak of.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// When it happens.
    pub when: &'a When,
    /// The message that is sent then: `order's request to payment (ann-1's payment authorize)`.
    pub message: &'a str,
}

/// A fault in words, without its moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clause {
    /// What comes before the moment.
    pub what: String,
    /// What comes after the moment.
    pub after: String,
    /// The site is told already.
    pub tells_site: bool,
}

impl From<String> for Clause {
    fn from(what: String) -> Self {
        Clause {
            what,
            ..Clause::default()
        }
    }
}

/// Something that goes on for a while: the moment is that of its beginning.
pub(super) fn lasting(what: String, for_ms: u64) -> String {
    format!("{what} for {}, beginning", time(for_ms))
}

/// When a node that died is back.
pub(super) fn back(down_ms: u64, time: fn(u64) -> String) -> String {
    match down_ms {
        FOR_EVER_MS.. => " and stays down".to_owned(),
        _ => format!("; back {} later", time(down_ms)),
    }
}

/// A disk error, and which write or sync it is where it is aimed at one: `its 6th write`, `the 1st sync for ann-1`.
pub(super) fn disk_error(of: &str, kind: &Kind, noun: &str, when: &When) -> Clause {
    let which = match when {
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
    };
    let tells_site = which.is_some();
    let which = which.unwrap_or_else(|| format!("the next {noun}"));
    Clause {
        what: format!("{of}'s disk fails {which}"),
        after: String::new(),
        tells_site,
    }
}

/// `the 2nd time`, unless it is the first.
pub fn again(site: &Site) -> Option<String> {
    (site.attempt > 1).then(|| format!("the {} time", ordinal(site.attempt)))
}

/// On whose behalf, in words: `ann-1/payment-authorize` is `ann-1's payment authorize`. `None` without a label.
pub fn work(label: &str) -> Option<String> {
    let is_connection = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match label.split_once('/') {
        _ if label.is_empty() => None,
        _ if label.starts_with(SAYS) => Some(format!("\"{}\"", &label[SAYS.len()..])),
        Some((op, step)) => Some(format!("{op}'s {}", step.replace(['-', '_', '/'], " "))),
        None => match label.strip_prefix('c') {
            Some(ordinal) if is_connection(ordinal) => Some(format!("connection {ordinal}")),
            _ => Some(label.to_owned()),
        },
    }
}

/// `1st`, `2nd`, `11th`.
pub fn ordinal(n: u32) -> String {
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
pub fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        FOR_EVER_MS.. => seconds(ms),
        _ if ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ => seconds(ms),
    }
}

/// Virtual milliseconds in seconds: `0.25 s`.
pub(super) fn seconds(ms: u64) -> String {
    match ms {
        FOR_EVER_MS.. => "ever".to_owned(),
        _ => format!("{} s", ms as f64 / 1000.0),
    }
}

/// Parts in a million for people.
pub(super) fn share(ppm: u64) -> String {
    if ppm < 1_000 {
        format!("{ppm} ppm")
    } else {
        format!("{} %", ppm as f64 / 10_000.0)
    }
}
