//! Faults of stubs: a stand-in for an external system can be made slow, or made to fail.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Code, Problem};
use crate::kit::lock;

/// The faults of a running stub, set from outside. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct StubFaults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    slow: Duration,
    errors: u64,
    felt: u64,
}

impl StubFaults {
    /// Delays each answer by this much.
    pub fn slow(&self, by: Duration) {
        lock(&self.0).slow = by;
    }

    /// Answers the next `times` requests with 503, without doing anything.
    pub fn fail(&self, times: u64) {
        lock(&self.0).errors = times;
    }

    /// Requests that were delayed or refused so far.
    pub fn felt(&self) -> u64 {
        lock(&self.0).felt
    }

    /// Delays or refuses a request; to be called before it is handled.
    pub async fn strike(&self) -> Result<(), Problem> {
        let (slow, fails) = {
            let mut state = lock(&self.0);
            let fails = state.errors > 0;
            state.errors -= u64::from(fails);
            state.felt += u64::from(fails || !state.slow.is_zero());
            (state.slow, fails)
        };
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        match fails {
            true => Err(Code::ServiceUnavailable.because("out of order; try again")),
            false => Ok(()),
        }
    }
}
