//! How a stand-in for somebody else's system behaves: slow, failing, or well.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Code, Problem};

/// A knob that is turned from outside while the stand-in runs. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Temper(Arc<Mutex<Mood>>);

#[derive(Debug, Default)]
struct Mood {
    slow: Duration,
    errors: u64,
    felt: u64,
}

impl Temper {
    /// Every answer takes this much longer.
    pub fn slow(&self, by: Duration) {
        self.mood().slow = by;
    }

    /// So many of the next requests are answered 503, with nothing done.
    pub fn fail(&self, times: u64) {
        self.mood().errors = times;
    }

    /// How many requests have felt it.
    pub fn felt(&self) -> u64 {
        self.mood().felt
    }

    /// What a request has to bear before it is handled.
    pub async fn bear(&self) -> Result<(), Problem> {
        let (slow, fails) = {
            let mut mood = self.mood();
            let fails = mood.errors > 0;
            mood.errors -= u64::from(fails);
            mood.felt += u64::from(fails || !mood.slow.is_zero());
            (mood.slow, fails)
        };
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        match fails {
            true => Err(Code::ServiceUnavailable.because("out of order; try again")),
            false => Ok(()),
        }
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
