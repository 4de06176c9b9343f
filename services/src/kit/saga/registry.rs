//! Which sagas a live task of this process drives: each has one owner.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};

use tokio::sync::{Notify, watch};

use super::SagaRecord;
use crate::kit::lock;

/// The live task that drives a saga, as others see it.
pub(super) struct Driven<D> {
    turn: Mutex<Turn>,
    pub cancelled: Notify,
    end: watch::Sender<Option<SagaRecord<D>>>,
}

#[derive(Clone, Copy, Default)]
struct Turn {
    cancel_requested: bool,
    /// It comes to its pivot or its end: too late to cancel.
    closed: bool,
    asking: Asking,
}

/// How far the asking of the step or undo under way has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asking {
    /// Attempts in this life of the process.
    pub tries: u32,
    /// When it is asked again, unless an answer is awaited; wall clock.
    pub again_ms: Option<u64>,
}

impl<D> Default for Driven<D> {
    fn default() -> Self {
        Driven {
            turn: Mutex::default(),
            cancelled: Notify::new(),
            end: watch::Sender::new(None),
        }
    }
}

impl<D> Driven<D> {
    pub fn is_cancel_requested(&self) -> bool {
        lock(&self.turn).cancel_requested
    }

    pub fn asking(&self) -> Asking {
        lock(&self.turn).asking
    }

    pub fn asks(&self, asking: Asking) {
        lock(&self.turn).asking = asking;
    }

    /// Closes the door to cancels, unless one came first.
    pub fn close(&self) -> bool {
        let mut turn = lock(&self.turn);
        turn.closed = !turn.cancel_requested;
        turn.closed
    }

    /// Whether it comes in time.
    pub fn request_cancel(&self) -> bool {
        let mut turn = lock(&self.turn);
        turn.cancel_requested |= !turn.closed;
        if turn.cancel_requested {
            self.cancelled.notify_one();
        }
        turn.cancel_requested
    }

    /// Tells those who wait.
    pub fn announce(&self, saga: SagaRecord<D>) {
        self.end.send_replace(Some(saga));
    }

    /// Becomes `Some` at the end; closes if the task lets go of the saga without a word.
    pub fn await_end(&self) -> watch::Receiver<Option<SagaRecord<D>>> {
        self.end.subscribe()
    }
}

/// The owners, by saga id.
pub(super) struct Registry<D> {
    /// A task that is gone owns nothing, even if it could not say so.
    driven: Mutex<BTreeMap<String, Weak<Driven<D>>>>,
    /// Told of each saga that is driven from now on.
    pub busy: Notify,
}

impl<D> Default for Registry<D> {
    fn default() -> Self {
        Registry {
            driven: Mutex::default(),
            busy: Notify::new(),
        }
    }
}

impl<D> Registry<D> {
    /// The live task that drives a saga.
    pub fn of(&self, id: &str) -> Option<Arc<Driven<D>>> {
        lock(&self.driven).get(id).and_then(Weak::upgrade)
    }

    /// Makes the caller the owner of a saga, or names the live task that is.
    pub fn claim(&self, id: &str) -> Result<Arc<Driven<D>>, Arc<Driven<D>>> {
        match self.of(id) {
            Some(owner) => Err(owner),
            None => Ok(self.register(id)),
        }
    }

    /// Makes the caller the owner of a saga, whoever was.
    pub fn register(&self, id: &str) -> Arc<Driven<D>> {
        let driven = Arc::<Driven<D>>::default();
        lock(&self.driven).insert(id.to_owned(), Arc::downgrade(&driven));
        self.busy.notify_one();
        driven
    }

    /// Forgets a saga that is driven no longer.
    pub fn release(&self, id: &str, driven: &Arc<Driven<D>>) {
        let mut driven_now = lock(&self.driven);
        let known = driven_now.get(id).map(Weak::as_ptr);
        if known.is_some_and(|known| std::ptr::eq(known, Arc::as_ptr(driven))) {
            driven_now.remove(id);
        }
    }

    /// Whether no saga is driven; forgets those whose tasks are gone.
    pub fn is_idle(&self) -> bool {
        let mut driven = lock(&self.driven);
        driven.retain(|_, task| task.strong_count() > 0);
        driven.is_empty()
    }
}
