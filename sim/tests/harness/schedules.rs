//! Who runs next: by lot, or by priorities that find bugs of ordering.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use squall::{
    Client, Node, Sim,
    fault::{Crash, Pause, SlowNode},
    run::{Outcome, Spec, Verdict, run},
    seed::Seed,
    storm::{Action, Fault, Plan},
};

use crate::{bank::Bank, little::Little};

fn with_schedule(little: &Little<impl Fn(&Sim) + Send + Sync>, seed: u64, plan: Plan) -> Outcome {
    let spec = Spec::of(little, Seed(seed)).under(plan);
    run(little, &spec, false)
}

fn depth(pct: u32) -> Plan {
    Plan {
        pct: Some(pct),
        ..Plan::calm()
    }
}

/// Eight tasks; one of them leaves a door open for two steps, and another goes through if twenty of its own steps fall
/// into that time. Two things have to happen: the first task gets to its door before the other one is done, and is
/// then overtaken.
fn door(sim: &Sim) {
    sim.client("eight", |client| async move {
        let node = client.node().clone();
        let open = Arc::new(AtomicBool::new(false));
        let (done, all_done) = (Arc::new(AtomicU32::new(0)), tokio::sync::Notify::new());
        let all_done = Arc::new(all_done);
        let end = |node: &Node, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let (done, all_done) = (done.clone(), all_done.clone());
            node.spawn(async move {
                task.await;
                if done.fetch_add(1, Relaxed) == 7 {
                    all_done.notify_one();
                }
            });
        };
        let ajar = open.clone();
        end(
            &node,
            Box::pin(async move {
                steps(4).await;
                ajar.store(true, Relaxed);
                steps(2).await;
                ajar.store(false, Relaxed);
            }),
        );
        let witness = client.clone();
        end(
            &node,
            Box::pin(async move {
                let mut in_a_row = 0;
                for _ in 0..30 {
                    yield_now().await;
                    in_a_row = if open.load(Relaxed) { in_a_row + 1 } else { 0 };
                    if in_a_row == 20 {
                        witness.broken("the door is shut", "open", &[], "shut", "open");
                    }
                }
            }),
        );
        for _ in 0..6 {
            end(&node, Box::pin(steps(10)));
        }
        all_done.notified().await;
    });
}

/// Lets others run. (`tokio::task::yield_now` waits for a runtime that never turns in a simulation.)
async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn steps(n: u32) {
    for _ in 0..n {
        yield_now().await;
    }
}

#[test]
fn priorities_find_an_ordering_of_depth_two_that_choice_by_lot_does_not() {
    const RUNS: u64 = 2_000;
    let little = Little(door);
    let found = |plan: Plan| {
        let runs = (0..RUNS).map(|seed| with_schedule(&little, seed, plan.clone()));
        runs.filter(|outcome| outcome.verdict == Verdict::Violated)
            .count()
    };
    let by_lot = found(Plan::calm());
    let by_priority = found(depth(2));
    assert_eq!(by_lot, 0);
    assert!(by_priority >= 4, "found in {by_priority} runs");
}

#[test]
fn the_schedule_of_a_seed_is_the_same_each_time_and_another_at_each_depth() {
    let hash = |seed, pct: Option<u32>| {
        let plan = Plan {
            pct,
            ..Spec::of(&Bank, Seed(seed)).plan
        };
        let spec = Spec::of(&Bank, Seed(seed)).under(plan);
        let outcome = run(&Bank, &spec, true);
        let survived = matches!(outcome.verdict, Verdict::Survived);
        assert!(survived, "seed {seed} at {pct:?}: {:?}", outcome.verdict);
        outcome.hash
    };
    let mut differ = 0;
    for seed in 0..60 {
        let (lot, shallow, deep) = (hash(seed, None), hash(seed, Some(1)), hash(seed, Some(4)));
        assert_eq!(shallow, hash(seed, Some(1)), "seed {seed}");
        assert_eq!(deep, hash(seed, Some(4)), "seed {seed}");
        differ += u32::from(lot != shallow) + u32::from(shallow != deep);
    }
    assert!(differ > 60, "depths made a difference {differ} times");
}

#[test]
fn tasks_that_wait_for_each_other_by_polling_get_on() {
    let little = Little(|sim: &Sim| {
        sim.client("two", |client: Client| async move {
            let ready = Arc::new(AtomicBool::new(false));
            let done = Arc::new(tokio::sync::Notify::new());
            for _ in 0..4 {
                let (ready, done) = (ready.clone(), done.clone());
                client.node().spawn(async move {
                    while !ready.load(Relaxed) {
                        yield_now().await;
                    }
                    done.notify_one();
                });
            }
            client.node().spawn(async move {
                steps(3).await;
                ready.store(true, Relaxed);
            });
            done.notified().await;
        });
    });
    for seed in 0..20 {
        assert_eq!(
            with_schedule(&little, seed, depth(3)).verdict,
            Verdict::Survived,
            "seed {seed}"
        );
    }
}

/// A node with eight busy tasks has this happen to it while a client on another node goes on.
fn others_go_on_while(action: impl Into<Action>) {
    let (action, last) = (action.into(), Arc::new(Mutex::new(0)));
    let seen = last.clone();
    let little = Little(move |sim: &Sim| {
        sim.node("busy", |node: Node| async move {
            for _ in 0..8 {
                let own = node.clone();
                node.spawn(async move {
                    loop {
                        steps(2).await;
                        own.sleep(Duration::from_millis(3)).await;
                    }
                });
            }
            std::future::pending::<Result<(), String>>().await
        });
        let last = seen.clone();
        sim.client("steady", move |client| async move {
            for n in 1..=200 {
                client.node().sleep(Duration::from_millis(5)).await;
                yield_now().await;
                *last.lock().unwrap() = n;
            }
        });
    });
    for seed in 0..20 {
        *last.lock().unwrap() = 0;
        let plan = Plan {
            pct: Some(3),
            ..Plan::new(vec![Fault::at_ms(50, action.clone())])
        };
        let outcome = with_schedule(&little, seed, plan);
        assert_eq!(outcome.verdict, Verdict::Survived, "seed {seed}");
        assert!(outcome.faults[0].effective, "seed {seed}");
        assert_eq!(*last.lock().unwrap(), 200, "seed {seed}");
        let ended = outcome.ended.since_start();
        assert!(ended < Duration::from_secs(20), "seed {seed}: {ended:?}");
    }
}

#[test]
fn tasks_of_a_paused_node_are_in_nobodys_way() {
    others_go_on_while(Pause::new("busy", 400));
}

#[test]
fn tasks_of_a_dead_node_are_in_nobodys_way() {
    others_go_on_while(Crash::new("busy", 400));
}

#[test]
fn tasks_of_a_slow_node_are_in_nobodys_way() {
    others_go_on_while(SlowNode::new("busy", 30, 400));
}

#[test]
fn a_plan_of_impossible_depth_is_refused() {
    for pct in [0, 65] {
        let refused = depth(pct).check(&[]).expect_err("beyond the limits");
        assert!(refused.to_string().contains("from 1 to 64"), "{refused}");
    }
    depth(64).check(&[]).expect("the deepest there is");
}
