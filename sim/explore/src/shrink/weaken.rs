//! Weaker faults: kinds that do less, and smaller, rounder numbers.

use squall_core::{
    event::Fate,
    fault::{Action, Fault, LoseBurst, Number, When},
    site::Kind,
    time::VirtualTime,
};

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
    let here = |action| Fault::new(fault.when.clone(), action);
    let mut weaker: Vec<Fault> = single_bursts(context);
    let links = context.links;
    weaker.extend(fault.action.weaker(links).into_iter().map(here));
    weaker
}

/// A single lost burst instead of a link that carries nothing for a while.
fn single_bursts(context: &Context<'_>) -> Vec<Fault> {
    let report = &context.observed.outcome.faults[context.index];
    let action = &report.fault.action;
    let (Some(fired), Some(lasted_ms)) = (report.fired, action.lasts_ms()) else {
        return Vec::new();
    };
    let ended = VirtualTime(fired.0.saturating_add(lasted_ms.saturating_mul(1_000_000)));
    context
        .observed
        .sites()
        .into_iter()
        .filter(|passed| (fired..=ended).contains(&passed.at))
        .filter(|passed| match &passed.site.kind {
            Kind::Send(to) => {
                passed.fate == Some(Fate::HeldBack) && action.silences(&passed.site.node, to)
            }
            _ => false,
        })
        .take(BURSTS_TRIED)
        .map(|passed| Fault::new(When::Site(passed.site), LoseBurst {}))
        .collect()
}

/// The same kind of fault with a smaller or rounder number, the weakest first.
pub(super) fn smaller(context: &Context<'_>) -> Vec<Fault> {
    let fault = context.fault();
    smaller_actions(&fault.action)
        .into_iter()
        .map(|action| Fault::new(fault.when.clone(), action))
        .collect()
}

pub(super) fn smaller_actions(action: &Action) -> Vec<Action> {
    let mut smaller = Vec::new();
    for place in 0..action.clone().numbers().len() {
        let weaker = weaker_numbers(&action.clone().numbers()[place]);
        smaller.extend(weaker.into_iter().map(|value| {
            let mut action = action.clone();
            action.numbers()[place].set(value);
            action
        }));
    }
    smaller
}

fn weaker_numbers(number: &Number<'_>) -> Vec<u64> {
    match number {
        Number::Rate(_) => wider(number.get()),
        Number::Amount(_) | Number::Times(_) | Number::Percent(_) | Number::Signed(_) => {
            down_to_human(number.get())
        }
    }
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
