//! Which ready task runs next, by priority instead of by lot: probabilistic concurrency testing (Burckhardt et al.,
//! "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).
//!
//! madsim picks uniformly among the tasks in its queue. A [`Gate`] lets only one task at a time into that queue: a
//! task that is woken while a more important one is ready stays parked until its turn comes, so that waiting costs no
//! polls. Each task draws a priority at birth; at `depth - 1` change points the task whose turn it is falls behind all
//! others.
//!
//! Departures from the paper: tasks are born and die, so priorities are drawn at birth; the length of a run is not
//! known beforehand, so change points are spread evenly over its orders of magnitude; and a gate that has not been
//! idle for very long takes turns, because services may wait for each other by polling.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, Weak, atomic::Ordering::Relaxed},
    task::{Context, Wake, Waker},
};

use squall_core::seed::{Seed, Stream, unit};

use super::{NodeState, lock};

/// Priorities at birth are at least this.
const BIRTH: u64 = 1 << 63;
/// Priorities after a change point are above this, and below those at birth.
const CHANGED: u64 = 1 << 62;
/// Change points lie within this many turns of the storm's beginning. A storm over five services and three clients has
/// 100 to 3,000.
const TURNS_MAX: f64 = 4_096.0;
/// After this many turns without an idle moment, a task that had a turn goes to the end of the line.
const BUSY_MAX: u64 = 2_000;

/// Decides which of the ready tasks of a run has the next turn.
pub(crate) struct Gate(Mutex<State>);

struct State {
    /// What the order of tasks, and of programs' threads, is drawn from.
    schedule: Seed,
    depth: u32,
    rng: Stream,
    /// Still to come, the next last: (turn, priority of the task that has it).
    changes: Vec<(u64, u64)>,
    /// Turns since the storm began.
    turns: u64,
    /// Turns since no task was ready.
    busy: u64,
    /// The lowest priority given so far to one that went to the end of the line.
    last_in_line: u64,
    next: u64,
    tasks: BTreeMap<u64, Task>,
    /// The tasks that want a turn, as (priority, ordinal); the last one is next. Unless a turn is going on, that one
    /// is in madsim's queue.
    ready: BTreeSet<(u64, u64)>,
    /// A task is having its turn.
    running: bool,
}

struct Task {
    priority: u64,
    node: u16,
    /// Puts it into madsim's queue. None before its first poll: it is there from birth.
    waker: Option<Waker>,
    /// It is in madsim's queue.
    queued: bool,
}

/// A task's place at the gate, and the waker that its future is polled with.
///
/// Timers keep wakers until their time comes, which may be after the run: a waker that kept the node alive, and with it
/// the timers, would never be freed.
pub(super) struct Seat {
    gate: Arc<Gate>,
    ordinal: u64,
    node: Weak<NodeState>,
}

impl Gate {
    /// A gate for schedules of this depth: one more than the number of change points.
    pub fn new(schedule: u64, depth: u32) -> Arc<Self> {
        let mut rng = Seed(schedule).stream("pct");
        let change = |i: u32| {
            let turn = TURNS_MAX.powf(unit(rng.bits())) as u64;
            (turn, CHANGED + u64::from(i))
        };
        let mut changes: Vec<_> = (1..depth).map(change).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Arc::new(Gate(Mutex::new(State {
            schedule: Seed(schedule),
            depth,
            rng,
            changes,
            turns: 0,
            busy: 0,
            last_in_line: CHANGED,
            next: 0,
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            running: false,
        })))
    }

    /// The depth of the schedules, and what a part of the world draws from that orders something itself.
    pub(super) fn of_part(&self, name: &str) -> (Stream, u32) {
        let state = lock(&self.0);
        (state.schedule.stream(name), state.depth)
    }

    /// The storm begins: turns are counted from here.
    pub fn begin(&self) {
        lock(&self.0).turns = 0;
    }

    /// A task is born. It is about to enter madsim's queue by itself.
    pub(super) fn seat(self: &Arc<Self>, node: &Arc<NodeState>) -> Arc<Seat> {
        let state = &mut *lock(&self.0);
        let ordinal = state.next;
        state.next += 1;
        let priority = BIRTH | state.rng.bits();
        state.tasks.insert(
            ordinal,
            Task {
                priority,
                node: node.ix.0,
                waker: None,
                queued: true,
            },
        );
        if !node.paused.load(Relaxed) {
            state.ready.insert((priority, ordinal));
        }
        Arc::new(Seat {
            gate: self.clone(),
            ordinal,
            node: Arc::downgrade(node),
        })
    }

    /// The tasks of a node that pauses want no turn until they are polled again. To be called when the node is marked
    /// as paused.
    pub(super) fn pause(&self, node: &NodeState) {
        let mut woken = Vec::new();
        {
            let state = &mut *lock(&self.0);
            let (tasks, ready) = (&mut state.tasks, &mut state.ready);
            ready.retain(|(_, ordinal)| match tasks.get_mut(ordinal) {
                Some(task) if task.node == node.ix.0 => {
                    if !task.queued {
                        task.queued = true;
                        woken.extend(task.waker.clone());
                    }
                    false
                }
                _ => true,
            });
            woken.extend(state.next());
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Where no task has a turn: what puts the next task into madsim's queue, if it is not there yet.
    fn next(&mut self) -> Option<Waker> {
        if self.running {
            return None;
        }
        let Some((_, ordinal)) = self.ready.last() else {
            self.busy = 0;
            return None;
        };
        let task = self.tasks.get_mut(ordinal)?;
        if task.queued {
            return None;
        }
        task.queued = true;
        task.waker.clone()
    }

    fn wants_turn(&mut self, ordinal: u64) {
        if let Some(task) = self.tasks.get(&ordinal) {
            self.ready.insert((task.priority, ordinal));
        }
    }

    fn wants_none(&mut self, ordinal: u64) {
        if let Some(task) = self.tasks.get(&ordinal) {
            self.ready.remove(&(task.priority, ordinal));
        }
    }

    /// Gives the task that is next a lower priority if this is a change point.
    fn maybe_change(&mut self) {
        let Some(&(turn, priority)) = self.changes.last() else {
            return;
        };
        if turn <= self.turns {
            self.changes.pop();
            self.turns += 1;
            if let Some((_, ordinal)) = self.ready.pop_last()
                && let Some(task) = self.tasks.get_mut(&ordinal)
            {
                task.priority = priority;
                self.ready.insert((priority, ordinal));
            }
        }
    }

    /// Whether it is this task's turn. If so, the turn begins.
    fn turn_of(&mut self, ordinal: u64) -> bool {
        let is_next = |state: &State| state.ready.last().is_some_and(|(_, next)| *next == ordinal);
        if is_next(self) {
            self.maybe_change();
        }
        if !is_next(self) {
            return false;
        }
        self.ready.pop_last();
        self.turns += 1;
        self.busy += 1;
        if self.busy > BUSY_MAX
            && let Some(task) = self.tasks.get_mut(&ordinal)
        {
            self.last_in_line -= 1;
            task.priority = self.last_in_line;
        }
        self.running = true;
        true
    }
}

impl Seat {
    /// madsim polls the task: whether it is its turn. If so, [`turn_ends`](Seat::turn_ends) has to follow.
    pub fn turn_begins(&self, cx: &Context<'_>) -> bool {
        let mut lock = lock(&self.gate.0);
        let state = &mut *lock;
        if let Some(task) = state.tasks.get_mut(&self.ordinal) {
            task.queued = false;
            task.waker.get_or_insert_with(|| cx.waker().clone());
        }
        state.wants_turn(self.ordinal);
        let begins = state.turn_of(self.ordinal);
        let next = state.next();
        drop(lock);
        next.into_iter().for_each(Waker::wake);
        begins
    }

    /// The turn is over.
    pub fn turn_ends(&self) {
        self.change(|state| state.running = false);
    }

    /// The task was polled, and will be polled again, but wants no turn now.
    pub fn stand_aside(&self) {
        self.change(|state| {
            if let Some(task) = state.tasks.get_mut(&self.ordinal) {
                task.queued = false;
            }
            state.wants_none(self.ordinal);
        });
    }

    /// The task is no more.
    pub fn leave(&self) {
        let mut gone = None;
        self.change(|state| {
            state.wants_none(self.ordinal);
            gone = state.tasks.remove(&self.ordinal);
        });
    }

    /// Wakers are called, and dropped, outside of the lock.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut lock = lock(&self.gate.0);
        change(&mut lock);
        let next = lock.next();
        drop(lock);
        next.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Seat {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let node = self.node.upgrade();
        if node.is_some_and(|node| node.paused.load(Relaxed)) {
            // madsim keeps what is woken on a paused node until it resumes.
            let waker = lock(&self.gate.0)
                .tasks
                .get(&self.ordinal)
                .and_then(|task| task.waker.clone());
            waker.into_iter().for_each(Waker::wake);
        } else {
            self.change(|state| state.wants_turn(self.ordinal));
        }
    }
}
