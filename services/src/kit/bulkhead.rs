//! Bulkhead: at most so many at a time, and a bounded wait for the others.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::timer::within;

/// A fixed number of permits, handed out in the order of asking. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Permits {
    semaphore: Arc<Semaphore>,
}

/// One permit, returned when it is dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct Permit {
    returned_on_drop: OwnedSemaphorePermit,
}

impl Permit {
    /// Never returns the permit. Only for the planted bug `permit-leaked`.
    pub fn leak(self) -> Option<Permit> {
        self.returned_on_drop.forget();
        None
    }
}

impl Permits {
    /// So many permits in all.
    pub fn new(count: usize) -> Self {
        Permits {
            semaphore: Arc::new(Semaphore::new(count)),
        }
    }

    /// A permit, or `None` if none became free in time.
    pub async fn acquire(&self, wait: Duration) -> Option<Permit> {
        let permit = within(wait, self.semaphore.clone().acquire_owned()).await?;
        Some(Permit {
            returned_on_drop: permit.expect("the semaphore is never closed"),
        })
    }

    /// Permits that nobody holds.
    pub fn available(&self) -> usize {
        self.semaphore.available_permits()
    }
}
