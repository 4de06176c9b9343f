//! The faults that a plan has in store.

use std::{sync::Mutex, time::Duration};

use serde_json::Value;
use squall::storm::{Fault, Plan, When};

use crate::lock;

/// The faults of the storm.
#[derive(Default)]
pub(super) struct Weather {
    pub faults: Mutex<Vec<Fault>>,
    /// When the last of them ends, once the storm has begun.
    ends: Mutex<Option<Duration>>,
}

/// The longest part of a storm that comes at a site and not at a time.
const AT_SITES: Duration = Duration::from_secs(10);

impl Weather {
    pub fn plan(&self, plan: &Plan) {
        *lock(&self.faults) = plan.faults.clone();
    }

    /// When the storm will be over; never, before it has begun.
    pub fn ends(&self) -> Duration {
        lock(&self.ends).unwrap_or(Duration::MAX)
    }

    pub fn begins(&self, now: Duration) {
        let lasts = |fault: &Fault| {
            let what = told(fault);
            let number = |name: &str| what[name].as_u64().unwrap_or_default();
            let at = match fault.when {
                When::AtMs(at) => Duration::from_millis(at),
                _ => AT_SITES,
            };
            let each = number("down_ms").max(number("each_ms")) * 2 * number("times").max(1);
            at + Duration::from_millis(number("for_ms") + each)
        };
        let faults = lock(&self.faults);
        let longest = faults.iter().map(lasts).max().unwrap_or_default();
        *lock(&self.ends) = Some(now + longest);
    }
}

/// A fault as a plan tells it.
pub(super) fn told(fault: &Fault) -> Value {
    serde_json::to_value(&fault.action).expect("a plan is JSON")
}
