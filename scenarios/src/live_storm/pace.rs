//! Virtual time held to the real one: until all is quiet. What the invariants still wait for then would be waited for in
//! vain, for up to half an hour, and so it passes at once.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use squall::{Sim, time::VirtualTime};

use super::system::System;
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
    held: AtomicBool,
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

    fn wait_for(&self, due: Duration) {
        let now = lock(&self.now);
        let waited = self.ticked.wait_while(now, |now| *now < due);
        drop(waited);
    }
}

/// Holds the time of this world to the real one, and follows what the processes commit.
pub(super) fn hold(sim: &Sim, system: &Arc<System>) {
    let system = system.clone();
    sim.node("real-time", move |node| {
        let system = system.clone();
        async move {
            let since = |time: VirtualTime| time.since(VirtualTime(0));
            let due = |began: Duration, now: VirtualTime| began.saturating_add(since(now));
            let mut began = system.clock.now().saturating_sub(since(node.now()));
            let mut busy = system.clock.now();
            loop {
                node.sleep(system.clock.step()).await;
                let now = system.clock.now();
                if system.told.follow() || system.is_asked() || now < system.weather.ends() {
                    busy = now;
                }
                let held = now.saturating_sub(busy) < system.quiet;
                system.clock.held.store(held, Relaxed);
                match held {
                    true => system.clock.wait_for(due(began, node.now())),
                    false => began = now.saturating_sub(since(node.now())),
                }
            }
            #[allow(unreachable_code)]
            Ok::<_, std::io::Error>(())
        }
    });
}
