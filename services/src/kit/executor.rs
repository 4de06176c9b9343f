//! Bounded executors: limited workers, a bounded queue, and rejection beyond it.
//!
//! The rules are those of a widely known thread pool ([`ThreadPoolExecutor`](https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/concurrent/ThreadPoolExecutor.html)): up
//! to `core` jobs run at once, further ones wait; only when the queue is full do up to `max` run; then jobs are refused.
//! Nothing here survives a crash: what must not be lost has a row somewhere until it is done.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    kit::lock,
    planted_bug::{Bug, Bugs},
    ports::{BoxFuture, Platform},
};

/// How large an executor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Jobs that run at once while the queue has room.
    pub core: usize,
    /// Jobs that run at once when it has none.
    pub max: usize,
    /// Jobs that wait.
    pub queue: usize,
}

impl Size {
    /// For issuing coupons.
    pub const COUPON_ISSUE: Size = Size::new(5, 20, 100);
    /// For updates of the ranking.
    pub const RANKING: Size = Size::new(3, 10, 50);
    /// For what else hears of completed orders.
    pub const ORDER_EVENTS: Size = Size::new(2, 8, 30);

    /// Core workers, most workers, queue length.
    pub const fn new(core: usize, max: usize, queue: usize) -> Self {
        Size { core, max, queue }
    }
}

/// It runs and holds as much as it may; certainly nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{executor} takes no more now: {running} running, {queued} waiting")]
pub struct Full {
    /// Its name.
    pub executor: &'static str,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that wait.
    pub queued: usize,
}

/// Runs jobs within its size. Cheap to clone.
#[derive(Clone)]
pub struct Executor(Arc<Inner>);

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { name, size, .. } = &*self.0;
        f.debug_struct("Executor")
            .field("name", name)
            .field("size", size)
            .finish_non_exhaustive()
    }
}

struct Inner {
    platform: Platform,
    name: &'static str,
    size: Size,
    bugs: Bugs,
    state: Mutex<State>,
    load: Load,
}

#[derive(Default)]
struct State {
    running: usize,
    queue: VecDeque<Job>,
    kinds: BTreeMap<&'static str, Kind>,
}

/// What runs of one kind of job.
#[derive(Default)]
struct Kind {
    running: usize,
    last_ended: Option<Instant>,
}

struct Job {
    kind: &'static str,
    since: Instant,
    work: BoxFuture<'static, ()>,
}

impl Executor {
    /// An idle executor. What it comes to is noted in `load`.
    pub fn new(
        platform: &Platform,
        name: &'static str,
        size: Size,
        bugs: Bugs,
        load: &Load,
    ) -> Self {
        Executor(Arc::new(Inner {
            platform: platform.clone(),
            name,
            size,
            bugs,
            state: Mutex::default(),
            load: load.clone(),
        }))
    }

    /// Takes a job, to be run now or later. Its kind says on whose behalf it is.
    pub fn submit(
        &self,
        kind: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Full> {
        let job = Job {
            kind,
            since: Instant::now(),
            work: Box::pin(work),
        };
        let mut state = lock(&self.0.state);
        let runs = self.0.runs_at_once(&state)?;
        let begins = match runs {
            true => Some(state.begin(job).0),
            false => {
                state.queue.push_back(job);
                None
            }
        };
        self.0.note(&state);
        drop(state);
        if let Some(work) = begins {
            let inner = Arc::clone(&self.0);
            self.0
                .platform
                .spawn(self.0.name, inner.work_off(kind, work));
        }
        Ok(())
    }

    /// Runs a job and awaits what comes of it.
    pub async fn run<T: Send + 'static>(
        &self,
        kind: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Full> {
        let (done, answer) = oneshot::channel();
        self.submit(kind, async move {
            // Whoever asked may have gone.
            let _ = done.send(work.await);
        })?;
        match answer.await {
            Ok(answer) => Ok(answer),
            // The process is ending.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Inner {
    fn runs_at_once(&self, state: &State) -> Result<bool, Full> {
        let (running, queued) = (state.running, state.queue.len());
        if running < self.size.core || self.bugs.has(Bug::NoBulkhead) {
            return Ok(true);
        }
        if queued < self.size.queue || self.bugs.has(Bug::QueueUnbounded) {
            return Ok(false);
        }
        match running < self.size.max {
            true => Ok(true),
            false => Err(Full {
                executor: self.name,
                running,
                queued,
            }),
        }
    }

    /// A worker: this job, then those that wait.
    async fn work_off(self: Arc<Self>, mut kind: &'static str, mut work: BoxFuture<'static, ()>) {
        loop {
            work.await;
            let mut state = lock(&self.state);
            state.end(kind);
            let Some(next) = state.queue.pop_front() else {
                return;
            };
            kind = next.kind;
            let (begun, starved) = state.begin(next);
            work = begun;
            self.load.starved(kind, starved);
            self.note(&state);
        }
    }

    fn note(&self, state: &State) {
        self.load
            .seen(self.name, self.size, state.running, state.queue.len());
    }
}

impl State {
    /// The job's work, and for how long it waited while none of its kind ran.
    fn begin(&mut self, job: Job) -> (BoxFuture<'static, ()>, Duration) {
        self.running += 1;
        let kind = self.kinds.entry(job.kind).or_default();
        let starved_since = job.since.max(kind.last_ended.unwrap_or(job.since));
        let starved = match kind.running {
            0 => starved_since.elapsed(),
            _ => Duration::ZERO,
        };
        kind.running += 1;
        (job.work, starved)
    }

    fn end(&mut self, kind: &'static str) {
        self.running -= 1;
        let kind = self.kinds.entry(kind).or_default();
        kind.running -= 1;
        kind.last_ended = Some(Instant::now());
    }
}

/// Peak load of executors, for observers of the service. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Load(Arc<Mutex<Peaks>>);

/// The most that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// By executor: its size, and the most jobs that ran and that waited at once.
    pub executors: BTreeMap<&'static str, (Size, usize, usize)>,
    /// By kind of job: the longest that one waited while none of its kind ran, so that others' jobs were in its way.
    pub starved: BTreeMap<&'static str, Duration>,
}

impl Load {
    /// The most that was seen so far.
    pub fn peaks(&self) -> Peaks {
        lock(&self.0).clone()
    }

    fn seen(&self, executor: &'static str, size: Size, running: usize, queued: usize) {
        let mut peaks = lock(&self.0);
        let (_, most_running, most_queued) =
            peaks.executors.entry(executor).or_insert((size, 0, 0));
        *most_running = running.max(*most_running);
        *most_queued = queued.max(*most_queued);
    }

    fn starved(&self, kind: &'static str, waited: Duration) {
        let mut peaks = lock(&self.0);
        let longest = peaks.starved.entry(kind).or_default();
        *longest = waited.max(*longest);
    }
}
