//! The weather of a run, for checks that hold a system to more while nothing disturbs it.

use std::{
    fmt,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall_core::time::VirtualTime;

use crate::world::{World, running};

/// What has disturbed a run so far. Cheap to clone; checks may keep it.
#[derive(Clone)]
pub struct Weather {
    world: Weak<World>,
    is_calm: bool,
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut weather = f.debug_struct("Weather");
        weather.field("is_calm", &self.is_calm);
        weather.finish_non_exhaustive()
    }
}

impl Weather {
    pub(super) fn new(world: &Arc<World>, is_calm: bool) -> Self {
        Weather {
            world: Arc::downgrade(world),
            is_calm,
        }
    }

    /// The present instant.
    pub fn now(&self) -> VirtualTime {
        self.world
            .upgrade()
            .map(|world| world.now())
            .unwrap_or_default()
    }

    /// Whether a disturbance may be the reason for what happens now: one lasts, or the last one is over for no longer than
    /// `wake`. In a run without any fault none ever is.
    pub fn explains(&self, wake: Duration) -> bool {
        let Some(world) = self.world.upgrade() else {
            return false;
        };
        if self.is_calm && !world.was_by_hand() {
            return false;
        }
        world.calm_for().is_none_or(|calm| calm <= wake)
    }

    /// In which life the process of a node is: 1 until it is started again for the first time. Of two processes of one node
    /// it is that of the one which is at work now, if that is one of them, or else of the younger one.
    ///
    /// # Panics
    ///
    /// If there is no node of this name.
    pub fn life_of(&self, node: &str) -> u32 {
        let Some(world) = self.world.upgrade() else {
            return 0;
        };
        let at_work = running().filter(|state| *state.name == *node);
        let node = at_work.or_else(|| world.find(node));
        let node = node.expect("the node is one of the scenario's");
        node.life.load(Relaxed)
    }
}
