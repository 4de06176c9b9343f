use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use squall_services::{
    kit::executor::{Executor, Load, Size},
    planted_bug::{Bug, Bugs},
};
use tokio::time::sleep;

use crate::support::machine::Network;

fn executor(size: Size, bugs: Bugs) -> (Executor, Load) {
    let (platform, _) = Network::default().machine("m");
    let load = Load::default();
    (Executor::new(&platform, "jobs", size, bugs, &load), load)
}

/// Gives it ten jobs of a second each; how many it took, and how many were done after each second.
async fn ten(executor: &Executor, seconds: usize) -> (usize, Vec<usize>) {
    let done = Arc::new(AtomicUsize::new(0));
    let took = (0..10)
        .filter(|_| {
            let done = done.clone();
            let job = async move {
                sleep(Duration::from_secs(1)).await;
                done.fetch_add(1, Relaxed);
            };
            executor.submit("a", job).is_ok()
        })
        .count();
    sleep(Duration::from_millis(100)).await;
    let mut counts = Vec::new();
    for _ in 0..seconds {
        sleep(Duration::from_secs(1)).await;
        counts.push(done.load(Relaxed));
    }
    (took, counts)
}

#[tokio::test]
async fn what_neither_runs_nor_waits_is_refused() {
    let (executor, load) = executor(Size::new(2, 4, 3), Bugs::NONE);
    assert_eq!(ten(&executor, 2).await, (7, vec![4, 7]));
    assert_eq!(load.peaks().executors["jobs"], (Size::new(2, 4, 3), 4, 3));
}

#[tokio::test]
async fn while_the_queue_has_room_no_more_than_the_core_runs() {
    let (executor, _) = executor(Size::new(2, 4, 20), Bugs::NONE);
    assert_eq!(ten(&executor, 5).await, (10, vec![2, 4, 6, 8, 10]));
}

#[tokio::test]
async fn an_unbounded_queue_takes_everything_and_no_bulkhead_starts_everything() {
    let size = Size::new(2, 4, 3);
    let (unbounded, load) = executor(size, Bugs::NONE.with(Bug::QueueUnbounded));
    assert_eq!(ten(&unbounded, 1).await.0, 10);
    assert_eq!(load.peaks().executors["jobs"], (size, 2, 8));
    let (unlimited, load) = executor(size, Bugs::NONE.with(Bug::NoBulkhead));
    assert_eq!(ten(&unlimited, 1).await, (10, vec![10]));
    assert_eq!(load.peaks().executors["jobs"], (size, 10, 0));
}

#[tokio::test]
async fn a_job_behind_its_own_kind_is_not_starved_and_one_behind_others_is() {
    let (executor, load) = executor(Size::new(1, 1, 9), Bugs::NONE);
    for (kind, seconds) in [("slow", 3), ("slow", 3), ("quick", 0)] {
        let job = async move { sleep(Duration::from_secs(seconds)).await };
        executor.submit(kind, job).unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    let starved = load.peaks().starved;
    assert_eq!(starved["slow"], Duration::ZERO);
    assert_eq!(starved["quick"].as_secs(), 6);
}
