//! What an engine is made of.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Saga, SagaRecord, Status,
    policy::Config,
    registry::{Driven, Registry},
    tables::Beat,
};
use crate::{
    kit::{Code, Problem, Store, StoreError, lock},
    planted_bug::Bug,
    ports::Platform,
};

/// How often the end of a saga is looked for that another replica drives.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Drives the sagas of one store. Cheap to clone.
pub struct Engine<S: Saga>(pub(super) Arc<Inner<S>>);

impl<S: Saga> Clone for Engine<S> {
    fn clone(&self) -> Self {
        Engine(Arc::clone(&self.0))
    }
}

pub(super) struct Inner<S: Saga> {
    pub platform: Platform,
    pub store: Store,
    pub saga: S,
    pub config: Config,
    pub registry: Registry<S::Data>,
    pub place: Place,
    /// Only for the planted bug `ids-counted-by-name`.
    pub last_number: Mutex<Option<u16>>,
}

pub(super) type DrivenBy<S> = Arc<Driven<<S as Saga>::Data>>;

/// A process's place among the replicas.
#[derive(Default)]
pub(super) struct Place {
    /// Whose it was as this process first looked.
    pub before: OnceLock<Option<u64>>,
    /// Whoever has it instead, and since when that one is silent.
    instead: Mutex<Option<(Beat, Instant)>>,
}

impl Place {
    /// Since when whoever has the place instead is silent, as far as was seen.
    pub fn silent_since(&self, beat: Beat) -> Instant {
        let mut instead = lock(&self.instead);
        match *instead {
            Some((seen, since)) if seen == beat => since,
            _ => instead.insert((beat, Instant::now())).1,
        }
    }
}

pub(super) fn past_cancelling(id: &str) -> Problem {
    Code::InvalidState.because(format!(
        "saga {id} has passed the point up to which it can be cancelled"
    ))
}

impl<S: Saga> Inner<S> {
    /// Whether the shape has a weakness.
    pub fn has(&self, bug: Bug) -> bool {
        self.config.bugs.has(bug)
    }

    /// Whether a driver has something to do for this saga.
    pub fn takes_up(&self, saga: &SagaRecord<S::Data>) -> bool {
        match saga.status {
            Status::Running => !self.has(Bug::NoJournal) && !self.has(Bug::RecoveryOnlyFailed),
            Status::Compensating => {
                !self.has(Bug::NoJournal)
                    && !self.has(Bug::CompensationNotRetried)
                    && !self.has(Bug::RecoveryForgetsCompensating)
            }
            _ => false,
        }
    }

    /// A failed commit is an unknown outcome: what the journal says is learnt only by reading it anew.
    pub async fn end_process(&self, what: &str, error: &StoreError) -> ! {
        self.platform.process.fail(&format!("{what}: {error}"));
        std::future::pending().await
    }
}
