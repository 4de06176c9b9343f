//! The two executions of one order saga, compared: by its plan, and as a workflow that is replayed. The calls and their
//! outcomes are the same; commits, journal and the way back after a crash are not.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use squall::{
    Sim,
    check::Commit,
    fault::Crash,
    net::Latency,
    run::Outcome,
    scenario::{Scenario, Setup},
    seed::Seed,
    site::{Kind, Site},
    storm::{Fault, Profile, When},
    time::VirtualTime,
};
use squall_services::{
    kit::saga::facts,
    orchestration::orders::{
        self, Execution,
        store::{OPEN_SAGAS, OrderData, SAGAS},
    },
    planted_bug::Bugs,
    shared::payment,
};
use tokio::time::Instant;

use crate::{
    experiments::survived,
    lock,
    person::{Person, keyed},
    planted_bug::described,
    topology,
    workloads::shop::{self, Hand, Shelf},
};

/// One way between the shop's services.
const WAY: Duration = Duration::from_millis(10);
/// How long order is away after its crash.
const DOWN: Duration = Duration::from_millis(500);
/// Order crashes when it has the answer to one of these, and has not noted it.
const CRASHES: [&str; 4] = [
    "inventory-reserve",
    "payment-authorize",
    "payment-capture",
    "inventory-confirm",
];
/// A product for each customer, so that nobody waits for another.
const SHELVES: [(&str, Shelf); 3] = [
    ("ann", shelf("lamp")),
    ("ben", shelf("mug")),
    ("cho", shelf("cap")),
];
/// Orders of a customer, one after another.
const ORDERS: usize = 3;

const fn shelf(sku: &'static str) -> Shelf {
    Shelf {
        sku,
        stock: 5,
        price: 12_000,
    }
}

/// What a run has shown of the node `order`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// From the click to the answer of each order that completed; the shortest first.
    pub took: Vec<Duration>,
    /// Commits.
    pub commits: u64,
    /// Bytes of the journal's rows, as they were committed.
    pub written: u64,
    /// Bytes of the journal's rows, as they were left.
    pub kept: u64,
    /// From a crash to the commit that ends the saga, by the step whose answer it cost.
    pub recoveries: Vec<(&'static str, Duration)>,
}

impl Measured {
    /// The middle one of the orders' times, and the longest.
    ///
    /// # Panics
    ///
    /// If no order completed.
    pub fn times(&self) -> (Duration, Duration) {
        let took = &self.took;
        (took[took.len() / 2], took[took.len() - 1])
    }

    /// The longest way back after a crash.
    pub fn recovery(&self) -> Duration {
        let times = self.recoveries.iter().map(|(_, took)| *took);
        times.max().unwrap_or_default()
    }
}

/// Measures one execution, calm and with crashes.
///
/// # Panics
///
/// If a run itself went wrong.
pub fn measure(seed: Seed, execution: Execution) -> Measured {
    let (_, seen) = play(seed, execution, SHELVES.len(), Vec::new());
    let mut measured = seen.measured;
    measured.took.sort_unstable();
    measured.kept = seen.rows.values().sum();
    for step in CRASHES {
        let crash = Fault::new(
            When::Site(Site::new(
                "order",
                Kind::Event("step done".to_owned()),
                format!("ann-1/{step}"),
                1,
            )),
            Crash {
                node: "order".to_owned(),
                down_ms: DOWN.as_millis() as u64,
            },
        );
        let (outcome, seen) = play(seed, execution, 1, vec![crash]);
        let crashed = outcome.faults[0].fired.expect("each step is done once");
        let first = *seen.ends.first().expect("the saga ends");
        measured.recoveries.push((step, first.since(crashed)));
    }
    measured
}

fn play(seed: Seed, execution: Execution, customers: usize, storm: Vec<Fault>) -> (Outcome, Seen) {
    let executing = Executing {
        execution,
        customers,
        seen: Arc::default(),
    };
    let outcome = survived(&executing, seed, storm);
    let seen = std::mem::take(&mut *lock(&executing.seen));
    (outcome, seen)
}

/// The published comparison, measured: a line for each execution.
pub fn table(seed: Seed) -> String {
    let mut text = String::from(
        "execution  completed  commits   median  longest  crash to end     journal, bytes an order\n\
         \u{20}                     an order                   (0.5 s of it     written  kept\n\
         \u{20}                                                 down)\n",
    );
    for (execution, name) in [(Execution::Saga, "saga"), (Execution::Workflow, "workflow")] {
        let measured = measure(seed, execution);
        let orders = measured.took.len() as u64;
        let (median, longest) = measured.times();
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        let crashes = measured.recoveries.iter().map(|(_, took)| took.as_millis());
        let (soonest, latest) = (crashes.clone().min(), crashes.max());
        let crashes = format!(
            "{} to {} ms",
            soonest.unwrap_or_default(),
            latest.unwrap_or_default()
        );
        writeln!(
            text,
            "{name:<9}  {:<9}  {:<8.2}  {:<6}  {:<7}  {crashes:<15}  {:<7}  {}",
            format!("{orders} of {}", SHELVES.len() * ORDERS),
            measured.commits as f64 / orders as f64,
            ms(median),
            ms(longest),
            measured.written / orders,
            measured.kept / orders,
        )
        .expect("a string takes any text");
    }
    text
}

/// A shop, and customers who buy without a storm.
struct Executing {
    execution: Execution,
    customers: usize,
    seen: Arc<Mutex<Seen>>,
}

/// What the feed of commits and the customers have shown.
#[derive(Default)]
struct Seen {
    measured: Measured,
    /// The bytes of each row of the journal.
    rows: BTreeMap<String, u64>,
    /// When sagas ended.
    ends: Vec<VirtualTime>,
}

impl Seen {
    fn follow(&mut self, commit: &Commit<'_>, now: VirtualTime) {
        if commit.node != "order" {
            return;
        }
        self.measured.commits += 1;
        let facts = facts::table::<OrderData>();
        let journal = [SAGAS.name, OPEN_SAGAS.name, facts.name];
        for row in commit.rows {
            if !journal.contains(&&*row.table) {
                continue;
            }
            let key = format!("{}/{}", row.table, row.key);
            let Some(value) = &row.value else {
                self.rows.remove(&key);
                continue;
            };
            self.measured.written += value.len() as u64;
            self.rows.insert(key, value.len() as u64);
            if row.table == SAGAS.name {
                let saga = SAGAS.decode(value).expect("it is a saga");
                self.ends.extend(saga.status.is_ended().then_some(now));
            }
        }
    }
}

impl Scenario for Executing {
    described! { "execution-modes": "the same orders, carried out by a plan or as workflows" }

    fn profile(&self) -> Profile {
        Profile::new(&shop::NODES, &shop::LINKS)
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let config = orders::Config {
            execution: self.execution,
            ..Default::default()
        };
        topology::open(sim, shop::counter(Bugs::NONE, config, Default::default()));
        let _permits = shop::open_till(sim, Bugs::NONE, payment::CALLS_MAX);
        for (from, to) in shop::LINKS {
            sim.link(from, to, Latency::fixed(WAY));
        }
        let seen = self.seen.clone();
        sim.always("the journal is watched", move |commit, findings| {
            lock(&seen).follow(commit, findings.now());
        });
        sim.prepare(|client| async move {
            let hand = Hand::new(&client);
            for (_, shelf) in SHELVES {
                hand.fill(shelf).await;
            }
        });
        for (name, shelf) in SHELVES.into_iter().take(self.customers) {
            let seen = self.seen.clone();
            sim.client(name, move |client| async move {
                let person = Person::new(&client, "order");
                for nth in 1..=ORDERS {
                    let op = format!("{name}-{nth}");
                    let body =
                        json!({ "user": name, "sku": shelf.sku, "quantity": 1, "card": "visa" });
                    let asked = Instant::now();
                    let reply = person.insist(&keyed(&op, "POST", "/orders", body)).await;
                    if reply.is_some_and(|reply| reply.body["status"] == "COMPLETED") {
                        lock(&seen).measured.took.push(asked.elapsed());
                    }
                }
            });
        }
    }
}
