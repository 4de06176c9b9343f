//! Weaker faults: kinds that do less, and smaller, rounder numbers.

use squall_core::{site::Kind, time::VirtualTime};
use squall_engine::storm::{Action, Fault, When};

use super::context::Context;

/// Bursts that one fault held back, of which one alone may be enough.
const BURSTS_TRIED: usize = 4;

/// The numbers that people choose, in milliseconds.
const HUMAN_MS: &[u64] = &[
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000,
    120_000, 300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 86_400_000,
];

/// Faults of other kinds that do less than this one, the weakest first.
pub(super) fn weaker(context: &Context<'_>) -> Vec<Fault> {
    let fault = context.fault();
    let here = |action| Fault {
        when: fault.when.clone(),
        action,
    };
    let mut weaker: Vec<Fault> = single_bursts(context);
    weaker.extend(kinds(&fault.action, context.links).into_iter().map(here));
    weaker
}

/// Weaker kinds at the same moment.
pub(super) fn kinds(action: &Action, links: &[(&'static str, &'static str)]) -> Vec<Action> {
    use Action::*;
    let cut = |from: &str, to: &str, both, for_ms| Cut {
        from: from.to_owned(),
        to: to.to_owned(),
        both,
        for_ms,
    };
    match action {
        Crash { node, .. } => vec![Restart { node: node.clone() }],
        PowerLoss { node, down_ms } => vec![
            Restart { node: node.clone() },
            Crash {
                node: node.clone(),
                down_ms: *down_ms,
            },
        ],
        CrashLoop {
            node,
            times,
            down_ms,
        } => {
            let mut fewer = vec![
                Restart { node: node.clone() },
                Crash {
                    node: node.clone(),
                    down_ms: *down_ms,
                },
            ];
            fewer.extend((2..*times).map(|times| CrashLoop {
                node: node.clone(),
                times,
                down_ms: *down_ms,
            }));
            fewer
        }
        // Two processes at once, or is it enough that one follows another?
        Overlap { node, .. } => vec![Restart { node: node.clone() }],
        Isolate { node, for_ms } => links
            .iter()
            .filter(|(a, b)| a == node || b == node)
            .map(|(a, b)| cut(a, b, true, *for_ms))
            .collect(),
        Cut {
            from,
            to,
            both: true,
            for_ms,
        } => vec![cut(from, to, false, *for_ms), cut(to, from, false, *for_ms)],
        Flap {
            from,
            to,
            times,
            each_ms,
        } => {
            let mut fewer = vec![cut(from, to, true, *each_ms)];
            fewer.extend((2..*times).map(|times| Flap {
                from: from.clone(),
                to: to.clone(),
                times,
                each_ms: *each_ms,
            }));
            fewer
        }
        HangConnects { node, for_ms } => vec![Refuse {
            node: node.clone(),
            for_ms: *for_ms,
        }],
        HalfOpen { from, to } => vec![ResetConnections {
            from: from.clone(),
            to: to.clone(),
        }],
        LoseBurst {} => vec![ResetBurst {}],
        DiskFull { node, .. } => vec![WriteError { node: node.clone() }],
        Upgrade { node } => vec![Restart { node: node.clone() }],
        _ => Vec::new(),
    }
}

/// A single lost burst instead of a link that carries nothing for a while.
fn single_bursts(context: &Context<'_>) -> Vec<Fault> {
    use Action::*;
    let report = &context.observed.outcome.faults[context.index];
    let (Some(fired), action) = (report.fired, &report.fault.action) else {
        return Vec::new();
    };
    let lasted_ms = match action {
        Cut { for_ms, .. } | Isolate { for_ms, .. } => *for_ms,
        Flap { times, each_ms, .. } => u64::from(*times) * 2 * each_ms,
        HalfOpen { .. } => 60_000,
        _ => return Vec::new(),
    };
    let ended = VirtualTime(fired.0.saturating_add(lasted_ms.saturating_mul(1_000_000)));
    let concerned = |from: &str, to: &str| match action {
        Isolate { node, .. } => node == from || node == to,
        Cut {
            from: a,
            to: b,
            both,
            ..
        } => (a == from && b == to) || (*both && a == to && b == from),
        Flap { from: a, to: b, .. } | HalfOpen { from: a, to: b } => {
            (a == from && b == to) || (a == to && b == from)
        }
        _ => false,
    };
    context
        .observed
        .sites()
        .into_iter()
        .filter(|passed| (fired..=ended).contains(&passed.at))
        .filter(|passed| match &passed.site.kind {
            Kind::Send(to) => passed.fate == "held back" && concerned(&passed.site.node, to),
            _ => false,
        })
        .take(BURSTS_TRIED)
        .map(|passed| Fault {
            when: When::Site(passed.site),
            action: LoseBurst {},
        })
        .collect()
}

/// The same kind of fault with a smaller or rounder number, the weakest first.
pub(super) fn smaller(context: &Context<'_>) -> Vec<Fault> {
    let fault = context.fault();
    smaller_actions(&fault.action)
        .into_iter()
        .map(|action| Fault {
            when: fault.when.clone(),
            action,
        })
        .collect()
}

pub(super) fn smaller_actions(action: &Action) -> Vec<Action> {
    let mut smaller = Vec::new();
    for place in 0..numbers(&mut action.clone()).len() {
        let value = numbers(&mut action.clone())[place].get();
        let weaker = match action {
            Action::Trickle { .. } if place == 0 => wider(value),
            _ => down_to_human(value),
        };
        smaller.extend(weaker.into_iter().map(|value| {
            let mut action = action.clone();
            numbers(&mut action)[place].set(value);
            action
        }));
    }
    smaller
}

/// Human numbers below `value`, and at last `value` with fewer digits.
fn down_to_human(value: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = HUMAN_MS.iter().copied().filter(|n| *n < value).collect();
    for digits in [1, 2] {
        let rounded = round_down(value, digits);
        if rounded < value && rounded > 0 && !numbers.contains(&rounded) {
            numbers.push(rounded);
        }
    }
    numbers
}

/// Human numbers above `value` bytes a second, the widest first.
fn wider(value: u64) -> Vec<u64> {
    let human = [50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100];
    human.into_iter().filter(|n| *n > value).collect()
}

/// The number with all but its first digits set to 0.
pub(super) fn round_down(value: u64, digits: u32) -> u64 {
    let length = value.checked_ilog10().map_or(1, |log| log + 1);
    let unit = 10u64.pow(length.saturating_sub(digits));
    value / unit * unit
}

/// A number of an action that can be made smaller.
enum Number<'a> {
    Ms(&'a mut u64),
    Times(&'a mut u32),
    Percent(&'a mut u8),
    Signed(&'a mut i64),
}

impl Number<'_> {
    fn get(&self) -> u64 {
        match self {
            Number::Ms(n) => **n,
            Number::Times(n) => u64::from(**n),
            Number::Percent(n) => u64::from(**n),
            Number::Signed(n) => n.unsigned_abs(),
        }
    }

    fn set(&mut self, value: u64) {
        match self {
            Number::Ms(n) => **n = value,
            Number::Times(n) => **n = value as u32,
            Number::Percent(n) => **n = value as u8,
            Number::Signed(n) => **n = value as i64 * n.signum(),
        }
    }
}

/// How long comes last: what is done shorter is often better understood when it is done less first.
fn numbers(action: &mut Action) -> Vec<Number<'_>> {
    use Action::*;
    use Number::*;
    match action {
        Crash { down_ms: n, .. }
        | PowerLoss { down_ms: n, .. }
        | Pause { for_ms: n, .. }
        | Overlap { for_ms: n, .. }
        | Cut { for_ms: n, .. }
        | Isolate { for_ms: n, .. }
        | Refuse { for_ms: n, .. }
        | HangConnects { for_ms: n, .. }
        | DelayBurst { by_ms: n }
        | DuplicateBurst { after_ms: n }
        | UnreadableRow { for_ms: n, .. }
        | DiskFull { for_ms: n, .. } => vec![Ms(n)],
        CrashLoop { times, down_ms, .. } => vec![Times(times), Ms(down_ms)],
        Flap { times, each_ms, .. } => vec![Times(times), Ms(each_ms)],
        SlowNode {
            wait_ms: n, for_ms, ..
        }
        | Latency {
            extra_ms: n,
            for_ms,
            ..
        }
        | SlowDisk {
            extra_ms: n,
            for_ms,
            ..
        }
        | Trickle {
            bytes_per_s: n,
            for_ms,
            ..
        }
        | Custom {
            amount: n, for_ms, ..
        } => vec![Ms(n), Ms(for_ms)],
        Loss {
            percent, for_ms, ..
        } => vec![Percent(percent), Ms(for_ms)],
        ClockJump { by_ms, .. } => vec![Signed(by_ms)],
        ClockDrift { ppm, for_ms, .. } => vec![Signed(ppm), Ms(for_ms)],
        Restart { .. }
        | ResetConnections { .. }
        | HalfOpen { .. }
        | LoseBurst {}
        | ResetBurst {}
        | SyncError { .. }
        | WriteError { .. }
        | SectorError { .. }
        | Upgrade { .. } => Vec::new(),
    }
}
