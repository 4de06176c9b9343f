//! Waking a task at an instant, without a task or a future of its own.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::TimeHandle;

use squall_core::time::VirtualTime;

use super::{Aftermath, Host};
use crate::timer_watch;

/// Never less than this, says `Sleep`, unless its deadline is reset before the first poll.
const FLOOR: Duration = Duration::from_millis(1);

/// Wakes `waker` after `wait`. The entry cannot be taken back: a wake that is no longer needed is a spurious one.
/// Outside a runtime (its tasks are being dropped) nothing is left to wake.
pub fn arm(wait: Duration, waker: &Waker) {
    let Some(time) = TimeHandle::try_current() else {
        return;
    };
    let mut sleep = pin!(time.sleep(wait + FLOOR));
    let deadline = sleep.deadline() - FLOOR;
    sleep.as_mut().reset(deadline);
    let quiet = timer_watch::quiet(waker);
    let cx = &mut Context::from_waker(quiet.as_ref().unwrap_or(waker));
    if sleep.poll(cx).is_ready() {
        waker.wake_by_ref();
    }
}

/// Waits until `deadline`.
pub async fn until(host: &dyn Host, deadline: VirtualTime) {
    let mut waiter = Waiter::default();
    poll_fn(|cx| {
        let now = host.now();
        if now >= deadline {
            return Poll::Ready(());
        }
        waiter.park(cx.waker());
        waiter.arm(now, deadline);
        Poll::Pending
    })
    .await;
}

/// A task that waits for one thing.
#[derive(Debug, Default)]
pub struct Waiter {
    waker: Option<Waker>,
    /// The earliest timer in the runtime's queue that will wake `waker`.
    armed: Option<VirtualTime>,
    waiting: bool,
}

impl Waiter {
    /// The task of `waker` waits from now on. Returns another task's waker, to be dropped without a lock held.
    pub fn park(&mut self, waker: &Waker) -> Option<Waker> {
        self.waiting = true;
        let lasting = timer_watch::lasting(waker);
        let waker = lasting.as_ref().unwrap_or(waker);
        if self.waker.as_ref().is_some_and(|own| own.will_wake(waker)) {
            return None;
        }
        self.armed = None;
        self.waker.replace(waker.clone())
    }

    /// The task is running: there is no need to wake it.
    pub fn unpark(&mut self) {
        self.waiting = false;
    }

    /// Whether a task waits.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Sees to it that the task runs at `deadline` at the latest.
    pub fn arm(&mut self, now: VirtualTime, deadline: VirtualTime) {
        let soon_enough = self.armed.is_some_and(|at| now < at && at <= deadline);
        if let (true, false, Some(waker)) = (self.waiting, soon_enough, &self.waker) {
            arm(deadline.since(now), waker);
            self.armed = Some(deadline.max(now));
        }
    }

    /// Wakes the task if one waits.
    pub fn wake(&mut self, aftermath: &mut Aftermath) {
        if std::mem::take(&mut self.waiting) {
            aftermath.wakers.extend(self.waker.clone());
        }
    }

    /// Forgets the task, whose process is gone.
    pub fn forget(&mut self, aftermath: &mut Aftermath) {
        self.waiting = false;
        self.armed = None;
        aftermath.forgotten.extend(self.waker.take());
    }
}
