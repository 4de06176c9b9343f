//! Circuit breaker ([Nygard, *Release It!*](https://martinfowler.com/bliki/CircuitBreaker.html)): calls to a peer that
//! keeps failing are refused at once, until one trial call succeeds.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::PeerPolicy;
use crate::kit::lock;

pub(super) struct Breaker {
    threshold: f64,
    window: usize,
    open_for: Duration,
    lets_all_through: bool,
    state: Mutex<State>,
}

enum State {
    /// The last results, newest last: whether each failed. It opens only on a full window.
    Closed(VecDeque<bool>),
    Open {
        until: Instant,
    },
    /// One trial call is under way.
    HalfOpen,
}

/// Leave to make one call. Dropped without a result (its caller was cancelled), it counts for nothing.
pub(super) struct Admission<'b> {
    breaker: &'b Breaker,
    trial: bool,
}

impl Breaker {
    pub(super) fn new(policy: &PeerPolicy) -> Self {
        Breaker {
            threshold: policy.breaker_threshold,
            window: policy.breaker_window.max(1),
            open_for: policy.breaker_open,
            lets_all_through: policy.breaker_lets_all_through,
            state: Mutex::new(State::Closed(VecDeque::new())),
        }
    }

    /// Leave to call, or how long none will be given.
    pub(super) fn admit(&self) -> Result<Admission<'_>, Duration> {
        let mut state = lock(&self.state);
        let trial = match *state {
            State::Closed(_) => false,
            State::Open { until } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                *state = State::HalfOpen;
                true
            }
            State::HalfOpen if self.lets_all_through => true,
            State::HalfOpen => return Err(Duration::ZERO),
        };
        drop(state);
        Ok(Admission {
            breaker: self,
            trial,
        })
    }
}

impl Admission<'_> {
    /// Ends the call; true if that opened the breaker.
    pub(super) fn record(mut self, failed: bool) -> bool {
        let breaker = self.breaker;
        let mut state = lock(&breaker.state);
        let open = State::Open {
            until: Instant::now() + breaker.open_for,
        };
        if std::mem::take(&mut self.trial) {
            *state = if failed {
                open
            } else {
                State::Closed(VecDeque::new())
            };
            return failed;
        }
        // Of a call that began before the breaker opened, nothing is to be learnt.
        let State::Closed(last) = &mut *state else {
            return false;
        };
        last.push_back(failed);
        if last.len() > breaker.window {
            last.pop_front();
        }
        let failures = last.iter().filter(|failed| **failed).count();
        // A call that went well says nothing against the peer, whatever is still remembered of earlier ones.
        let opens = failed
            && last.len() == breaker.window
            && failures as f64 >= breaker.threshold * breaker.window as f64;
        if opens {
            *state = open;
        }
        opens
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.trial {
            // The next caller makes the trial instead.
            let until = Instant::now();
            *lock(&self.breaker.state) = State::Open { until };
        }
    }
}
