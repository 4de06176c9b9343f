//! Which wakes of a task come from a timer of its own that ran out.
//!
//! Services wait with `tokio::time`, which is madsim's: each poll of a `Sleep` puts the task's waker into the runtime's
//! heap, nothing is ever taken out, and the entry wakes the task while no task is being polled. So a task whose timers
//! are watched is polled with a waker of that poll alone. When such a waker is used from the heap, and the task has not
//! been polled since, the timer was waited for to the last: whoever waits for a timer polls it in each turn. What
//! wakes from the heap with a waker of an earlier turn belongs to a wait that is over (a `timeout` that was raced and
//! won, a `Sleep` that was dropped).
//!
//! The network and the disk wait on the same heap: theirs are [`quiet`]. And a run with watched timers must go exactly
//! as it goes without: whoever compares wakers to spare the heap an entry keeps the [`lasting`] one.

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
    /// The waker of the present turn of a watched task, and the one that is the same in all of its turns.
    static TURN: RefCell<Option<(Waker, Waker)>> = const { RefCell::new(None) };
}

/// From now on timers are watched on this thread. A run has a thread of its own.
pub(crate) fn watch() {
    WATCHING.set(true);
}

/// While it lives, whatever is woken is woken by a task.
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

/// For a timer that no service set: wakes `waker` and rings no bell. None where nobody listens for one.
pub(crate) fn quiet(waker: &Waker) -> Option<Waker> {
    WATCHING
        .get()
        .then(|| Waker::from(Arc::new(Quiet(waker.clone()))))
}

/// Where `waker` is that of the present turn alone: the one that is the same in each turn of its task.
pub(crate) fn lasting(waker: &Waker) -> Option<Waker> {
    if !WATCHING.get() {
        return None;
    }
    TURN.with_borrow(|turn| {
        let (own, lasting) = turn.as_ref()?;
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

/// Rings when a timer runs out for which a task waits.
#[derive(Default)]
pub(crate) struct Bell(Arc<Rope>);

#[derive(Default)]
struct Rope {
    turns: AtomicU64,
    rang: AtomicBool,
}

/// The waker of one turn.
struct Turn {
    rope: Arc<Rope>,
    turn: u64,
    lasting: Waker,
}

impl Bell {
    /// Whether it has rung since it was last asked.
    pub fn rang(&self) -> bool {
        self.0.rang.swap(false, Relaxed)
    }

    /// A turn of the task: `poll` is given the waker to poll with in place of `lasting`.
    pub fn turn<T>(&self, lasting: &Waker, poll: impl FnOnce(&Waker) -> T) -> T {
        let turn = self.0.turns.fetch_add(1, Relaxed) + 1;
        let waker = Waker::from(Arc::new(Turn {
            rope: self.0.clone(),
            turn,
            lasting: lasting.clone(),
        }));
        let _present = Present(TURN.replace(Some((waker.clone(), lasting.clone()))));
        poll(&waker)
    }
}

/// Brings the turn back during which this one began, if there is one.
struct Present(Option<(Waker, Waker)>);

impl Drop for Present {
    fn drop(&mut self) {
        // Wakers are dropped outside of the borrow: a task's last one may drop the task.
        let _over = TURN.replace(self.0.take());
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let by_timer = !POLLING.get() && !QUIET.get();
        if by_timer && self.rope.turns.load(Relaxed) == self.turn {
            self.rope.rang.store(true, Relaxed);
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

    /// Polls a task to its end and tells which of its turns began with a ring.
    fn rings(task: impl Future<Output = ()> + Send + 'static) -> Vec<bool> {
        watch();
        let runtime = Runtime::with_seed_and_config(7, madsim::Config::default());
        runtime.block_on(attend(async {
            let (bell, mut rings) = (Bell::default(), Vec::new());
            let mut task = Box::pin(task);
            let watched = madsim::task::spawn(async move {
                std::future::poll_fn(|cx| {
                    let _polling = Polling::begin();
                    rings.push(bell.rang());
                    let lasting = cx.waker().clone();
                    bell.turn(&lasting, |waker| {
                        task.as_mut().poll(&mut Context::from_waker(waker))
                    })
                })
                .await;
                rings
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
    fn a_sleep_that_ends_rings_and_an_answer_does_not() {
        assert_eq!(rings(async { sleep(ms(5)).await }), [false, true]);
        assert_eq!(rings(answer(5)), [false, false]);
        let both = async {
            sleep(ms(5)).await;
            answer(5).await;
            sleep(ms(5)).await;
        };
        assert_eq!(rings(both), [false, true, false, true]);
    }

    #[test]
    fn an_interval_rings_at_each_tick() {
        let ticks = async {
            let mut interval = madsim::time::interval(ms(10));
            for _ in 0..3 {
                interval.tick().await;
            }
        };
        let rings = rings(ticks);
        assert_eq!(rings.iter().filter(|rang| **rang).count(), 3, "{rings:?}");
    }

    #[test]
    fn a_timeout_rings_when_it_runs_out_and_not_when_it_was_won() {
        let lost = async {
            let _ = timeout(ms(5), answer(50)).await;
        };
        assert_eq!(rings(lost), [false, true]);
        // The entry of the timeout that was won wakes the task while it waits for something else.
        let won = async {
            let _ = timeout(ms(10), answer(5)).await;
            answer(50).await;
        };
        assert_eq!(rings(won), [false, false, false, false]);
    }

    #[test]
    fn a_sleep_that_was_dropped_does_not_ring() {
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
        let rings = rings(dropped);
        assert!(rings.len() >= 4 && !rings.contains(&true), "{rings:?}");
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
        assert_eq!(rings(travels), [false, false]);
    }

    #[test]
    fn one_waker_lasts_through_all_turns() {
        let mut first = None;
        let mut turns = 0;
        let turns = std::future::poll_fn(move |cx| {
            let own = lasting(cx.waker()).expect("it is the waker of this turn");
            assert!(!own.will_wake(cx.waker()));
            assert!(first.get_or_insert_with(|| own.clone()).will_wake(&own));
            turns += 1;
            if turns == 3 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(rings(turns), [false; 3]);
    }
}
