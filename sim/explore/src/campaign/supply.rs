//! What an explorer wants to be run, in portions that the workers can carry.

use std::collections::VecDeque;

use super::{
    WATCH_EVERY, WINDOW,
    queue::{Job, Queue},
};
use crate::strategy::{Explorer, Trial};

/// Keeps the queue at most a window ahead of what has been folded, and asks for a generation when the explorer knows
/// all that it has to know.
pub(super) struct Supply<'a> {
    explorer: &'a mut dyn Explorer,
    queue: &'a Queue,
    generation: VecDeque<Trial>,
    handed: u64,
    exhausted: bool,
}

impl<'a> Supply<'a> {
    pub fn new(explorer: &'a mut dyn Explorer, queue: &'a Queue) -> Self {
        Supply {
            explorer,
            queue,
            generation: VecDeque::new(),
            handed: 0,
            exhausted: false,
        }
    }

    pub fn explorer(&mut self) -> &mut dyn Explorer {
        self.explorer
    }

    /// Fills the queue; the first `folded` trials have been learned.
    pub fn refill(&mut self, folded: u64) {
        while !self.exhausted && self.handed - folded < WINDOW {
            if self.generation.is_empty() {
                if !self.explorer.is_blind() && self.handed > folded {
                    return;
                }
                self.generation = self.explorer.next().into();
            }
            match self.generation.pop_front() {
                Some(trial) => self.hand_over(trial),
                None => {
                    self.exhausted = true;
                    self.queue.finish();
                }
            }
        }
    }

    fn hand_over(&mut self, trial: Trial) {
        // Storms of an explorer that learns may all have one seed.
        let place = match self.explorer.is_blind() {
            true => trial.seed.0,
            false => self.handed,
        };
        self.queue.put(Job {
            ordinal: self.handed,
            options: self.explorer.options(&trial),
            watched: place.is_multiple_of(WATCH_EVERY),
            trial,
        });
        self.handed += 1;
    }
}
