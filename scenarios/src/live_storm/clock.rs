//! The real time, as a run's own thread can wait for it.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::lock;

/// How far virtual time goes at once while it is held.
const STEP: Duration = Duration::from_millis(1);

/// How far it goes while it is not.
const STRIDE: Duration = Duration::from_millis(100);

/// A clock that a run's own thread can wait for: on that thread the machine's clocks tell virtual time.
pub(super) struct Clock {
    now: Mutex<Duration>,
    ticked: Condvar,
    /// Whether virtual time is held to it.
    pub held: AtomicBool,
}

impl Clock {
    /// Tells the real time for as long as anybody has the clock.
    pub fn start() -> Arc<Clock> {
        let clock = Arc::new(Clock {
            now: Mutex::default(),
            ticked: Condvar::new(),
            held: AtomicBool::new(true),
        });
        let told = Arc::downgrade(&clock);
        std::thread::spawn(move || {
            let began = Instant::now();
            while let Some(clock) = told.upgrade() {
                *lock(&clock.now) = began.elapsed();
                clock.ticked.notify_all();
                drop(clock);
                std::thread::sleep(STEP / 2);
            }
        });
        clock
    }

    /// How often what comes from outside is looked for, in virtual time.
    pub fn step(&self) -> Duration {
        match self.held.load(Relaxed) {
            true => STEP,
            false => STRIDE,
        }
    }

    pub fn now(&self) -> Duration {
        *lock(&self.now)
    }

    pub fn wait_for(&self, due: Duration) {
        let now = lock(&self.now);
        let waited = self.ticked.wait_while(now, |now| *now < due);
        drop(waited);
    }
}
