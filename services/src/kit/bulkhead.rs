//! Bulkhead: limits concurrency, and bounds how long callers wait for a permit.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::timer::within;
use crate::kit::lock;

/// A fixed number of permits, handed out in the order of asking. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Permits {
    semaphore: Arc<Semaphore>,
    seen: Arc<Mutex<Seen>>,
}

/// What goes on, and the most that went on at once.
#[derive(Debug, Default)]
struct Seen {
    now: Counts,
    most: Counts,
}

/// How many at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Do what the permits are for.
    pub at_it: usize,
    /// Stand in line.
    pub in_line: usize,
}

impl Seen {
    fn change(&mut self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.now);
        self.most = Counts {
            at_it: self.most.at_it.max(self.now.at_it),
            in_line: self.most.in_line.max(self.now.in_line),
        };
    }
}

/// One permit, returned when it is dropped.
#[derive(Debug)]
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct Permit {
    returned_on_drop: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// Never returns the permit. Only for the planted bug `permit-leaked`.
    pub fn leak(self) -> Option<Permit> {
        self.returned_on_drop?.forget();
        None
    }

    /// A permit that was not acquired. Only for the planted bug `no-bulkhead`.
    pub fn forged() -> Permit {
        Permit {
            returned_on_drop: None,
        }
    }
}

/// Counts as a running call for as long as it lives.
pub struct AtIt<'p>(&'p Permits);

impl Drop for AtIt<'_> {
    fn drop(&mut self) {
        lock(&self.0.seen).change(|now| now.at_it -= 1);
    }
}

impl Permits {
    /// A bulkhead of this many permits.
    pub fn new(count: usize) -> Self {
        Permits {
            semaphore: Arc::new(Semaphore::new(count)),
            seen: Arc::default(),
        }
    }

    /// A permit, or `None` if none became free in time.
    pub async fn acquire(&self, wait: Duration) -> Option<Permit> {
        within(wait, self.next()).await
    }

    /// A permit, or a place in the line and a permit in its turn, however long that takes; `None` at once if `places`
    /// are taken. Dropping the future leaves the line.
    pub async fn line_up(&self, places: usize) -> Option<Permit> {
        if let Ok(permit) = self.semaphore.clone().try_acquire_owned() {
            return Some(Permit {
                returned_on_drop: Some(permit),
            });
        }
        let _place = self.place(places)?;
        Some(self.next().await)
    }

    async fn next(&self) -> Permit {
        let permit = self.semaphore.clone().acquire_owned().await;
        Permit {
            returned_on_drop: Some(permit.expect("the semaphore is never closed")),
        }
    }

    fn place(&self, places: usize) -> Option<Place<'_>> {
        let mut seen = lock(&self.seen);
        if seen.now.in_line >= places {
            return None;
        }
        seen.change(|now| now.in_line += 1);
        Some(Place(self))
    }

    /// Counts a running call.
    pub fn at_it(&self) -> AtIt<'_> {
        lock(&self.seen).change(|now| now.at_it += 1);
        AtIt(self)
    }

    /// Free permits.
    pub fn available(&self) -> usize {
        self.semaphore.available_permits()
    }

    /// The most that was seen at once so far.
    pub fn most(&self) -> Counts {
        lock(&self.seen).most
    }
}

/// A place in the line, given up when it is dropped.
struct Place<'p>(&'p Permits);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.0.seen).change(|now| now.in_line -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, pin_mut};

    use super::*;

    #[tokio::test]
    async fn a_line_has_so_many_places_and_is_served_in_its_order() {
        let permits = Permits::new(1);
        let first = permits.line_up(2).await.expect("it is free");
        let (second, third, fourth) = (permits.line_up(2), permits.line_up(2), permits.line_up(2));
        pin_mut!(second, third, fourth);
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        assert!(fourth.now_or_never().expect("refused at once").is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none());
        let second = second.await.expect("its turn has come");
        drop(second);
        assert!(third.await.is_some());
        assert_eq!(permits.most().in_line, 2);
    }

    #[tokio::test]
    async fn whoever_gives_up_leaves_the_line() {
        let permits = Permits::new(1);
        let held = permits.line_up(1).await;
        {
            let waiting = permits.line_up(1);
            pin_mut!(waiting);
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        let waiting = permits.line_up(1);
        pin_mut!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(held);
        assert!(waiting.await.is_some());
        assert_eq!(permits.available(), 1);
    }
}
