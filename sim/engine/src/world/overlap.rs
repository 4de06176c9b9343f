//! Two processes of one node: an old one that was taken for dead and lives on, and its successor.
//!
//! Each is a slot of its own among the nodes, with tasks, connections, clock and random numbers of its own. They share
//! the name: look-ups find the successor, and faults on links of that name apply to both.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use squall_core::event::{Life, What};

use super::{NodeState, Todo, World, lock, node::Death};

impl World {
    /// The successor of a process boots. False if there is no process, or it keeps files, which it has locked.
    pub(super) fn overlap(self: &Arc<Self>, index: usize, name: &str) -> bool {
        let can =
            |node: &Arc<NodeState>| !node.is_client && node.is_up() && node.disk.files().is_empty();
        let Some(old) = self.find(name).filter(can) else {
            return false;
        };
        // Lives are counted on, so that no two of a name draw the same numbers.
        let life = old.life.load(Relaxed);
        let (boot, installed) = (lock(&old.boot).clone(), *lock(&old.installed));
        let successor = NodeState::new(
            self,
            name,
            boot,
            old.watches_timers,
            old.reader,
            life,
            installed,
        );
        let successor = self.add(successor);
        self.net.succeed(old.ix, successor.ix);
        let _ = old.outlives.set(index);
        // What has befallen the name befalls the successor too.
        self.switch_on_again();
        self.record(
            name,
            What::Node {
                event: Life::OldLivesOn,
                detail: "".into(),
            },
        );
        self.queue.at(self.now(), Todo::Boot(successor.ix, life));
        true
    }

    /// The old process is gone, if it has not ended by itself.
    pub(super) fn end_overlap(self: &Arc<Self>, index: usize) {
        for old in self.nodes() {
            if old.outlives.get() == Some(&index) {
                let death = Death {
                    power: false,
                    down: Duration::ZERO,
                    event: Life::OldEnds,
                    detail: String::new(),
                };
                self.kill(&old, death);
            }
        }
    }

    /// An old process hands something to the network.
    pub(super) fn old_speaks(&self, old: &NodeState, index: usize, to: &str) {
        lock(&self.injector).bites(index);
        if self
            .find(&old.name)
            .is_some_and(|successor| successor.is_up())
        {
            lock(&self.checker).goals.outlived(&old.name, to);
        }
    }
}
