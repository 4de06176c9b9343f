//! Deadlines that arm few timers.
//!
//! A pending future is polled many times before its deadline, and a runtime may keep an entry for each poll of a timer
//! and cancel none. So a timer is armed once and left alone until it fires, or until an earlier deadline is wanted.
//! When it fires it wakes whoever polled last.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use crate::kit::lock;

/// The answer of `work`, or `None` if it takes longer than `limit`; `work` is dropped then.
pub(crate) async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let (deadline, mut alarm) = (Instant::now() + limit, None);
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => poll_deadline(deadline, &mut alarm, cx).map(|()| None),
    })
    .await
}

/// A timer that is under way.
struct Alarm {
    fires_at: Instant,
    wakes: Arc<Latest>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

/// The task that polled last.
struct Latest(Mutex<Waker>);

impl Latest {
    fn is(&self, waker: &Waker) {
        let mut latest = lock(&self.0);
        latest.clone_from(waker);
    }
}

impl Wake for Latest {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let latest = lock(&self.0);
        let waker = latest.clone();
        drop(latest);
        waker.wake();
    }
}

fn poll_deadline(deadline: Instant, slot: &mut Option<Alarm>, cx: &mut Context<'_>) -> Poll<()> {
    let now = Instant::now();
    if now >= deadline {
        return Poll::Ready(());
    }
    let armed = |alarm: &&mut Alarm| now < alarm.fires_at && alarm.fires_at <= deadline;
    if let Some(alarm) = slot.as_mut().filter(armed) {
        alarm.wakes.is(cx.waker());
        return Poll::Pending;
    }
    let alarm = slot.insert(Alarm {
        fires_at: deadline,
        wakes: Arc::new(Latest(Mutex::new(cx.waker().clone()))),
        sleep: Box::pin(tokio::time::sleep(deadline - now)),
    });
    let waker = Waker::from(alarm.wakes.clone());
    alarm.sleep.as_mut().poll(&mut Context::from_waker(&waker))
}

/// hyper's timer for one connection. Its sleeps follow one another, one per request, and share one alarm: an idle
/// or busy connection arms one timer per timeout, not one per request.
#[derive(Clone, Default)]
pub(crate) struct ConnectionTimer {
    alarm: Arc<Mutex<Option<Alarm>>>,
}

impl hyper::rt::Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(SharedSleep {
            deadline,
            alarm: self.alarm.clone(),
        })
    }
}

struct SharedSleep {
    deadline: Instant,
    alarm: Arc<Mutex<Option<Alarm>>>,
}

impl Future for SharedSleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = lock(&self.alarm);
        poll_deadline(self.deadline, &mut alarm, cx)
    }
}

impl hyper::rt::Sleep for SharedSleep {}
