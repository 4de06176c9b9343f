//! Virtual time held to the real one: until all is quiet. What the invariants still wait for then would be waited for in
//! vain, for up to half an hour, and so it passes at once.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall::{Sim, time::VirtualTime};

use super::system::System;

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
