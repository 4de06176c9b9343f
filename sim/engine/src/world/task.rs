//! Every task of a node runs inside a [`Guarded`]: a panic kills the process and not the run, a node that dies in the
//! middle of a poll is buried when the poll returns, a slow node waits before each turn, where the run has a gate
//! ([`super::pct`]) the task waits there, and where timers are watched a turn may begin with a site.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Once, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use madsim::time::{Sleep, sleep};

use super::{Node, RUNNING, panics::panic_text, pct::Seat};
use crate::{
    timer_watch::{Polling, TimerWatch},
    trace,
};

thread_local! {
    /// A service is running on this thread: its panics are findings, not news for stderr.
    static IN_SERVICE: Cell<bool> = const { Cell::new(false) };
    static PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A task of one life of a node.
pub(super) struct Guarded {
    task: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    node: Node,
    turn: Option<Sleep>,
    /// It has waited for the turn that it is about to have.
    waited: bool,
    seat: Option<Gated>,
    timers: Option<Timers>,
}

/// The timers of a task, where they are watched.
struct Timers {
    watch: TimerWatch,
    /// The task's own name.
    name: &'static str,
    /// What the task was about when it last began to wait.
    about: String,
}

/// A task's seat at the gate.
struct Gated {
    seat: Arc<Seat>,
    waker: Waker,
}

/// Tasks.
impl Node {
    /// Starts a task of this process. A panic in it kills the process.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn_named("", task);
    }

    /// The same with a name, which labels the sites at its timers where the task works for no operation.
    pub fn spawn_named(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        if !self.is_alive() {
            return;
        }
        if let Some(node) = self.world.runtime.get_node(self.state.id) {
            node.spawn(Guarded::new(self.clone(), name, Box::pin(task)));
        }
    }
}

impl Guarded {
    pub fn new(
        node: Node,
        name: &'static str,
        task: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Self {
        let seat = node.world.gate.as_ref().map(|gate| {
            let seat = gate.seat(&node.state);
            let waker = Waker::from(seat.clone());
            Gated { seat, waker }
        });
        let timers = node.state.watches_timers.then(|| Timers {
            watch: TimerWatch::default(),
            name,
            about: String::new(),
        });
        Guarded {
            task: Some(task),
            node,
            turn: None,
            waited: false,
            seat,
            timers,
        }
    }

    /// On a slow node, whether the task still has to wait for its turn.
    fn must_wait(&mut self, cx: &mut Context<'_>) -> bool {
        let slow_ms = self.node.state.slow_ms.load(Relaxed);
        if self.turn.is_none() && slow_ms > 0 && !self.waited {
            self.node.state.slowed.fetch_add(1, Relaxed);
            self.turn = Some(sleep(Duration::from_millis(slow_ms)));
        }
        let pending = self
            .turn
            .as_mut()
            .is_some_and(|turn| Pin::new(turn).poll(cx).is_pending());
        if !pending {
            self.waited |= self.turn.take().is_some();
        }
        pending
    }

    /// A turn of the task itself, with the waker that is its own in all turns.
    fn turn(&mut self, waker: &Waker) -> Poll<()> {
        let Some(task) = &mut self.task else {
            return Poll::Ready(());
        };
        self.node.world.turns.fetch_add(1, Relaxed);
        let Some(timers) = &mut self.timers else {
            return task.as_mut().poll(&mut Context::from_waker(waker));
        };
        if timers.watch.take_fired() {
            self.node
                .world
                .timer_runs_out(&self.node.state, &timers.about);
            if !self.node.is_alive() {
                return Poll::Ready(());
            }
            if self.node.state.paused.load(Relaxed) {
                // The turn comes when the node resumes.
                waker.wake_by_ref();
                return Poll::Pending;
            }
        }
        trace::turn_begins();
        let poll = timers.watch.poll_with(waker, |waker| {
            task.as_mut().poll(&mut Context::from_waker(waker))
        });
        if poll.is_pending() {
            let scope = trace::waits_in();
            let about = Some(&*scope.op).filter(|op| !op.is_empty());
            timers.about.clear();
            timers.about.push_str(about.unwrap_or(timers.name));
        }
        poll
    }

    /// Runs service code: with the node marked as running, and panics caught.
    fn inside<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Result<T, String> {
        let before = RUNNING.replace(Some(self.node.state.clone()));
        let quiet = IN_SERVICE.replace(true);
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        IN_SERVICE.set(quiet);
        RUNNING.set(before);
        result.map_err(|panic| panic_text(&*panic).to_owned())
    }
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let _polling = Polling::begin();
        let this = &mut *self;
        if !this.node.is_alive() {
            return Poll::Ready(());
        }
        if this.must_wait(cx) {
            if let Some(Gated { seat, .. }) = &this.seat {
                seat.stand_aside();
            }
            return Poll::Pending;
        }
        if let Some(Gated { seat, .. }) = &this.seat
            && !seat.turn_begins(cx)
        {
            return Poll::Pending;
        }
        this.waited = false;
        let waker = this.seat.as_ref().map(|gated| gated.waker.clone());
        let waker = waker.as_ref().unwrap_or(cx.waker());
        let polled = this.inside(|this| this.turn(waker));
        let poll = match polled {
            Ok(poll) => poll,
            // A node that died inside this poll panics no more: its disk and network only seemed to fail.
            Err(message) => {
                if this.node.is_alive() {
                    this.node.world.panicked(&this.node.state, &message);
                }
                Poll::Ready(())
            }
        };
        this.node.world.bury(&this.node.state);
        if let Some(Gated { seat, .. }) = &this.seat {
            seat.turn_ends();
        }
        poll
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _polling = Polling::begin();
        let dropped = self.inside(|this| drop(this.task.take()));
        if let Err(message) = dropped
            && self.node.is_alive()
        {
            self.node.world.panicked(&self.node.state, &message);
        }
        if let Some(Gated { seat, .. }) = &self.seat {
            seat.leave();
        }
    }
}

/// Where the last panic of a service or client on this thread came from: file, line, column.
pub(super) fn panic_place() -> Option<String> {
    PANIC_PLACE.take()
}

/// A panic of a program, caught in one place and to be judged in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// What it said.
    pub message: String,
    /// Where: file, line, column.
    pub place: Option<String>,
}

impl Panicked {
    /// Runs a part of a program; its panic is kept off stderr.
    ///
    /// # Errors
    /// It panicked.
    pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
        silence_service_panics();
        let quiet = IN_SERVICE.replace(true);
        let result = catch_unwind(AssertUnwindSafe(work));
        IN_SERVICE.set(quiet);
        result.map_err(|panic| Panicked {
            message: panic_text(&*panic).to_owned(),
            place: panic_place(),
        })
    }

    /// Goes on with the panic, as that of the task that is running.
    pub fn resume(self) -> ! {
        PANIC_PLACE.set(self.place);
        std::panic::resume_unwind(Box::new(self.message))
    }
}

/// Panics inside services are caught and judged; keep them off stderr.
pub(crate) fn silence_service_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match IN_SERVICE.get() {
            true => PANIC_PLACE.set(info.location().map(|place| place.to_string())),
            false => default(info),
        }));
    });
}
