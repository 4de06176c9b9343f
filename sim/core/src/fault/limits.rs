//! How strong a fault may be, where kinds share it.

/// Milliseconds of a day, the longest time of a storm.
pub(super) const DAY_MS: u64 = 86_400_000;

/// The duration of a fault that lasts until it is ended by hand: a hundred years. No plan has one.
pub const FOR_EVER_MS: u64 = 36_500 * DAY_MS;

/// A fault that bites later, if at all (the next write fails), is given up after this long.
pub(super) const LIES_IN_WAIT_MS: u64 = 60_000;

/// Whether something holds, with the reason why it has to.
pub(super) fn require(holds: bool, else_: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(else_) }
}

/// A time that may be 0.
pub(super) fn time(ms: u64) -> Result<(), &'static str> {
    require(ms <= DAY_MS, "no time is longer than a day")
}

/// How long a fault goes on.
pub(super) fn lasts(ms: u64) -> Result<(), &'static str> {
    time(ms)?;
    require(ms > 0, "it would end as it begins: at least 1 ms")
}

/// How much slower something is, ...
pub(super) fn slows(ms: u64) -> Result<(), &'static str> {
    time(ms)?;
    require(ms > 0, "nothing would be slower: at least 1 ms")
}

/// ... and for how long.
pub(super) fn slows_for(extra_ms: u64, for_ms: u64) -> Result<(), &'static str> {
    time(extra_ms)?;
    lasts(for_ms)?;
    slows(extra_ms)
}

/// How often something happens.
pub(super) fn recurs(times: u32) -> Result<(), &'static str> {
    require(times > 0, "it would not happen: at least once")?;
    require(times <= 1_000, "it recurs at most 1000 times")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::fault::{Action, FaultKind, tests::drawn};

    /// Members that may be 0: a process that dies loses its memory however soon it is back, a second copy is one
    /// however soon it comes, and what the rest count is no strength.
    const MAY_BE_0: [(FaultKind, &str); 8] = [
        (FaultKind::Crash, "down_ms"),
        (FaultKind::PowerLoss, "down_ms"),
        (FaultKind::CrashLoop, "down_ms"),
        (FaultKind::DuplicateBurst, "after_ms"),
        (FaultKind::SectorError, "choice"),
        (FaultKind::UnreadableRow, "choice"),
        (FaultKind::StaleNames, "choice"),
        (FaultKind::Custom, "amount"),
    ];

    #[test]
    fn a_fault_without_strength_is_refused_whatever_its_kind() {
        for &kind in FaultKind::ALL {
            let action = &drawn(kind)[0].action;
            let Ok(Value::Object(members)) = serde_json::to_value(action) else {
                panic!("{action} is an object");
            };
            for (name, _) in members.iter().filter(|(_, value)| value.is_number()) {
                let with = |n: u64| {
                    let mut members = members.clone();
                    members.insert(name.clone(), n.into());
                    let action: Action = serde_json::from_value(members.into()).expect("a fault");
                    action.check().is_ok()
                };
                let may_be_0 = MAY_BE_0.contains(&(kind, name));
                assert_eq!((with(0), with(1)), (may_be_0, true), "{kind} with {name}");
            }
        }
    }
}
