//! Which wakes of a task come from one of its own timers that ran out.
//!
//! Services wait with `tokio::time`, which is madsim's: each poll of a `Sleep` puts the task's waker into the runtime's
//! heap, entries are never removed, and an entry wakes the task while no task is being polled. A task whose timers are
//! watched is therefore polled with a waker that is valid for that poll only. If such a waker is used from the heap and
//! the task has not been polled since, the timer was still awaited: a task polls its timer on every poll. A wake from
//! the heap with the waker of an earlier poll belongs to a wait that is over (a `timeout` that was won, a `Sleep` that
//! was dropped).
//!
//! The network and the disk wait on the same heap: their wakers are [`quiet`]. A run with watched timers must go exactly
//! as it goes without, so code that compares wakers to save a heap entry keeps the [`lasting`] one.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Wake, Waker},
};

thread_local! {
    /// A task is being polled, or dropped.
    static POLLING: Cell<bool> = const { Cell::new(false) };
    /// The timers of some node of this thread's run are watched.
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    /// What is waking tasks is no timer of theirs.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// The waker of the current poll of a watched task, and the task's own waker, which is the same in every poll.
    static CURRENT: RefCell<Option<(Waker, Waker)>> = const { RefCell::new(None) };
}

/// From now on timers are watched on this thread. A run has a thread of its own.
pub(crate) fn watch() {
    WATCHING.set(true);
}

/// While it lives, wakes come from a task, not from a timer.
pub(crate) struct Polling(bool);

impl Polling {
    pub fn begin() -> Self {
        Polling(POLLING.replace(true))
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLLING.set(self.0);
    }
}

/// A task of the world itself: what it wakes is not woken by a timer.
pub(crate) async fn attend<F: Future>(task: F) -> F::Output {
    let mut task = pin!(task);
    std::future::poll_fn(|cx| {
        let _polling = Polling::begin();
        task.as_mut().poll(cx)
    })
    .await
}

/// A waker for a timer that no service set: it wakes `waker` and is not reported. `None` if no timers are watched.
pub(crate) fn quiet(waker: &Waker) -> Option<Waker> {
    WATCHING
        .get()
        .then(|| Waker::from(Arc::new(Quiet(waker.clone()))))
}

/// The task's own waker, if `waker` is the one of the current poll only.
pub(crate) fn lasting(waker: &Waker) -> Option<Waker> {
    if !WATCHING.get() {
        return None;
    }
    CURRENT.with_borrow(|current| {
        let (own, lasting) = current.as_ref()?;
        own.will_wake(waker).then(|| lasting.clone())
    })
}

struct Quiet(Waker);

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = QUIET.replace(true);
        self.0.wake_by_ref();
        QUIET.set(before);
    }
}

/// Tells whether a timer that a task waits for has run out.
#[derive(Default)]
pub(crate) struct TimerWatch(Arc<WatchState>);

#[derive(Default)]
struct WatchState {
    polls: AtomicU64,
    fired: AtomicBool,
}

/// The waker of one poll.
struct PollWaker {
    state: Arc<WatchState>,
    poll: u64,
    lasting: Waker,
}

impl TimerWatch {
    /// Whether a timer has fired since the last call.
    pub fn take_fired(&self) -> bool {
        self.0.fired.swap(false, Relaxed)
    }

    /// Polls the task: `poll` is given the waker to use in place of `lasting`.
    pub fn poll_with<T>(&self, lasting: &Waker, poll: impl FnOnce(&Waker) -> T) -> T {
        let number = self.0.polls.fetch_add(1, Relaxed) + 1;
        let waker = Waker::from(Arc::new(PollWaker {
            state: self.0.clone(),
            poll: number,
            lasting: lasting.clone(),
        }));
        let _outer = Outer(CURRENT.replace(Some((waker.clone(), lasting.clone()))));
        poll(&waker)
    }
}

/// Restores the poll within which this one began, if there is one.
struct Outer(Option<(Waker, Waker)>);

impl Drop for Outer {
    fn drop(&mut self) {
        // Wakers are dropped outside of the borrow: a task's last one may drop the task.
        let _over = CURRENT.replace(self.0.take());
    }
}

impl Wake for PollWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let by_timer = !POLLING.get() && !QUIET.get();
        if by_timer && self.state.polls.load(Relaxed) == self.poll {
            self.state.fired.store(true, Relaxed);
        }
        self.lasting.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        task::{Context, Poll},
        time::Duration,
    };

    use madsim::{
        runtime::Runtime,
        time::{sleep, timeout},
    };
    use tokio::sync::oneshot;

    use super::*;

    /// Polls a task to its end and tells which of its polls began with a fired timer.
    fn fired(task: impl Future<Output = ()> + Send + 'static) -> Vec<bool> {
        watch();
        let runtime = Runtime::with_seed_and_config(7, madsim::Config::default());
        runtime.block_on(attend(async {
            let (watched, mut fired) = (TimerWatch::default(), Vec::new());
            let mut task = Box::pin(task);
            let watched = madsim::task::spawn(async move {
                std::future::poll_fn(|cx| {
                    let _polling = Polling::begin();
                    fired.push(watched.take_fired());
                    let lasting = cx.waker().clone();
                    watched.poll_with(&lasting, |waker| {
                        task.as_mut().poll(&mut Context::from_waker(waker))
                    })
                })
                .await;
                fired
            });
            watched.await.expect("it does not panic")
        }))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// An answer that comes after so long, from another task.
    fn answer(after: u64) -> impl Future<Output = ()> + Send {
        let (tell, told) = oneshot::channel();
        let mut tell = Some(tell);
        async move {
            if let Some(tell) = tell.take() {
                madsim::task::spawn(attend(async move {
                    sleep(ms(after)).await;
                    let _ = tell.send(());
                }));
            }
            told.await.expect("it is told");
        }
    }

    #[test]
    fn a_sleep_that_ends_fires_and_an_answer_does_not() {
        assert_eq!(fired(async { sleep(ms(5)).await }), [false, true]);
        assert_eq!(fired(answer(5)), [false, false]);
        let both = async {
            sleep(ms(5)).await;
            answer(5).await;
            sleep(ms(5)).await;
        };
        assert_eq!(fired(both), [false, true, false, true]);
    }

    #[test]
    fn an_interval_fires_at_each_tick() {
        let ticks = async {
            let mut interval = madsim::time::interval(ms(10));
            for _ in 0..3 {
                interval.tick().await;
            }
        };
        let fired = fired(ticks);
        assert_eq!(fired.iter().filter(|fired| **fired).count(), 3, "{fired:?}");
    }

    #[test]
    fn a_timeout_fires_when_it_runs_out_and_not_when_it_was_won() {
        let lost = async {
            let _ = timeout(ms(5), answer(50)).await;
        };
        assert_eq!(fired(lost), [false, true]);
        // The entry of the timeout that was won wakes the task while it waits for something else.
        let won = async {
            let _ = timeout(ms(10), answer(5)).await;
            answer(50).await;
        };
        assert_eq!(fired(won), [false, false, false, false]);
    }

    #[test]
    fn a_sleep_that_was_dropped_does_not_fire() {
        let dropped = async {
            let mut forgotten = Box::pin(sleep(ms(5)));
            std::future::poll_fn(|cx| {
                let _ = forgotten.as_mut().poll(cx);
                cx.waker().wake_by_ref();
                Poll::Ready(())
            })
            .await;
            drop(forgotten);
            answer(1).await;
            answer(50).await;
        };
        let fired = fired(dropped);
        assert!(fired.len() >= 4 && !fired.contains(&true), "{fired:?}");
    }

    #[test]
    fn what_is_not_a_service_s_own_timer_is_quiet() {
        let travels = async {
            let mut travel = Box::pin(sleep(ms(5)));
            std::future::poll_fn(|cx| {
                let waker = quiet(cx.waker()).expect("timers are watched");
                travel.as_mut().poll(&mut Context::from_waker(&waker))
            })
            .await;
        };
        assert_eq!(fired(travels), [false, false]);
    }

    #[test]
    fn one_waker_lasts_through_all_polls() {
        let mut first = None;
        let mut polls = 0;
        let task = std::future::poll_fn(move |cx| {
            let own = lasting(cx.waker()).expect("it is the waker of this poll");
            assert!(!own.will_wake(cx.waker()));
            assert!(first.get_or_insert_with(|| own.clone()).will_wake(&own));
            polls += 1;
            if polls == 3 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(fired(task), [false; 3]);
    }
}
