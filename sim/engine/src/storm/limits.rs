//! How strong a fault may be: no stronger than anything that happens, and not so weak that nothing does.

use super::Action;

/// Milliseconds of a day, the longest time of a storm.
const DAY_MS: u64 = 86_400_000;

impl Action {
    /// The limit that it goes beyond, at either end.
    pub(super) fn beyond(&self) -> Option<&'static str> {
        use Action::*;
        let times = match self {
            Crash { down_ms, .. } | PowerLoss { down_ms, .. } => [*down_ms, 0],
            CrashLoop { down_ms, .. } => [*down_ms, 0],
            Flap { each_ms, .. } => [*each_ms, 0],
            DelayBurst { by_ms } => [*by_ms, 0],
            DuplicateBurst { after_ms } => [*after_ms, 0],
            SlowNode {
                wait_ms, for_ms, ..
            } => [*wait_ms, *for_ms],
            Latency {
                extra_ms, for_ms, ..
            }
            | SlowDisk {
                extra_ms, for_ms, ..
            } => [*extra_ms, *for_ms],
            Pause { for_ms, .. }
            | Overlap { for_ms, .. }
            | Cut { for_ms, .. }
            | Isolate { for_ms, .. }
            | Loss { for_ms, .. }
            | Trickle { for_ms, .. }
            | Refuse { for_ms, .. }
            | HangConnects { for_ms, .. }
            | DiskFull { for_ms, .. }
            | ClockDrift { for_ms, .. }
            | UnreadableRow { for_ms, .. }
            | Custom { for_ms, .. } => [*for_ms, 0],
            _ => [0, 0],
        };
        if times.iter().any(|ms| *ms > DAY_MS) {
            return Some("no time is longer than a day");
        }
        if let Some(nothing) = self.does_nothing() {
            return Some(nothing);
        }
        match self {
            CrashLoop { times, .. } | Flap { times, .. } if *times > 1_000 => {
                Some("it recurs at most 1000 times")
            }
            Loss { percent, .. } if *percent > 99 => {
                Some("something gets through: at most 99 percent, or say \"cut\"")
            }
            Trickle { bytes_per_s: 0, .. } => Some("nothing would pass: say \"cut\""),
            ClockJump { by_ms, .. } if by_ms.unsigned_abs() > 36_500 * DAY_MS => {
                Some("a clock jumps by at most a hundred years")
            }
            ClockDrift { ppm, .. } if ppm.unsigned_abs() > 1_000_000 => {
                Some("a clock drifts by at most 1000000 ppm")
            }
            _ => None,
        }
    }

    /// Why it would change nothing, if it would: what has no strength must not pass for something that was survived.
    fn does_nothing(&self) -> Option<&'static str> {
        use Action::*;
        match self {
            Pause { for_ms: 0, .. }
            | Overlap { for_ms: 0, .. }
            | SlowNode { for_ms: 0, .. }
            | Cut { for_ms: 0, .. }
            | Isolate { for_ms: 0, .. }
            | Flap { each_ms: 0, .. }
            | Latency { for_ms: 0, .. }
            | Loss { for_ms: 0, .. }
            | Trickle { for_ms: 0, .. }
            | Refuse { for_ms: 0, .. }
            | HangConnects { for_ms: 0, .. }
            | SlowDisk { for_ms: 0, .. }
            | DiskFull { for_ms: 0, .. }
            | ClockDrift { for_ms: 0, .. }
            | UnreadableRow { for_ms: 0, .. }
            | Custom { for_ms: 0, .. } => Some("it would end as it begins: at least 1 ms"),
            SlowNode { wait_ms: 0, .. }
            | Latency { extra_ms: 0, .. }
            | DelayBurst { by_ms: 0 }
            | SlowDisk { extra_ms: 0, .. } => Some("nothing would be slower: at least 1 ms"),
            CrashLoop { times: 0, .. } | Flap { times: 0, .. } => {
                Some("it would not happen: at least once")
            }
            Loss { percent: 0, .. } => Some("nothing would be lost: at least 1 percent"),
            ClockJump { by_ms: 0, .. } => Some("the clock would not move: at least 1 ms"),
            ClockDrift { ppm: 0, .. } => Some("the clock would not drift: at least 1 ppm"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::storm::FaultKind;

    /// Members that may be 0: a process that dies loses its memory however soon it is back, a second copy is one
    /// however soon it comes, and what the rest count is no strength.
    const MAY_BE_0: [(FaultKind, &str); 7] = [
        (FaultKind::Crash, "down_ms"),
        (FaultKind::PowerLoss, "down_ms"),
        (FaultKind::CrashLoop, "down_ms"),
        (FaultKind::DuplicateBurst, "after_ms"),
        (FaultKind::SectorError, "choice"),
        (FaultKind::UnreadableRow, "choice"),
        (FaultKind::Custom, "amount"),
    ];

    /// An action of this kind of which all numbers are 1.
    fn of(kind: FaultKind) -> Action {
        let members = [
            "down_ms",
            "for_ms",
            "times",
            "wait_ms",
            "each_ms",
            "extra_ms",
            "percent",
            "bytes_per_s",
            "by_ms",
            "after_ms",
            "choice",
            "ppm",
            "amount",
        ];
        let mut action = json!({
            "do": kind.name(), "node": "a", "from": "a", "to": "b", "both": true, "name": "own",
        });
        for member in members {
            action[member] = 1.into();
        }
        loop {
            match serde_json::from_value(action.clone()) {
                Ok(action) => return action,
                // "unknown field `both`, expected ..."
                Err(error) => {
                    let text = error.to_string();
                    let unknown = text
                        .split('`')
                        .nth(1)
                        .expect("it names the field")
                        .to_owned();
                    let members = action.as_object_mut().expect("it is an object");
                    assert!(members.remove(&unknown).is_some(), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_fault_without_strength_is_refused_whatever_its_kind() {
        for &kind in FaultKind::ALL {
            let action = of(kind);
            assert_eq!(action.beyond(), None, "{action}");
            let Ok(Value::Object(members)) = serde_json::to_value(&action) else {
                panic!("{action} is an object");
            };
            for member in members.iter().filter(|(_, value)| value.is_number()) {
                let mut nothing = members.clone();
                nothing.insert(member.0.clone(), 0.into());
                let nothing: Action =
                    serde_json::from_value(nothing.into()).expect("0 is a number");
                let refused = nothing.beyond().is_some();
                let may_be_0 = MAY_BE_0.contains(&(kind, member.0));
                assert_eq!(refused, !may_be_0, "{kind} with {} 0", member.0);
            }
        }
    }
}
