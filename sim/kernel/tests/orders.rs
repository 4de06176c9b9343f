//! Which orders of a program's tasks the seed reaches, and which it does not.

use std::collections::BTreeSet;

use squall::{seed::Seed, storm::Plan, trace::What};
use squall_kernel::Processes;
use tokio::{
    runtime::Builder,
    task::{JoinSet, yield_now},
};
use tokio_real as tokio;

/// Two tasks that are ready at once, and after each step again; the order of their steps.
async fn steps() {
    let mut tasks = JoinSet::new();
    let (said, mut order) = tokio::sync::mpsc::unbounded_channel();
    for name in ["a", "b"] {
        let said = said.clone();
        tasks.spawn(async move {
            for _ in 0..3 {
                said.send(name).unwrap();
                yield_now().await;
            }
        });
    }
    drop(said);
    tasks.join_all().await;
    let mut all = String::new();
    while let Some(name) = order.recv().await {
        all += name;
    }
    println!("order {all}");
    std::future::pending().await
}

fn with_workers() {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(steps());
}

/// The orders that two hundred seeds reach, with priorities of this depth if there is one.
fn orders(pct: Option<u32>, build: impl Fn(&squall::Sim) + Send + Sync) -> BTreeSet<String> {
    let plan = || Plan {
        pct,
        ..Plan::calm()
    };
    let order = |seed| {
        let outcome = squall::storms("orders")
            .plan(plan())
            .one(Seed(seed), &build);
        let events = outcome.trace.expect("it is kept").events.into_iter();
        let mut said = events.filter_map(|event| match event.what {
            What::Log { message, .. } => Some(message.strip_prefix("order ")?.to_owned()),
            _ => None,
        });
        said.next().expect("the tasks end")
    };
    (0..200).map(order).collect()
}

#[test]
fn a_queue_of_one_thread_has_one_order_whatever_the_seed() {
    let orders = orders(None, |sim| {
        sim.process("one", steps);
    });
    assert_eq!(orders.len(), 1, "{orders:?}");
}

#[test]
fn workers_take_turns_by_lot_or_by_priorities() {
    for pct in [None, Some(3)] {
        let orders = orders(pct, |sim| {
            sim.program("one", with_workers);
        });
        assert!(orders.len() > 1, "{pct:?}: {orders:?}");
    }
}
