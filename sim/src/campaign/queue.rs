//! The queue from which workers take their seeds.

use std::{
    sync::{Condvar, Mutex, MutexGuard},
    time::Instant,
};

use super::Seeds;
use crate::seed::Seed;

/// So many seeds are handed out whatever the time: a campaign that ran nothing would prove nothing.
const AT_LEAST: u64 = 10;

/// Hands seeds out in order, at most `window` ahead of what has been folded. What was handed out at any moment is a
/// prefix of the seeds.
pub(super) struct Queue {
    seeds: Seeds,
    window: u64,
    until: Option<Instant>,
    state: Mutex<State>,
    room: Condvar,
}

struct State {
    next: u64,
    folded: u64,
    closed: bool,
}

impl Queue {
    pub fn new(seeds: Seeds, window: u64, until: Option<Instant>) -> Self {
        Queue {
            seeds,
            window,
            until,
            state: Mutex::new(State {
                next: 0,
                folded: 0,
                closed: false,
            }),
            room: Condvar::new(),
        }
    }

    /// The next seed and its ordinal; waits until the folding has come near enough. `None` when there is no more.
    pub fn claim(&self) -> Option<(u64, Seed)> {
        let mut state = self.lock();
        loop {
            let seed = self.seeds.nth(state.next)?;
            if state.closed || (state.next >= AT_LEAST && self.is_late()) {
                return None;
            }
            if state.next - state.folded < self.window {
                let ordinal = state.next;
                state.next += 1;
                return Some((ordinal, seed));
            }
            state = self
                .room
                .wait(state)
                .expect("nobody panics under this lock");
        }
    }

    /// The first `count` results have been folded.
    pub fn folded(&self, count: u64) {
        self.lock().folded = count;
        self.room.notify_all();
    }

    /// Hands nothing out any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
    }

    pub fn closes_on_drop(&self) -> impl Drop + '_ {
        Closing(self)
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics under this lock")
    }
}

struct Closing<'a>(&'a Queue);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
