//! How patient the engine is.

use std::time::Duration;

use crate::{planted_bug::Bugs, ports::Random};

/// Growing waits between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Before the second attempt; doubled each time.
    pub first: Duration,
    /// No wait is longer.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after the `attempt`-th attempt (from 1): between half of the nominal wait and all of it, so that sagas that
    /// failed together do not come back together.
    pub fn wait(&self, attempt: u32, random: &dyn Random) -> Duration {
        let share = random.next_u64() as f64 / u64::MAX as f64;
        self.shortest(attempt) + self.nominal(attempt).mul_f64(share / 2.0)
    }

    /// The shortest wait after the `attempt`-th attempt.
    pub fn shortest(&self, attempt: u32) -> Duration {
        self.nominal(attempt).div_f64(2.0)
    }

    fn nominal(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        self.cap.min(self.first.saturating_mul(1 << doublings))
    }
}

/// The engine's patience.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Weaknesses.
    pub bugs: Bugs,
    /// How long a saga may take to come to its pivot.
    pub deadline: Duration,
    /// How long a step is asked again while another saga is in the way.
    pub busy_patience: Duration,
    /// Between attempts of a compensatable step whose outcome is unknown, or that finds another saga in the way.
    pub asking: Backoff,
    /// Between attempts of undos, the pivot and retriable steps.
    pub insisting: Backoff,
    /// Attempts of an undo, the pivot or a retriable step before the saga needs attention.
    pub tries: u32,
    /// Between two recoveries; among replicas no longer than half of the lease.
    pub recover_every: Duration,
    /// How long a replica may be silent before another one takes over its sagas. It says so four times as often while it
    /// drives any.
    pub lease: Duration,
    /// What is journalled.
    pub journal: Journal,
    /// Who says what comes next.
    pub execution: Execution,
}

impl Config {
    /// How long at least an undo, the pivot or a retriable step is asked before the saga needs attention: what the waits
    /// between its attempts come to.
    pub fn spent_after(&self) -> Duration {
        (1..self.tries)
            .map(|tries| self.insisting.shortest(tries))
            .sum()
    }

    /// Whether the sagas' rows are projected from what happened.
    pub(super) fn keeps_facts(&self) -> bool {
        self.journal == Journal::Facts || self.execution == Execution::Workflow
    }
}

/// Who says what a saga does next. What was begun under one of them is not taken up under the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// The plan: the steps as [declared](super::Saga::steps), and the saga's own row says where it is.
    #[default]
    Saga,
    /// A function, [run](super::Saga::run) again from its beginning after a crash: its [journal](super::workflow) says what
    /// came of each step. Implies [`Journal::Facts`].
    Workflow,
}

/// What a saga is kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Journal {
    /// As it is: one row, changed by every commit.
    #[default]
    State,
    /// As what happened to it: [facts](super::facts) that are appended and never changed. Its row is projected from them.
    /// Only where one process owns all sagas.
    Facts,
}

impl Default for Config {
    /// Twelve tries take about three minutes: longer than a restart or a partition that heals by itself.
    fn default() -> Self {
        Config {
            bugs: Bugs::NONE,
            deadline: Duration::from_secs(60),
            busy_patience: Duration::from_secs(10),
            asking: Backoff {
                first: Duration::from_millis(100),
                cap: Duration::from_secs(2),
            },
            insisting: Backoff {
                first: Duration::from_millis(250),
                cap: Duration::from_secs(30),
            },
            tries: 12,
            recover_every: Duration::from_secs(60),
            lease: Duration::from_secs(10),
            journal: Journal::State,
            execution: Execution::Saga,
        }
    }
}
