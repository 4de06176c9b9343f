//! Virtual time held to the real one.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use squall::{Sim, time::VirtualTime};

use super::system::System;
use crate::lock;

/// How far virtual time goes at once.
const STEP: Duration = Duration::from_millis(1);

/// A clock that a run's own thread can wait for: on that thread the machine's clocks tell virtual time.
#[derive(Default)]
pub(super) struct Clock {
    now: Mutex<Duration>,
    ticked: Condvar,
}

impl Clock {
    /// Tells the real time for as long as anybody has the clock.
    pub fn start() -> Arc<Clock> {
        let clock = Arc::new(Clock::default());
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
            let began = system.clock.now().saturating_sub(since(node.now()));
            loop {
                node.sleep(STEP).await;
                system.clock.wait_for(began + since(node.now()));
                system.told.follow();
            }
            #[allow(unreachable_code)]
            Ok::<_, std::io::Error>(())
        }
    });
}
