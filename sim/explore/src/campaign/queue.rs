//! The queue from which workers take their trials.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard},
    time::Instant,
};

use squall_engine::run::Options;

use crate::strategy::Trial;

/// How many trials are handed out whatever the time: a campaign that ran nothing would prove nothing.
const AT_LEAST: u64 = 10;

/// A trial on its way to a worker.
pub(super) struct Job {
    /// Its place among all trials of the campaign; from 0.
    pub ordinal: u64,
    pub trial: Trial,
    pub options: Options,
    /// It is run a second time and must give the same hash.
    pub watched: bool,
}

/// Hands jobs out in the order in which they were put in. What was handed out at any moment is a prefix of them.
pub(super) struct Queue {
    until: Option<Instant>,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    pub fn new(until: Option<Instant>) -> Self {
        Queue {
            until,
            state: Mutex::default(),
            more: Condvar::new(),
        }
    }

    /// Puts a job at the end.
    pub fn put(&self, job: Job) {
        self.lock().waiting.push_back(job);
        self.more.notify_one();
    }

    /// The next job; waits until there is one. `None` when there will be no more.
    pub fn claim(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            let next = state.waiting.front().map(|job| job.ordinal);
            match next {
                Some(ordinal) if ordinal >= AT_LEAST && self.is_late() => return None,
                Some(_) => return state.waiting.pop_front(),
                None if state.closed => return None,
                None => {}
            }
            state = self
                .more
                .wait(state)
                .expect("nobody panics under this lock");
        }
    }

    /// What is in it is handed out, and then no more.
    pub fn finish(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    /// Hands nothing out any more.
    pub fn close(&self) {
        self.lock().waiting.clear();
        self.finish();
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
